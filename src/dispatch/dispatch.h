/* dispatch.h: sends lines to the upstreams, and online requests ahead of them: libcurl's multi
 * interface and epoll on one thread, connections kept alive, retries with backoff, and one outcome for
 * each line.
 *
 * Dispatch pulls: it asks the schedule for a line when an upstream has room and nobody pushes. All
 * upstreams that serve a model pull from that model's schedule. How much room there is follows what the
 * upstream takes (upstream/width.h); online requests (online.h) take theirs first.
 *
 * A batch is added once and dropped once; between the two its `struct dispatch_batch` belongs to the
 * dispatch thread, but for the atomics. */
#pragma once

#include <stdint.h>

#include "base/budget.h"
#include "base/buf.h"
#include "base/error.h"
#include "batch/outcome.h"
#include "batch/segment.h"
#include "batch/stall.h"
#include "dispatch/mail.h"
#include "dispatch/online.h"
#include "dispatch/slots.h"
#include "schedule/schedule.h"
#include "upstream/config.h"

struct dispatch;
struct line;
struct model;

struct dispatch_config {
	unsigned max_attempts;
	uint64_t line_timeout_ms; /* of one attempt */
	uint64_t patience_ms;     /* execution.patience (contract 8.3) */
	uint64_t response_bytes_max;
	unsigned online_waiting_max; /* online requests for which there is no room upstream; 0: any */
	struct budget *budget;       /* the caller's; NULL: memory is not counted */
};

struct dispatch_batch {
	/* set by the owner before dispatch_add(); also the first part of `entry` (schedule.h), but for
	 * entry.batch */
	void *owner;
	const char *id;       /* for the log */
	const char *endpoint; /* "/v1/chat/completions" */
	const char *model;    /* of all its lines; NULL: it is not known */

	/* readable from any thread */
	struct slots slots;       /* slots_held(): lines that were sent and are not durable yet */
	_Atomic uint64_t retried; /* requests beyond the first, of lines that have not ended */
	_Atomic int stall;        /* enum batch_stall; up to STALL_REFUSED */
	_Atomic bool certificate; /* a certificate is what stalls it */
	char stall_text[STALL_TEXT_BYTES]; /* what it waits for, in words: dispatch_stall_text() */
	_Atomic int64_t eta_at;            /* Unix s; 0: cannot be told */
	_Atomic bool suspended;            /* what dispatch_suspend() asked for last */
	_Atomic bool at_risk;
	_Atomic unsigned queue_position;
	_Atomic unsigned rate_per_ks; /* lines ended in 1,000 seconds, lately */

	/* dispatch's own */
	struct mail mail;
	struct model *of;
	struct schedule_batch entry;
	struct line *lines; /* in flight or waiting to be sent again */
	unsigned waiting;
	bool probed;           /* it failed a probe: others' turn first */
	char failed_text[224]; /* what the line that failed last was told */
	enum batch_stall failed_as;
	int64_t failed_at;            /* Unix s */
	bool faulted;                 /* its input cannot be read: nothing more is sent */
	uint64_t ended, ended_before; /* lines; at the last tick */
	double rate;
	unsigned rated; /* ticks that it is made of */
};

/* The bytes of one line, in the buffer they were read to. */
struct request_line {
	struct slice custom_id; /* raw, without quotes */
	struct slice body;
};

/* All are called in the dispatch thread and must not block. */
struct dispatch_ops {
	/* Lends the next segment of the batch; false: all are lent. */
	bool (*segment_next)(void *owner, struct segment_cursor *ret);
	/* What the schedule wants to know of a line; false: it cannot be read. */
	bool (*look)(void *owner, uint64_t record, struct schedule_look *ret);
	/* Reads the line of `record` into `to` (cleared before). */
	bool (*line_read)(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
			  struct error *err);
	/* A line has ended; `o` changes hands. */
	void (*ended)(void *ctx, struct outcome *o);
	/* Nothing of the batch is in flight any more and nothing will be: the owner may free it. */
	void (*dropped)(void *owner);
	/* The input cannot be read: no more lines of this batch are sent. */
	void (*fault)(void *owner, const struct error *err);
};

/* `upstreams` as for dispatch_upstreams(). */
MUST_USE bool dispatch_open(const struct dispatch_config *config,
			    const struct upstream_config *upstreams, size_t upstream_count,
			    const struct dispatch_ops *ops, void *ctx, struct dispatch **ret,
			    struct error *err);
/* Ends the thread. Every batch has been dropped before (the call may still be under way); lines that
 * were in flight end without an outcome and run again at the next start. NULL is fine. */
void dispatch_stop(struct dispatch *d);
/* Stops and frees. Nobody may call dispatch_recorded() any more. NULL is fine. */
void dispatch_close(struct dispatch *d);

/* ---- from any thread ---- */
void dispatch_add(struct dispatch *d, struct dispatch_batch *b);
/* Lets go of the batch's lines, in flight or waiting, and then calls ops->dropped. */
void dispatch_drop(struct dispatch *d, struct dispatch_batch *b);
/* What the batch waits for, in words; "" when it does not wait. */
void dispatch_stall_text(struct dispatch *d, const struct dispatch_batch *b,
			 char to[static STALL_TEXT_BYTES]);
/* A batch that is suspended gets no new lines and none is sent again; those in flight end. Between add
 * and drop; before the add entry.suspended says it. */
void dispatch_suspend(struct dispatch *d, struct dispatch_batch *b, bool suspended);
/* These outcomes of the batch, linked by `next`, are durable: their slots are free. */
void dispatch_recorded(struct dispatch *d, struct dispatch_batch *b, const struct outcome *first);
/* Sends nothing new from now on; returns when no line is in flight, or after `timeout_ms`. */
bool dispatch_drain(struct dispatch *d, uint64_t timeout_ms);
/* Ends all online requests, those to come as well (ONLINE_CLOSING). */
void dispatch_online_close(struct dispatch *d);

/* Takes over another list of upstreams; it is copied. One of the same name and URL as before keeps what
 * was learnt of it; one that is gone, or is set to drain, gets nothing new and ends what it has. Lines
 * that wait go to whoever serves their model. Waits for the dispatch thread. */
MUST_USE bool dispatch_upstreams(struct dispatch *d, const struct upstream_config *list, size_t n,
				 struct error *err);
/* Whether some upstream takes lines of that model: it lists it, or lists none. */
bool dispatch_serves(struct dispatch *d, const char *model);

/* JSON array of the models that all upstreams together serve: {"id","object":"model","created",
 * "owned_by"} each, by id: what they report, or what their configuration lists. */
void dispatch_models(struct dispatch *d, struct buf *to);
/* What is going on: dispatch_view(), in view.h. */
