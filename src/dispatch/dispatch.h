/* dispatch.h: sends lines to the upstreams, and online requests ahead of them: one thread with the
 * client's loop (client/client.h), retries with backoff, and one outcome for each line.
 *
 * Dispatch pulls: it asks the schedule for a line when an upstream has room. All
 * upstreams that serve a model pull from that model's schedule. How much room there is follows what
 * the upstream takes (limit/limit.h); online requests (online.h) take theirs first.
 *
 * What it sends the lines of are flows (flow.h), one for a batch. */
#pragma once

#include <stdint.h>

#include "base/budget.h"
#include "base/buf.h"
#include "base/error.h"
#include "batch/line.h"
#include "batch/outcome.h"
#include "batch/segment.h"
#include "dispatch/online.h"
#include "schedule/schedule.h"
#include "upstream/config.h"
#include "upstream/slots.h"

struct client;
struct client_guest;
struct dispatch;
struct tracer;

struct dispatch_config {
	unsigned max_attempts;
	uint64_t line_timeout_ms; /* of one attempt */
	uint64_t patience_ms;     /* execution.patience (contract 8.3) */
	uint64_t response_bytes_max;
	unsigned online_waiting_max; /* online requests that wait for room upstream; 0: any */
	struct tracer *tracer;       /* the caller's; NULL: nothing is traced */
	struct budget *budget;       /* the caller's; NULL: memory is not counted */
	struct client *client;       /* taken over, whether opening succeeds or not */
};

/* All are called in the dispatch thread and must not block. */
struct dispatch_ops {
	/* Lends the next segment of the batch; false: all are lent, or ret->later is set, and it
	 * is called again in a second or so. */
	bool (*segment_next)(void *owner, struct segment_cursor *ret);
	/* What the schedule wants to know of a line; false: it cannot be read. */
	bool (*look)(void *owner, uint64_t record, struct line_look *ret);
	/* Reads the line of `record` into `to` (cleared before). */
	bool (*line_read)(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
			  struct error *err);
	/* A line has ended; `o` changes hands. */
	void (*ended)(void *ctx, struct outcome *o);
	/* Nothing of the flow is in flight any more and nothing will be: the owner may free it. */
	void (*dropped)(void *owner);
	/* The batch's budget of tokens is used up, and nothing of it is in flight. Of a flow that
	 * has one. */
	void (*spent)(void *owner);
	/* The input cannot be read: no more lines of this batch are sent. */
	void (*fault)(void *owner, const struct error *err);
	/* After each turn where upstreams are shared among nodes: how what has ended may become
	 * durable. NULL: nobody wants to know. */
	void (*gather)(void *ctx, enum outcome_gather how);
	/* Online requests of so many units are in flight at upstreams of that name, which another
	 * node drives. NULL: nobody wants to know. */
	void (*online)(void *ctx, const char *upstream, unsigned units);
};

/* `upstreams` as for dispatch_upstreams(). */
MUST_USE bool dispatch_open(const struct dispatch_config *config,
			    const struct upstream_config *upstreams, size_t upstream_count,
			    const struct dispatch_ops *ops, void *ctx, struct dispatch **ret,
			    struct error *err);
/* Ends the thread. Every flow has been dropped before (the call may still be under way); lines that
 * were in flight end without an outcome and run again at the next start. NULL is fine. */
void dispatch_stop(struct dispatch *d);
/* Stops and frees. Every flow has been freed before. NULL is fine. */
void dispatch_close(struct dispatch *d);

/* ---- from any thread ---- */
/* Sends nothing new from now on; returns when no line is in flight, or after `timeout_ms`. */
bool dispatch_drain(struct dispatch *d, uint64_t timeout_ms);
/* Ends all online requests, those to come as well (ONLINE_CLOSING). */
void dispatch_online_close(struct dispatch *d);

/* Takes over another list of upstreams; it is copied. One of the same name and URL as before keeps
 * what was learnt of it; one that is gone, or is set to drain, gets nothing new and ends what it
 * has. Lines that wait go to those that serve their model. Waits for the dispatch thread. */
MUST_USE bool dispatch_upstreams(struct dispatch *d, const struct upstream_config *list, size_t n,
				 struct error *err);
/* The dispatch thread serves the guest's sockets, too, from now on (client_guest()); NULL: no more.
 * Waits for the dispatch thread. */
MUST_USE bool dispatch_guest(struct dispatch *d, const struct client_guest *guest,
			     struct error *err);

/* ---- one of several nodes that share the upstreams (cluster/protocol.h). From any thread ----
 *
 * A line goes only to an upstream that this node drives, and only before its deadline. Online
 * requests go to each upstream at any time, and models are served, and shown, whoever drives. */

/* This node drives the upstreams of that name, or does not; NULL: all those of which nothing was
 * said, at first that it drives them. Holds also for those that a later list brings. What is in flight
 * ends; what follows in a call of this thread finds it done. */
void dispatch_drives(struct dispatch *d, const char *upstream, bool drives);
/* Asked in the dispatch thread before each line, and once more as its request goes out, which may
 * be later: until when lines may be sent, in us of sys.monotonic_us(). Must not wait. NULL: for
 * ever, as at first. To be set before the first flow is opened; `ctx` outlives dispatch_stop(). */
void dispatch_deadline(struct dispatch *d, int64_t (*deadline_us)(void *ctx), void *ctx);
/* Another node has online requests of so many units in flight at `upstream`: its own word, which holds
 * for HEARD_MS (online_shared.h). Of no effect where this node does not drive it. Does not wait. */
void dispatch_online_heard(struct dispatch *d, uint64_t node, const char *upstream, unsigned units);
/* No line is in flight there, and all that were answered are durable. Waits for the dispatch
 * thread. */
bool dispatch_idle_upstream(struct dispatch *d, const char *upstream);
/* The models that upstreams serve which this node drives, and which are well enough to be sent a
 * line: those that these list or report; where one of them has no list, so that it may take any
 * name, also those of the flows here that no upstream lists. Of other names dispatch_drives_model()
 * tells. One malloc'ed array with its texts; NULL: no memory, and 0. Waits for the dispatch thread. */
size_t dispatch_driven_models(struct dispatch *d, char ***ret);
/* How well an upstream has to be. */
enum drives_how {
	DRIVES_ANY,
	DRIVES_HOPED, /* it is up, or has been down for less than DRIVES_HOPE_MS, or a line that
		       * was sent since then may yet find it up */
	DRIVES_WELL,  /* it is up, or a line may find out that it is */
};
#define DRIVES_HOPE_MS 10000u
/* The same of one model, whatever its name. Waits for the dispatch thread. */
bool dispatch_drives_model(struct dispatch *d, const char *model, enum drives_how how);

/* Whether some upstream takes lines of that model: it lists it, or lists none. */
bool dispatch_serves(struct dispatch *d, const char *model);

/* JSON array of the models that all upstreams together serve: {"id","object":"model","created",
 * "owned_by"} each, by id: what they report, or what their configuration lists. */
void dispatch_models(struct dispatch *d, struct buf *to);
/* What is going on: dispatch_view(), in view.h. */
