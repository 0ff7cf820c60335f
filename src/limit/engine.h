/* engine.h: the limiter by the engine's own metrics. While it leads, it gives the cap, and search
 * (search.h) only holds it:
 *
 *	cap = slots + hide
 *
 * `slots` is the most that was seen to run at once. It rises with every reading that says more, and
 * falls only when more are in the engine for seconds and never run; a reading that blinks, or an
 * engine that is not full, takes nothing away. `hide` is what has to wait in the engine so that a
 * slot that ends finds its next request there: what ends in two steps, or what is under way.
 * So the cap itself is the try for more: where the engine has more slots, what was to wait runs.
 *
 *	GROWS    no queue was seen yet: a fifth more than is in flight, poll by poll
 *	FOUND    as above; beside online requests there is no `hide` but a try now and then
 *
 * Requests that are deferred (their LoRA adapter is not loaded) wait for their own kind alone: they
 * count neither as a queue nor against the cap.
 *
 * The metrics are not believed, and search decides alone, where they never show anything that runs
 * (pooling models: then they tell of no slots), show much less than what is in flight, or claim
 * that others fill the engine while answers come as fast as ever. Where throughput no longer grows
 * long before the slots are full, search takes over from that knee.
 *
 * All counts are units (traffic.h). Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "limit/crowd.h"
#include "limit/curve.h"
#include "limit/limit.h"
#include "limit/others.h"
#include "upstream/gauges.h"

struct engine {
	struct gauges gauges; /* of the last poll */
	double preemptions;   /* of the poll before */
	uint64_t gauges_us;   /* NEVER: there are none */

	struct others others;

	bool grows;
	unsigned seen_polls;    /* that something ran, until there were enough to go by */
	double slots;           /* the most that ran at once; 0: nothing was seen to run yet */
	double unseen;          /* of ours, in flight and not in the gauges; a moving mean */
	double more;            /* waits on top, since the queue was found empty: queue_keep() */
	bool waits;             /* more than the next step takes was waiting at the last poll */
	unsigned calm_polls;    /* one after another at which it was not */
	unsigned wait_polls;    /* ... and at so many, of those at which it was tried */
	double rose_own;        /* ours in flight when it ran more than ever */
	unsigned rose_polls;    /* it ran more than ever, and nothing waited: polls, of late */
	unsigned rise_polls;    /* one after another at which it ran more than ever */
	unsigned still_polls;   /* since it ran more than ever */
	unsigned crammed_polls; /* one after another: it runs all that it ever ran, and more waits */
	unsigned full_polls;    /* one after another: more are there than run */
	double full_most;       /* most that ran in these */
	unsigned idle_polls;    /* ... all that is allowed is in flight, and nothing waits */
	double held_cap, held_next;   /* the most of late; the most since that was last given */
	unsigned held_polls;          /* since then */
	double empty;                 /* share of polls at which nothing waited; a moving mean */
	double try_more;              /* beside online requests: on top, for a moment */
	uint64_t try_us, try_wait_us; /* when that was last begun, or needless; until the next */
	uint64_t flat_until_us;       /* search has taken over */

	/* doubts */
	unsigned silent_polls, silent_answers; /* nothing was seen to run */
	double hidden_part;                    /* of ours, not seen; a moving mean */
	unsigned hidden_answers;               /* much less was seen than is ours */
	struct crowd crowd;
	enum limit_doubt doubt;
	uint64_t distrust_until_us, distrust_for_us;
	unsigned probation_polls; /* after that, before it leads again */
};

/* What the limiter must know of the others. */
struct engine_view {
	uint64_t now_us;
	double cap;               /* in force */
	bool fixed;               /* no advice is wanted */
	bool beside_online;       /* online requests are there, or were lately */
	bool unqueued;            /* nothing is to wait: limit_unqueued() */
	double own_low, own_high; /* ours in flight, from a moment before the engine was asked on */
	double own_near;          /* ... at most, from within a step of the engine on */
	double own_asked;         /* ... when it was asked, at least */
	double own_least;         /* ... from seconds before */
	double taken, allowed;    /* batch units */
	double kept;              /* of the cap, for online requests */
	double steps;             /* output tokens of a unit; 0: not known */
};

struct engine_advice {
	enum {
		ENGINE_NOTHING,  /* search goes on as it does */
		ENGINE_LEAD,     /* the cap is `cap` */
		ENGINE_SETTLE,   /* more than `cap` brings nothing: search goes on from there */
		ENGINE_DISTRUST, /* what was learnt with its metrics does not hold */
	} kind;
	double cap;
};

void engine_init(struct engine *e, uint64_t now_us);
MUST_USE struct engine_advice engine_gauges(struct engine *e, const struct gauges *g,
					    const struct engine_view *v, const struct curve *c);
/* They are not told any more, while `cap` is in force: what follows for search. */
MUST_USE struct engine_advice engine_lost(struct engine *e, double cap, uint64_t now_us);
void engine_answered(struct engine *e);

/* Whether there are metrics, not stale, and believed. */
bool engine_is_fresh(const struct engine *e, uint64_t now_us);
/* Whether they tell of others: then latency need not. */
bool engine_sees_others(const struct engine *e, uint64_t now_us);
/* Whether the cap is the engine's. */
bool engine_leads(const struct engine *e, uint64_t now_us);
/* Why it is: it grows, a queue, or its cache. */
enum limit_reason engine_reason(const struct engine *e);
/* Requests that wait for their own kind: they come on top of the cap. */
double engine_deferred(const struct engine *e, uint64_t now_us);
/* Ours that may be in flight although others are said to leave no room: crowd.h. 0: none more than
 * without. */
double engine_let_through(const struct engine *e, uint64_t now_us);
