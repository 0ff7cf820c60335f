/* line.h: a line that dispatch holds: in flight (attempt.h) or waiting to be sent again (retry.h).
 *
 *	line_new() ---> attempt ---> line_free()
 *	                 |   ^
 *	    line_wait()  v   |  line_due(), line_last()
 *	                waiting
 *
 * Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dispatch/line_spans.h"
#include "dispatch/retry.h"
#include "dispatch/trials.h"
#include "limit/limit.h"
#include "schedule/schedule.h"
#include "upstream/slots.h"

struct flow;
struct lane;
struct line_transfer;
struct model;

struct line {
	struct flow *flow;
	struct line *next, *prev; /* of the flow's lines */
	struct schedule_line scheduled;
	struct trials trials;
	uint32_t retried; /* what of its attempts is in its flow's `retried` */
	struct retry_entry retry;
	struct slot slot;
	uint64_t expected; /* tokens, of a budget, while in flight; 0: see spending.h */
	uint64_t wants;    /* the same, of one that did not fit; 0: it is asked again in any case */
	unsigned again_ms; /* that it waits when it could not be read; 0: SEND_AGAIN_MS */
	bool up;           /* the server was, when the line was sent: see trials.h */
	struct line_transfer *transfer;
	struct lane *lane; /* while in flight */
	struct limit_mark mark;
	struct line_spans spans;
};

/* The process ends when memory is out (base/memory.h). */
struct line *line_new(struct model *m, const struct schedule_line *scheduled);
/* It is neither in flight nor waiting. */
void line_free(struct line *l);

/* Puts it off until `due_ms`, or, if it has to go alone, until nothing else is left. */
void line_wait(struct line *l, uint64_t due_ms);
/* A line is taken from where it waits. */
void line_unwait(struct line *l);
/* A waiting line that is due, taken off; NULL: none. Not one that failed on the upstream `avoid`
 * last (RETRY_AVOIDS_NONE: any). */
struct line *line_due(struct model *m, uint64_t now_ms, unsigned avoid);
/* One of those that have to go alone and are due, taken off; NULL: none. */
struct line *line_last(struct model *m, uint64_t now_ms);
/* Those of a flow that is suspended wait for its return. */
void lines_suspend(struct flow *f, bool suspended);

/* Held back, a flow gets no new lines: because it failed a probe and others' turn is first, because
 * too many of its lines wait, or because it cannot be read. */
void flow_hold(struct flow *f, bool probed);
