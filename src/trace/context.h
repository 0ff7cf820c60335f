/* context.h: where in a trace something is: W3C Trace Context, level 1. Plain values; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define TRACE_ID_BYTES 16u
#define SPAN_ID_BYTES 8u
#define TRACEPARENT_BYTES 55u /* "00-" 32 hex "-" 16 hex "-" 2 hex */

/* Zeroed it is none: ids that are all zero are no ids. */
struct trace_context {
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
	bool sampled; /* false: whoever began the trace does not record it */
};

static inline bool trace_context_is_set(const struct trace_context *c)
{
	static const uint8_t zero[TRACE_ID_BYTES];

	return memcmp(c->trace_id, zero, sizeof(zero)) != 0;
}

/* Reads the value of a header `traceparent`. Of a version later than 00 what is known of it counts,
 * as the standard wants. False: it is malformed, and counts for nothing. */
bool trace_context_read(struct slice traceparent, struct trace_context *ret);
/* Writes it, as version 00, with a NUL. */
void trace_context_write(const struct trace_context *c, char to[static TRACEPARENT_BYTES + 1]);

/* A span below `parent`, or, where that is NULL or none, the first of a trace of its own, which is
 * recorded. Ids are random. */
struct trace_context trace_context_new(const struct trace_context *parent);
/* The same, with ids that `id` decides, whose last 32 characters are random hex digits
 * ("batch_0a1b…"): the same before and after a restart, without being kept anywhere. Random ones
 * where it has another form. */
struct trace_context trace_context_of(const char *id, const struct trace_context *parent);

/* `n` bytes as 2n hex digits, with a NUL. */
void trace_hex(const uint8_t *bytes, size_t n, char *to);
