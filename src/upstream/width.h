/* width.h: how many requests in flight are right for one model on one upstream, found and followed
 * while they run.
 *
 * Each answer tells how long a unit of work (about a token) took while so many requests were in flight
 * on average during its life. Throughput at n in flight is n over that time (Little's law), so it is
 * known without counting answers a second, and right with wildly mixed lengths. The width is about the
 * least that gives nearly all of the throughput; while more in flight brings more, it grows.
 *
 *	starts low -> grows in steps (two- to threefold) while throughput grows -> settles on the knee
 *	           -> now and then tries a little more or less, and follows
 *	429, 503 with Retry-After: less at once, once for all that were in flight; soon back to before
 *	the engine's metrics: requests that wait in it mean less, none that wait mean more
 *	latency well above its own best at this width, and back to it with next to nothing in flight: others
 *	use the engine; room for as many of them as there were is kept for ten minutes after they were last
 *	seen, and then given up slowly
 *	after a pause or an outage: a quarter of the width at first (half, where refusals come by chance),
 *	then more with every answer
 *
 * Own online requests keep it where it is: probes come back when the reserve is not in force, or after
 * half an hour. Metrics that say that the engine is full of others while answers come as fast as ever,
 * or that never change, are not believed for 1 to 10 minutes.
 *
 * Room for batch lines is what is left of the width after online requests (beyond the reserve each counts
 * ONLINE_SHARE times: it is not to notice the batch), others' requests on the engine, and the reserve. For
 * ten minutes after online requests were seen lines are sent one by one, at most PACE times as fast as
 * they end.
 *
 * Pure: no I/O, no clock, no randomness; times are given in. Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "upstream/gauges.h"

/* Why the width is what it is; for log, metrics and console. */
#define WIDTH_REASONS(X)                                                                         \
	X(STARTING, "starting")         /* too few answers yet */                                \
	X(GROWING, "growing")           /* more in flight still brings more */                   \
	X(SETTLED, "settled")           /* more in flight only queues */                         \
	X(PROBING, "probing")           /* trying a little more or less */                       \
	X(FIXED, "fixed")               /* set by configuration */                               \
	X(LIMIT, "limit")               /* at max_concurrency */                                 \
	X(REFUSED, "refused")           /* cut by 429 or 503 */                                  \
	X(ENGINE_QUEUE, "engine_queue") /* requests wait in the engine */                        \
	X(ENGINE_CACHE, "engine_cache") /* its KV cache is full */                               \
	X(OTHERS, "others")             /* somebody else uses the engine: seen in its latency */ \
	X(REOPENING, "reopening")       /* after a pause or an outage */

enum width_reason {
#define X(name, text) WIDTH_##name,
	WIDTH_REASONS(X)
#undef X
};
const char *width_reason_name(enum width_reason reason);

struct width_config {
	unsigned fixed; /* > 0: this and no other */
	unsigned max;   /* never more in flight, online requests included; from 1 */
	int reserve; /* requests kept free for online ones; < 0: by itself: a twentieth of the width
	                 * (a seventh without metrics) for ten minutes after online requests were
	                 * seen, and half of the others that the metrics showed then; else none */
};

/* Taken when a request is sent, given back with its answer. */
struct width_mark {
	uint64_t sent_us;
	double area;      /* integral of requests in flight over time, until then */
	double in_flight; /* then, it included */
};

/* What an answer tells. */
struct width_answer {
	uint64_t prompt_tokens, output_tokens; /* from its usage; both 0: not known */
	uint64_t body_bytes;                   /* of the request */
};

struct width; /* laid out in width_impl.h; some 5 KB */

struct width *width_new(const struct width_config *config, uint64_t now_us); /* NULL: no memory */
void width_free(struct width *w);                                            /* NULL is fine */
/* After a reload. What was learnt stays. */
void width_configure(struct width *w, const struct width_config *config, uint64_t now_us);

/* ---- what happens on the lane ---- */

/* A batch line, or an online request, is sent, or is no longer in flight. */
struct width_mark width_batch_sent(struct width *w, uint64_t now_us);
void width_online_sent(struct width *w, uint64_t now_us);
/* The line was answered as it should be: the controller learns from it. */
void width_batch_answered(struct width *w, const struct width_mark *m, const struct width_answer *a,
			  uint64_t now_us);
/* It ended otherwise: nothing is learnt (an error, a timeout, a drop). */
void width_batch_gone(struct width *w, uint64_t now_us);
void width_online_gone(struct width *w, uint64_t now_us);
/* As width_batch_gone(), and the upstream said that it is too much: 429, or 503 with Retry-After. */
void width_batch_refused(struct width *w, const struct width_mark *m, uint64_t now_us);
/* The upstream takes requests again, after a pause or an outage. */
void width_reopened(struct width *w, uint64_t now_us);
/* The engine's metrics, fresh. `own`: requests in flight through this program on the whole upstream
 * at the time (they may be of several models). */
void width_gauges(struct width *w, const struct gauges *g, unsigned own, uint64_t now_us);
/* There are none, or they failed: from now on latency alone decides. */
void width_gauges_lost(struct width *w, uint64_t now_us);

/* ---- what follows ---- */

/* Time has passed: what time alone moves is moved. Before width_room(), once a turn of the loop, and at
 * least every 500 ms while lines wait. `held`: slots of lines that have been answered and are not durable
 * yet, which count as taken until the next tick. */
void width_tick(struct width *w, unsigned held, uint64_t now_us);
/* How many more batch lines may be sent now, as of the last tick and what has happened since. Changes
 * nothing. */
unsigned width_room(const struct width *w);
/* ... after width_reopened(), were that called now. */
unsigned width_room_reopened(const struct width *w);
/* Whether an online request may be sent: `max` is kept, nothing else. */
bool width_online_room(const struct width *w);

struct width_state {
	double width;      /* requests in flight that are right, all together */
	double best_per_s; /* work units a second at that width, as learnt; 0: not yet */
	double work_ms;    /* time of a unit of work there */
	enum width_reason reason;
	unsigned batch, online; /* in flight through us */
	double others;          /* in flight on the engine, not ours */
	unsigned reserve;       /* kept free now */
};
struct width_state width_state(const struct width *w, uint64_t now_us);
