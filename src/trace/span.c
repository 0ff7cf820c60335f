/* span.c: filling a span. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/attr.h"
#include "base/sys.h"
#include "trace/span_impl.h"

/* ---- time ---- */

#define STEP_NS INT64_C(100000000)

/* The wall clock's time at a moment of the monotonic one. All spans go by one distance between the
 * two, so that what lies within another does so to the microsecond; it is taken anew after a step of
 * the wall clock. */
static uint64_t wall_ns(uint64_t monotonic_us)
{
	static _Atomic int64_t distance_ns;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	int64_t monotonic_ns = (int64_t)monotonic_us * 1000, kept = distance_ns;
	int64_t distance = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - monotonic_ns;
	if (distance - kept > STEP_NS || kept - distance > STEP_NS)
		distance_ns = kept = distance;
	return (uint64_t)(monotonic_ns + kept);
}

uint64_t trace_now_ns(void)
{
	return wall_ns(sys.monotonic_us());
}

/* ---- begin ---- */

struct span *span_start_at(const char *name, enum span_kind kind, const struct trace_context *own,
			   const struct trace_context *parent, uint64_t start_ns)
{
	struct span *s = own->sampled ? malloc(sizeof(*s)) : NULL;

	if (s == NULL)
		return NULL;
	/* the texts need no zeros */
	memset(s, 0, offsetof(struct span, attributes));
	s->own = *own;
	if (parent != NULL)
		s->parent = *parent;
	s->kind = kind;
	s->start_ns = start_ns;
	snprintf(s->name, sizeof(s->name), "%s", name);
	return s;
}

struct span *span_start(const char *name, enum span_kind kind, const struct trace_context *own,
			const struct trace_context *parent)
{
	uint64_t now_us = sys.monotonic_us();
	struct span *s = own->sampled ? span_start_at(name, kind, own, parent, wall_ns(now_us))
				      : NULL;

	if (s != NULL)
		s->start_us = now_us;
	return s;
}

void span_name(struct span *s, const char *operation, struct slice model)
{
	if (s != NULL)
		snprintf(s->name, sizeof(s->name), "%s%s%.*s", operation, model.n > 0 ? " " : "",
			 SLICE_ARG(model));
}

const struct trace_context *span_context(const struct span *s)
{
	return s != NULL ? &s->own : NULL;
}

const char *span_header(struct span *s)
{
	static const char name[] = "traceparent: ";

	if (s == NULL)
		return NULL;
	memcpy(s->header, name, sizeof(name) - 1);
	trace_context_write(&s->own, s->header + sizeof(name) - 1);
	return s->header;
}

/* ---- what it says ---- */

static struct span_attribute *attribute_add(struct span *s, const char *key)
{
	if (s == NULL || s->attribute_count == SPAN_ATTRIBUTES_MAX)
		return NULL;
	struct span_attribute *a = &s->attributes[s->attribute_count++];
	*a = (struct span_attribute){ .key = key };
	return a;
}

void span_text(struct span *s, const char *key, struct slice value)
{
	struct span_attribute *a = value.n > 0 ? attribute_add(s, key) : NULL;

	if (a == NULL)
		return;
	size_t room = SPAN_TEXT_BYTES - s->text_n;
	a->is_text = true;
	a->at = s->text_n;
	a->n = (uint16_t)(value.n < room ? value.n : room);
	memcpy(s->text + a->at, value.p, a->n);
	s->text_n = (uint16_t)(s->text_n + a->n);
}

void span_number(struct span *s, const char *key, int64_t value)
{
	struct span_attribute *a = attribute_add(s, key);

	if (a != NULL)
		a->number = value;
}

uint64_t span_now_ns(const struct span *s)
{
	return s->start_ns + (sys.monotonic_us() - s->start_us) * 1000;
}

void span_event(struct span *s, const char *name)
{
	if (s == NULL || s->event_count == SPAN_EVENTS_MAX)
		return;
	s->events[s->event_count++] = (struct span_event){ name, span_now_ns(s) };
}

void span_fail(struct span *s, const char *error_type)
{
	if (s == NULL || s->failed)
		return;
	s->failed = true;
	span_text(s, ATTR_ERROR, slice_of(error_type));
}

void span_drop(struct span *s)
{
	free(s);
}

/* ---- names ---- */

const char *trace_operation(const char *endpoint)
{
	static const char *const known[][2] = {
		{ "/v1/chat/completions", "chat" }, { "/v1/messages", "chat" },
		{ "/v1/responses", "chat" },        { "/v1/completions", "text_completion" },
		{ "/v1/embeddings", "embeddings" },
	};
	const char *slash = strrchr(endpoint, '/');

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i][0], endpoint) == 0)
			return known[i][1];
	return slash != NULL ? slash + 1 : endpoint;
}
