/* flow.h: the lines of one batch for one model, on their way through dispatch.
 *
 *	flow_new()
 *	flow_open() ----> dispatch pulls lines by its ops, sends them, hands on each outcome
 *	                    flow_suspend():  no new lines meanwhile
 *	                    flow_recorded(): these outcomes are durable (recorder)
 *	flow_drop() ----> what is in flight or waits is dropped; then ops->dropped
 *	flow_free()       or flow_open() again, once all outcomes that were handed on have come back
 *
 * A flow is its owner's from new to open and from ops->dropped on, and dispatch's in between.
 * Threads: any. Open, drop and free come one after another, suspend and recorded between open
 * and free, flow_progress() and flow_is_busy() at any time; drop may be repeated when the
 * process ends. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/id.h"
#include "batch/outcome.h"
#include "batch/stall.h"
#include "trace/context.h"

struct dispatch;
struct flow;
struct spending;

/* The texts are the owner's and outlive the flow. */
struct flow_config {
	void *owner;          /* for dispatch's ops */
	const char *id;       /* for the log */
	const char *endpoint; /* "/v1/chat/completions" */
	const char *model;    /* of all its lines; NULL: it is not known */

	/* what the schedule goes by (schedule.h) */
	char org[ID_SIZE];
	unsigned org_weight;           /* from 1 */
	int64_t expires_at;            /* Unix s */
	uint64_t rest_lines;           /* that have not ended */
	uint64_t rest_bytes;           /* of their bodies, about */
	bool prefixes;                 /* some lines share a prefix */
	bool suspended;                /* from the beginning */
	const struct opening *opening; /* when it may send; the owner suspends it. NULL: always */
	struct spending *spending;     /* its budget of tokens, other flows' as well; NULL: none */
	/* of a line; 0: as dispatch is configured */
	unsigned max_attempts;
	uint64_t line_timeout_ms;

	struct trace_context trace; /* the batch's span; zeroed: it is not traced */
};

/* A moment of a flow; all 0 before it was opened. `running` and `retried` are of the call, the rest
 * is what the dispatch thread found last: what stalls it is renewed when that changes, the forecast
 * once a second. */
struct flow_view {
	uint64_t running;            /* lines that were sent and are not durable yet */
	uint64_t retried;            /* requests beyond the first, of lines that have not ended */
	enum batch_stall stall;      /* up to STALL_REFUSED, or STALL_PAUSED: a slow disk */
	bool certificate;            /* a certificate is what stalls it */
	char text[STALL_TEXT_BYTES]; /* what it waits for, in words; "": it does not wait */
	int64_t eta_at;              /* Unix s; 0: cannot be told */
	bool at_risk;                /* that is after its window's end */
	unsigned queue_position; /* batches that are served before it gets a slot; 0: it has one */
	double rate_per_s;       /* lines ended, lately */
};

MUST_USE bool flow_new(struct dispatch *d, struct flow **ret, struct error *err);
/* Where dispatch has no memory for it later ops->fault is called. */
void flow_open(struct flow *f, const struct flow_config *config);
/* A flow that is suspended gets no new lines and none is sent again; those in flight end. */
void flow_suspend(struct flow *f, bool suspended);
/* Drops its lines, in flight or waiting, and then calls ops->dropped. */
void flow_drop(struct flow *f);
/* NULL is fine. */
void flow_free(struct flow *f);

/* These outcomes, linked by `next`, of flows of the same dispatch, are durable: more lines may be
 * sent. */
void flow_recorded(const struct outcome *first);
/* Whether lines were sent that are not durable yet. */
bool flow_is_busy(const struct flow *f);
void flow_progress(struct flow *f, struct flow_view *ret);
