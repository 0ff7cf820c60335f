/* span_impl.h: what a span is made of, for the files that write and keep it. Private to trace/. */
#pragma once

#include "trace/span.h"

struct span_attribute {
	const char *key;
	bool is_text;
	uint16_t at, n; /* of the span's text */
	int64_t number;
};

struct span_event {
	const char *name;
	uint64_t at_ns;
};

struct span {
	struct span *next; /* of the tracer's queue */
	struct trace_context own, parent;
	enum span_kind kind;
	bool failed;
	uint64_t start_ns, end_ns;
	uint64_t start_us; /* sys.monotonic_us(); 0: it lies in the past */
	char name[SPAN_NAME_BYTES];
	char header[SPAN_HEADER_BYTES];
	uint8_t attribute_count, event_count;
	uint16_t text_n;
	struct span_attribute attributes[SPAN_ATTRIBUTES_MAX];
	struct span_event events[SPAN_EVENTS_MAX];
	char text[SPAN_TEXT_BYTES];
};

/* The time of now in the span's own reckoning: a step of the wall clock does not stretch it. */
uint64_t span_now_ns(const struct span *s);
