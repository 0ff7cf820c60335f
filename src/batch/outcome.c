/* outcome.c: see outcome.h. One pass of the JSON scanner over each answer validates it and finds its
 * token counts; the bytes of the answer are copied once, into the result line. */
#include "batch/outcome.h"

#include <stdlib.h>

#include "base/json.h"

#define UPSTREAM_TEXT_MAX 4096 /* of an answer that is not JSON (contract 8.2) */

static const char *const fault_codes[] = {
#define X(name, code) [OUTCOME_##name] = code,
	OUTCOME_FAULTS(X)
#undef X
};

static const char *const fault_messages[] = {
	[OUTCOME_TIMEOUT] = "The upstream did not answer this request in time.",
	[OUTCOME_UPSTREAM] = "The connection to the upstream failed while it handled this request.",
	[OUTCOME_INVALID] = "The upstream's answer is not valid JSON.",
	[OUTCOME_EXPIRED] =
		"This request could not be executed before the completion window expired.",
	[OUTCOME_CANCELLED] = "This request was not executed because the batch was cancelled.",
	[OUTCOME_BATCH_FAILED] =
		"This request could not be completed because of a fault of the batch server.",
};

struct outcome *outcome_new(void *owner, uint64_t record, struct slice custom_id)
{
	struct outcome *o = malloc(sizeof(*o) + custom_id.n);
	if (o == NULL)
		return NULL;
	*o = (struct outcome){ .owner = owner, .record = record, .custom_id_n = custom_id.n };
	if (custom_id.n > 0)
		memcpy(o->custom_id, custom_id.p, custom_id.n);
	return o;
}

void outcome_free(struct outcome *o)
{
	if (o == NULL)
		return;
	buf_free(&o->body);
	free(o);
}

void usage_add(struct usage *sum, const struct usage *u)
{
	sum->input += u->input;
	sum->cached += u->cached;
	sum->output += u->output;
	sum->reasoning += u->reasoning;
	sum->total += u->total;
}

/* Reads the member at hand as a count; anything that is no non-negative integer leaves `*ret`. */
static void count_read(struct json *j, uint64_t *ret)
{
	struct slice value;
	uint64_t n;
	if (json_skip(j, &value) && json_u64(value, &n))
		*ret = n;
}

/* The member `name` of the object at hand, if it is an object. */
static void detail_read(struct json *j, const char *name, uint64_t *ret)
{
	struct slice text, key;
	if (!json_skip(j, &text) || text.p[0] != '{')
		return;
	struct json inner;
	json_init(&inner, text);
	json_next(&inner);
	while (json_member(&inner, &key)) {
		if (json_key_is(key, name))
			count_read(&inner, ret);
		else
			json_skip(&inner, &text);
	}
}

static void usage_read(struct slice text, struct usage *u)
{
	struct json j;
	struct slice key, skipped;
	uint64_t cached_top = 0, cached_read = 0;
	json_init(&j, text);
	if (json_next(&j) != JSON_OBJECT)
		return;
	while (json_member(&j, &key)) {
		if (json_key_is(key, "prompt_tokens") || json_key_is(key, "input_tokens"))
			count_read(&j, &u->input);
		else if (json_key_is(key, "completion_tokens") || json_key_is(key, "output_tokens"))
			count_read(&j, &u->output);
		else if (json_key_is(key, "total_tokens"))
			count_read(&j, &u->total);
		else if (json_key_is(key, "cached_tokens"))
			count_read(&j, &cached_top);
		else if (json_key_is(key, "cache_read_input_tokens"))
			count_read(&j, &cached_read);
		else if (json_key_is(key, "prompt_tokens_details") ||
			 json_key_is(key, "input_tokens_details"))
			detail_read(&j, "cached_tokens", &u->cached);
		else if (json_key_is(key, "completion_tokens_details") ||
			 json_key_is(key, "output_tokens_details"))
			detail_read(&j, "reasoning_tokens", &u->reasoning);
		else
			json_skip(&j, &skipped);
	}
	if (u->cached == 0) /* Kimi puts it at the top as well: counted once */
		u->cached = cached_top;
	if (u->cached == 0) /* of /v1/messages, which has no details */
		u->cached = cached_read;
	if (u->total == 0)
		u->total = u->input + u->output;
}

bool usage_scan(struct slice body, struct usage *ret)
{
	struct json j;
	struct slice key, value, usage = { NULL, 0 };
	*ret = (struct usage){ 0 };
	json_init(&j, body);
	if (body.n > 0 && json_next(&j) == JSON_OBJECT) {
		while (json_member(&j, &key)) {
			bool is_usage = json_key_is(key, "usage");
			if (!json_skip(&j, &value))
				break;
			if (is_usage)
				usage = value;
		}
	} else {
		/* an answer that is an array or a scalar is JSON too */
		json_init(&j, body);
		json_skip(&j, &value);
	}
	if (!json_end(&j))
		return false;
	if (usage.n > 0)
		usage_read(usage, ret);
	return true;
}

/* The first bytes of `text`, not cutting a UTF-8 sequence. */
static struct slice text_head(struct slice text, size_t max)
{
	if (text.n <= max)
		return text;
	size_t n = max;
	while (n > 0 && ((unsigned char)text.p[n] & 0xC0) == 0x80)
		n--;
	return (struct slice){ text.p, n };
}

static void line_open(struct slice custom_id, struct buf *to)
{
	char id[ID_SIZE];
	id_batch_request(id);
	buf_add(to, SLICE("{\"id\":\""));
	buf_text(to, id);
	buf_add(to, SLICE("\",\"custom_id\":"));
	if (custom_id.p == NULL) {
		buf_add(to, SLICE("null"));
		return;
	}
	buf_char(to, '"');
	buf_add(to, custom_id);
	buf_char(to, '"');
}

static void line_fault(enum outcome_fault fault, struct slice message, struct buf *to)
{
	buf_add(to, SLICE(",\"response\":null,\"error\":{\"code\":\""));
	buf_text(to, fault_codes[fault]);
	buf_add(to, SLICE("\",\"message\":"));
	buf_json_string(to, message);
	buf_add(to, SLICE("}}\n"));
}

void outcome_missing_line(struct slice custom_id, enum outcome_fault fault, struct buf *to)
{
	line_open(custom_id, to);
	line_fault(fault, slice_of(fault_messages[fault]), to);
}

static void line_answer(struct outcome *o, bool json, struct buf *to)
{
	struct slice body = buf_slice(&o->body);
	buf_add(to, SLICE(",\"response\":{\"status_code\":"));
	buf_u64(to, (uint64_t)o->http_status);
	buf_add(to, SLICE(",\"request_id\":"));
	if (o->request_id[0] != '\0') {
		buf_json_string(to, slice_of(o->request_id));
	} else {
		char id[ID_SIZE];
		id_request(id);
		buf_json_string(to, slice_of(id));
	}
	buf_add(to, SLICE(",\"body\":"));
	if (json) {
		if (buf_reserve(to, body.n))
			to->n += json_copy_one_line(body, to->p + to->n);
	} else {
		buf_add(to, SLICE("{\"error\":{\"message\":"));
		buf_json_string(to, text_head(body, UPSTREAM_TEXT_MAX));
		buf_add(to, SLICE(",\"type\":\"upstream_error\",\"param\":null,"
				  "\"code\":\"upstream_non_json\"}}"));
	}
	buf_add(to, SLICE("},\"error\":null}\n"));
}

void outcome_line(struct outcome *o, struct buf *to)
{
	struct slice custom_id = { o->custom_id, o->custom_id_n };
	o->success = false;
	o->usage = (struct usage){ 0 };
	line_open(custom_id, to);
	if (o->fault != OUTCOME_ANSWERED) {
		const char *message = o->message != NULL ? o->message : fault_messages[o->fault];
		line_fault(o->fault, slice_of(message), to);
		return;
	}
	struct usage usage;
	bool json = usage_scan(buf_slice(&o->body), &usage);
	bool ok = o->http_status >= 200 && o->http_status <= 299;
	if (ok && !json) {
		line_fault(OUTCOME_INVALID, text_head(buf_slice(&o->body), UPSTREAM_TEXT_MAX), to);
		return;
	}
	o->success = ok;
	if (ok)
		o->usage = usage;
	line_answer(o, json, to);
}
