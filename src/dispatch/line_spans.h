/* line_spans.h: the spans of a line that is traced (trace/span.h): one of its own from its first
 * attempt to its end, and below that one an attempt, whose context goes with the request. Threads:
 * dispatch alone. */
#pragma once

#include <stdint.h>

#include "trace/context.h"
#include "upstream/judge.h"

struct span;
struct tracer;
struct upstream;

/* Zeroed: the line is not traced. */
struct line_spans {
	struct tracer *tracer;
	struct span *line, *attempt; /* NULL: there is none, or no memory for one */
};

/* What is said of a line when it is sent. */
struct line_sending {
	const struct trace_context *batch; /* that the line is a part of */
	const char *batch_id, *endpoint, *model;
	uint64_t record;
	unsigned number; /* of the attempt, from 1 */
	const struct upstream *upstream;
};

/* An attempt begins. */
void line_spans_send(struct line_spans *s, struct tracer *t, const struct line_sending *what);
/* It was not sent after all. */
void line_spans_unsend(struct line_spans *s);
/* It has ended. */
void line_spans_answer(struct line_spans *s, const struct attempt_end *e, enum blame blame);
/* The line has ended; its last attempt has before. */
void line_spans_end(struct line_spans *s, const struct attempt_end *e, enum outcome_fault fault,
		    unsigned attempts);
/* The line is let go of: its batch ends early, or the process. */
void line_spans_drop(struct line_spans *s);
