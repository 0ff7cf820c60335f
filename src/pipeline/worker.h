/* worker.h: the sending side of one batch in this process: takes a lease on a span, hands its lines
 * to dispatch, keeps the journal, and settles what is durable.
 *
 *	          take, flow_open          asked back, or lease lost:
 *	                                   flow_drop
 *	WORKER_IDLE ----> WORKER_SENDING ----> WORKER_ENDING
 *	     ^                                      |
 *	     \-- dropped, flushed: give_back, idle -/
 *
 * The journal belongs to a batch and a worker: no other writes to it. A worker whose lease is lost
 * drops what is in flight and settles nothing more; what it wrote to its journal meanwhile counts
 * for nothing.
 *
 * Threads. Dispatch calls for segments and lines, the recorder for the journal; the coordinator
 * calls worker_start(), _renew(), _recall() in its turn, _suspend() in a client's call as well: they
 * are what wakes a worker up and no more. What a worker may do is said by its lease. */
#pragma once

#include "base/error.h"
#include "dispatch/dispatch.h"
#include "dispatch/flow.h"
#include "journal/recorder.h"
#include "pipeline/lessor.h"
#include "pipeline/open_files.h"
#include "store/spans.h"

struct history;
struct worker;

/* What a worker's lines belong to, where several nodes share a database: the span as it was lent,
 * and to whom. */
struct worker_span {
	struct span_id id;
	uint64_t epoch;
	struct owner owner;
};

/* What the owner is told and asked. */
struct worker_ops {
	/* The input cannot be read: no more lines are sent. Dispatch thread. */
	void (*fault)(void *ctx);
	/* Its budget of tokens is used up: no more lines are sent. Dispatch thread. */
	void (*spent)(void *ctx);
	/* Whether the batch is to end. Recorder thread, while the disk refuses. */
	bool (*ends)(void *ctx);
	/* The span is another's: what was answered does not count. Recorder thread. */
	void (*lost)(void *ctx);
	/* The worker has let go of its lease, or had lost it, and may take another. Under the
	 * worker's lock: the owner may free the worker as soon as that is released. Recorder
	 * thread. */
	void (*idle)(void *ctx);
};

/* All of it is the owner's, and outlives the worker. */
struct worker_config {
	const char *batch_id;
	struct lessor lessor;
	const struct worker_span *span; /* NULL: this is the one machine */
	struct open_files *files;
	struct dispatch *dispatch;
	struct recorder *recorder;
	struct history *history; /* its lines are counted there, as of `org`; NULL: nowhere */
	const char *org;
	const _Atomic bool *closing; /* the process ends: nothing is given back */
	const struct worker_ops *ops;
	void *ctx;
};

MUST_USE bool worker_new(const struct worker_config *config, struct worker **ret,
			 struct error *err);
void worker_free(struct worker *w); /* idle, or abandoned and all threads ended. NULL is fine */

/* The lines of one model, which go out as a flow of their own (contract 11.1, mixed_models). The
 * owner's, until the worker is idle. */
struct worker_share {
	const char *model;               /* NULL: it is not known */
	uint16_t number;                 /* in the index: lines of others are not in it */
	uint64_t rest_lines, rest_bytes; /* as in flow_config */
	const uint8_t *segments;         /* bit set: some of its lines stand there */
};

/* Makes room for so many shares. Only an idle one. */
MUST_USE bool worker_room(struct worker *w, unsigned shares, struct error *err);
/* From its next start on it sends the lines of a canary alone: a bit a line of the batch, the owner's
 * until the worker is idle. NULL: all. Only an idle one. */
void worker_canary(struct worker *w, const uint8_t *lines);
/* Takes a lease and begins to send: `task`, but for its owner and id; and where there are shares, a
 * flow for each, with what they say in the place of what `task` does. False: there is no lease to
 * take. Only an idle one. May wait, as the lessor does. */
bool worker_start(struct worker *w, const struct flow_config *task,
		  const struct worker_share *shares, unsigned n);
/* Drops what is in flight; gives the lease back when all that was answered is durable. */
void worker_recall(struct worker *w);
/* No new line while suspended. Of no effect unless it sends. */
void worker_suspend(struct worker *w, bool suspended);
/* Whether it is time to renew the lease. Any thread; does not wait. */
bool worker_renew_is_due(struct worker *w, uint64_t now_ms);
/* When that is; UINT64_MAX: it does not send, or the lease has no end. Any thread; does not wait. */
uint64_t worker_renew_ms(struct worker *w);
/* Renews the lease if it is time; one that is lost ends the sending. May wait, as the lessor
 * does. */
void worker_renew(struct worker *w, uint64_t now_ms);
/* The process ends: as worker_recall(), but the lease is not given back. */
void worker_abandon(struct worker *w);

/* Any thread. */
bool worker_is_idle(struct worker *w);
/* Whether lines are in flight. Any thread. */
bool worker_is_busy(struct worker *w);
/* Calls `each` for the lines of each share that have not been answered: their model (NULL: it is not
 * known) and how many. Only while it sends. Any thread. */
typedef void (*share_fn)(void *ctx, const char *model, uint64_t left);
void worker_shares(struct worker *w, share_fn each, void *ctx);
/* A moment of the sending, of all shares together; all 0 while nothing is sent. */
void worker_look(struct worker *w, struct flow_view *ret);

/* `owner`: a worker, as the recorder knows it, that has a span. */
const struct worker_span *worker_span(const void *owner);

/* The owner of a line is, for the recorder, its worker. */
extern const struct dispatch_ops worker_dispatch_ops;
extern const struct recorder_ops worker_recorder_ops;
