/* dispatch.h: sends lines to the upstreams: libcurl's multi interface and epoll on one thread,
 * connections kept alive, retries with backoff, and one outcome for each line.
 *
 * Dispatch pulls: it asks the schedule for a line when there is a free slot and nobody pushes. A
 * batch is added once and dropped once; between the two its `struct dispatch_batch` belongs to the
 * dispatch thread, but for the atomics. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "batch/lease.h"
#include "batch/outcome.h"
#include "schedule/schedule.h"

struct dispatch;
struct line;

struct dispatch_upstream {
	const char *name;
	const char *base_url; /* without a slash at the end */
	const char *api_key;  /* or NULL */
	unsigned concurrency; /* lines in flight: sent, and not durable yet */
};

struct dispatch_config {
	const struct dispatch_upstream *upstreams;
	size_t upstream_count;
	unsigned max_attempts;
	uint64_t line_timeout_ms; /* of one attempt */
	uint64_t response_bytes_max;
};

struct dispatch_batch {
	/* set by the owner before dispatch_add() */
	void *owner;
	const char *id;       /* for the log */
	const char *endpoint; /* "/v1/chat/completions" */
	unsigned upstream;    /* number in the config */

	/* readable from any thread */
	_Atomic uint64_t running; /* lines that were sent and are not durable yet */
	_Atomic uint64_t retried; /* attempts beyond the first, of lines that have not ended */

	/* dispatch's own */
	struct schedule_entry entry;
	struct line *lines; /* in flight or waiting to be sent again */
	unsigned waiting;
	bool faulted; /* its input cannot be read: nothing more is sent */
	struct dispatch_batch *next_command;
	int command;
};

/* The bytes of one line, in the buffer they were read to. */
struct request_line {
	struct slice custom_id; /* raw, without quotes */
	struct slice body;
};

/* All are called in the dispatch thread and must not block. */
struct dispatch_ops {
	/* Lends the next segment of the batch; false: all are lent. */
	bool (*lease_next)(void *owner, struct lease *ret);
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

MUST_USE bool dispatch_open(const struct dispatch_config *config, const struct dispatch_ops *ops,
			    void *ctx, struct dispatch **ret, struct error *err);
/* Ends the thread. Every batch has been dropped before (the call may still be under way); lines that
 * were in flight end without an outcome and run again at the next start. NULL is fine. */
void dispatch_stop(struct dispatch *d);
/* Stops and frees. Nobody may call dispatch_recorded() any more. NULL is fine. */
void dispatch_close(struct dispatch *d);

/* ---- from any thread ---- */
void dispatch_add(struct dispatch *d, struct dispatch_batch *b);
/* Lets go of the batch's lines, in flight or waiting, and then calls ops->dropped. */
void dispatch_drop(struct dispatch *d, struct dispatch_batch *b);
/* So many of the batch's outcomes are durable: their slots are free. */
void dispatch_recorded(struct dispatch *d, struct dispatch_batch *b, unsigned lines);
/* Sends nothing new from now on; returns when nothing is in flight, or after `timeout_ms`. */
bool dispatch_drain(struct dispatch *d, uint64_t timeout_ms);
/* Why the upstream takes nothing at the moment. */
enum dispatch_stall { DISPATCH_FLOWS, DISPATCH_STALL_429, DISPATCH_STALL_DOWN };
enum dispatch_stall dispatch_stalled(const struct dispatch *d, unsigned upstream);
