/* limit.h: the concurrency limit, found while requests run, and followed: of one model on one
 * upstream, or of an engine with all its models, where its metrics show that they share it.
 *
 * All counts are units: a request with `n: 4`, or a list of four inputs, is four of them, as it is
 * in the engine. Each answer tells how long a unit of work (about a token) took while so many units
 * were in flight on average during its life. Throughput at n in flight is n over that time
 * (Little's law), so throughput is known without counting answers a second, and right with wildly
 * mixed lengths. Without metrics the limit is about the least concurrency that gives nearly all of
 * the throughput; the limit grows while more in flight brings more.
 *
 *	starts low -> grows in steps (two- to threefold) while throughput grows
 *	           -> settles on the knee -> now and then tries a little more or less, and follows
 *
 * There are five limiters, each with a cap (or advice) and its reasons. The least cap is the limit,
 * and its reason is the limit's:
 *
 *	search.h   what throughput says, as above; it goes back to the slots when online answers
 *	           begin late (first.h)
 *	engine.h   leads search by the engine's metrics, while there are any: its slots, and what has
 *	           to wait for them
 *	backoff.h  refusals (429, 503 of a bounded queue): cut at once, once for all that were in
 *	           flight; soon back
 *	yield.h    cross traffic: latency is well above its own best at this limit, and recovers
 *	           with next to nothing of ours in flight; room for as many of others' requests as
 *	           there were is kept for ten minutes after they were last seen, and then given up
 *	           slowly
 *	reopen.h   a slow start after a pause or an outage: a quarter of the limit (half, where
 *	           refusals are load-independent), then more with every answer
 *
 * Probing is suspended while our own online requests keep a reserve, but for half an hour at most.
 * Metrics that cannot be true are ignored for 1 to 60 minutes: enum limit_doubt.
 *
 * Room for batch lines is what is left of the limit after online requests (beyond the reserve each
 * counts ONLINE_SHARE times, so that it does not notice the batch), others' requests on the engine,
 * and the reserve. For ten minutes after online requests were seen lines are sent one by one, at
 * most PACE times as fast as they end, and none until its turn after an online request.
 *
 * Pure: no I/O, no clock, no randomness; times are given in. Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "upstream/gauges.h"

/* Why the limit is what it is; for log, metrics and console. */
#define LIMIT_REASONS(X)                                                                   \
	X(STARTING, "starting")           /* too few answers yet */                        \
	X(GROWING, "growing")             /* more in flight still brings more */           \
	X(SETTLED, "settled")             /* more in flight only queues */                 \
	X(PROBING, "probing")             /* trying a little more or less */               \
	X(FIXED, "fixed")                 /* set by configuration */                       \
	X(AT_MAX, "max_concurrency")      /* at max_concurrency */                         \
	X(REFUSED, "refused")             /* cut by 429 or 503 */                          \
	X(ENGINE_QUEUE, "engine_queue")   /* requests wait in the engine */                \
	X(ENGINE_CACHE, "engine_cache")   /* its KV cache is full */                       \
	X(CROSS_TRAFFIC, "cross_traffic") /* others use the engine: seen in its latency */ \
	X(SLOW_START, "slow_start")       /* after a pause or an outage */

enum limit_reason {
#define X(name, text) LIMIT_##name,
	LIMIT_REASONS(X)
#undef X
};
const char *limit_reason_name(enum limit_reason reason);

/* Why metrics are not followed; for the log. */
#define LIMIT_DOUBTS(X)                                                                           \
	X(NONE, "")                                                                               \
	X(SILENT, "they never show a request that runs: they tell nothing of the engine's slots") \
	X(HIDDEN, "they show much less than what is in flight: answers take hardly a step, or "   \
		  "they are of another engine, or stand still")                                   \
	X(CROWD, "they claim that others fill the engine, and answers come as if nobody did")

enum limit_doubt {
#define X(name, text) LIMIT_DOUBT_##name,
	LIMIT_DOUBTS(X)
#undef X
};
const char *limit_doubt_text(enum limit_doubt doubt);

struct limit_config {
	unsigned fixed; /* > 0: so many requests, each counted as one, and no other */
	unsigned max;   /* never more requests in flight, online ones included; from 1 */
	int reserve;    /* requests kept free for online ones; < 0: by itself: for ten minutes after
	                 * online requests, or others, were seen, by the most of them then and the
	                 * time in which a slot falls free (no less than a seventh of the limit
	                 * without metrics); else none */
};

/* Taken when a request is sent, given back with its answer. */
struct limit_mark {
	uint64_t sent_us;
	double area;      /* integral of requests in flight over time, until then */
	double in_flight; /* then, it included */
	unsigned units;
};

/* What an answer tells. */
struct limit_answer {
	uint64_t prompt_tokens, output_tokens; /* from its usage; both 0: not known */
	uint64_t body_bytes;                   /* of the request */
};

struct limit; /* laid out in limit_impl.h; some 8 KB */

struct limit *limit_new(const struct limit_config *config, uint64_t now_us); /* NULL: no memory */
void limit_free(struct limit *l);                                            /* NULL is fine */
/* After a reload. What was learnt stays. */
void limit_configure(struct limit *l, const struct limit_config *config, uint64_t now_us);

/* ---- what happens on the lane ---- */

/* A batch line, or an online request, of so many units is sent, or is no longer in flight. */
struct limit_mark limit_batch_sent(struct limit *l, unsigned units, uint64_t now_us);
void limit_online_sent(struct limit *l, unsigned units, uint64_t now_us);
/* The first byte of a streamed answer came, to the online request that was sent at `sent_us`, or
 * the next after that: its time tells whether it had to wait in the engine. */
void limit_online_first(struct limit *l, uint64_t sent_us, uint64_t now_us);
/* The line was answered as it should be: the controller learns from it. */
void limit_batch_answered(struct limit *l, const struct limit_mark *m, const struct limit_answer *a,
			  uint64_t now_us);
/* The line ended otherwise: nothing is learnt (an error, a timeout, a drop). */
void limit_batch_gone(struct limit *l, const struct limit_mark *m, uint64_t now_us);
void limit_online_gone(struct limit *l, unsigned units, uint64_t now_us);
/* As limit_batch_gone(), and the upstream said that there are too many: 429, or 503 of a bounded
 * queue. */
void limit_batch_refused(struct limit *l, const struct limit_mark *m, uint64_t now_us);
/* The upstream takes requests again, after a pause or an outage. */
void limit_reopened(struct limit *l, uint64_t now_us);
/* The engine's metrics, fresh; it was asked for them at `asked_us`. From the first on the limit is
 * of the whole engine: see limit_share(). */
void limit_gauges(struct limit *l, const struct gauges *g, uint64_t asked_us, uint64_t now_us);
/* The engine has no metrics, or could not be asked: from now on latency alone decides. */
void limit_gauges_lost(struct limit *l, uint64_t now_us);
/* So many online requests are in flight already. */
void limit_online_join(struct limit *l, unsigned requests, unsigned units, uint64_t now_us);
/* From now on all lines of an upstream go by `l`: `lines` of them, `units` in all, are in flight
 * that were not sent by it. Their answers teach nothing. */
void limit_share(struct limit *l, unsigned lines, unsigned units, uint64_t now_us);

/* ---- what follows ---- */

/* Whether this program is busy: what answers take then is, for a part, its own doing. Throughput
 * says what it says, but latency is no sign of a queue in the engine, or of others there. */
void limit_busy(struct limit *l, bool busy);
/* Whether nothing is to wait in the engine though nobody minds: where each slot has a prompt cache
 * of its own, what waits takes the slot that falls free, and its cache with it. */
void limit_unqueued(struct limit *l, bool unqueued);
/* Moves what time alone moves. Before limit_room(), once a turn of the loop, and at least every 500
 * ms while lines wait. */
void limit_tick(struct limit *l, uint64_t now_us);
/* How many more units of batch lines may be sent now, as of the last tick and what has happened
 * since: with one left a line may go, whatever its units. Changes nothing. */
unsigned limit_room(const struct limit *l);
/* ... after limit_reopened(), were that called now. */
unsigned limit_room_reopened(const struct limit *l);

struct limit_state {
	double limit;      /* in force: units in flight, all together */
	double best_per_s; /* work units a second at that limit, as learnt; 0: not yet */
	double work_ms;    /* time of a unit of work there */
	enum limit_reason reason;
	enum limit_doubt doubt; /* why the engine's metrics are not followed */
	unsigned batch, online; /* in flight through us */
	double others;          /* in flight on the engine, not ours */
	unsigned reserve;       /* kept free now */
};
struct limit_state limit_state(const struct limit *l, uint64_t now_us);
