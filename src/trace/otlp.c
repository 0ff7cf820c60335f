/* otlp.c: names in lowerCamelCase, ids in hex, 64-bit numbers as strings, enums as numbers: what
 * OTLP's JSON asks for beyond Protobuf's own. */
#include "trace/otlp.h"

#include "base/json.h"
#include "trace/span_impl.h"

#define STATUS_ERROR 2

static void text_attribute(struct buf *to, const char *key, struct slice value)
{
	buf_text(to, "{\"key\":\"");
	buf_text(to, key);
	buf_text(to, "\",\"value\":{\"stringValue\":");
	buf_json_string(to, value);
	buf_text(to, "}}");
}

static void number_attribute(struct buf *to, const char *key, int64_t value)
{
	buf_printf(to, "{\"key\":\"%s\",\"value\":{\"intValue\":\"%lld\"}}", key, (long long)value);
}

void otlp_begin(struct buf *to, const char *version, const char *instance)
{
	buf_text(to, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	text_attribute(to, "service.name", SLICE("lowtide"));
	buf_char(to, ',');
	text_attribute(to, "service.version", slice_of(version));
	buf_char(to, ',');
	text_attribute(to, "service.instance.id", slice_of(instance));
	buf_text(to, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"lowtide\",\"version\":");
	buf_json_string(to, slice_of(version));
	buf_text(to, "},\"spans\":[");
}

void otlp_end(struct buf *to)
{
	buf_text(to, "]}]}]}");
}

static void ids_write(struct buf *to, const struct span *s)
{
	char trace[2 * TRACE_ID_BYTES + 1], span[2 * SPAN_ID_BYTES + 1];

	trace_hex(s->own.trace_id, TRACE_ID_BYTES, trace);
	trace_hex(s->own.span_id, SPAN_ID_BYTES, span);
	buf_printf(to, "{\"traceId\":\"%s\",\"spanId\":\"%s\"", trace, span);
	if (!trace_context_is_set(&s->parent))
		return;
	trace_hex(s->parent.span_id, SPAN_ID_BYTES, span);
	buf_printf(to, ",\"parentSpanId\":\"%s\"", span);
}

static void attributes_write(struct buf *to, const struct span *s)
{
	buf_text(to, ",\"attributes\":[");
	for (size_t i = 0; i < s->attribute_count; i++) {
		const struct span_attribute *a = &s->attributes[i];
		if (i > 0)
			buf_char(to, ',');
		if (a->is_text)
			text_attribute(to, a->key, (struct slice){ s->text + a->at, a->n });
		else
			number_attribute(to, a->key, a->number);
	}
	buf_char(to, ']');
}

static void events_write(struct buf *to, const struct span *s)
{
	for (size_t i = 0; i < s->event_count; i++)
		buf_printf(to, "%s{\"timeUnixNano\":\"%llu\",\"name\":\"%s\"}",
			   i == 0 ? ",\"events\":[" : ",", (unsigned long long)s->events[i].at_ns,
			   s->events[i].name);
	if (s->event_count > 0)
		buf_char(to, ']');
}

void otlp_span(struct buf *to, const struct span *s)
{
	if (to->n > 0 && to->p[to->n - 1] == '}')
		buf_char(to, ',');
	ids_write(to, s);
	buf_text(to, ",\"name\":");
	buf_json_string(to, slice_of(s->name));
	buf_printf(to, ",\"kind\":%d,\"startTimeUnixNano\":\"%llu\",\"endTimeUnixNano\":\"%llu\"",
		   (int)s->kind, (unsigned long long)s->start_ns, (unsigned long long)s->end_ns);
	attributes_write(to, s);
	events_write(to, s);
	if (s->failed)
		buf_printf(to, ",\"status\":{\"code\":%d}", STATUS_ERROR);
	buf_char(to, '}');
}

/* ---- the answer ---- */

/* The value of the member `name` of the object `text`; n == 0: there is none. */
static struct slice member_of(struct slice text, const char *name)
{
	struct json j;
	struct slice key, value, found = { NULL, 0 };

	json_init(&j, text);
	if (text.n == 0 || json_peek(&j) != JSON_OBJECT)
		return found;
	json_next(&j);
	while (json_member(&j, &key))
		if (json_skip(&j, &value) && json_key_is(key, name))
			found = value;
	return j.bad ? (struct slice){ NULL, 0 } : found;
}

/* A 64-bit number may be a string, too. */
uint64_t otlp_rejected(struct slice answer)
{
	struct slice number = member_of(member_of(answer, "partialSuccess"), "rejectedSpans");
	uint64_t n;

	if (number.n >= 2 && number.p[0] == '"')
		number = (struct slice){ number.p + 1, number.n - 2 };
	return number.n > 0 && json_u64(number, &n) ? n : 0;
}
