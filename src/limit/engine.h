/* engine.h: the limiter by the engine's own metrics: a queue in the engine lowers the limit, an
 * empty one raises it, and others' requests are seen as they come. This limiter has no cap of its
 * own: it advises search, whose cap then has the reason of the engine. Metrics that claim that the
 * engine is full of others while answers come as fast as ever, or that never change, are ignored
 * for 1 to 10 minutes. Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "limit/curve.h"
#include "limit/limit.h"
#include "upstream/gauges.h"

struct engine {
	struct gauges gauges; /* of the last poll */
	uint64_t gauges_us;   /* NEVER: there are none */
	unsigned polls;
	double others, others_before; /* by the last poll, and the one before */
	double others_most;           /* of the last ten minutes */
	uint64_t others_most_us;
	/* Ours on the same engine, of other lanes: least of these eight polls, of those before. */
	double elsewhere, elsewhere_before;
	double running_most;   /* that ran at once, forgotten over some ten minutes */
	double running_lately; /* the most of the last polls */
	unsigned queue_polls, many_polls, waiting_polls; /* one after another: see is_full() */
	unsigned idle_polls; /* with none waiting, though all slots are taken */
	double slots;        /* that the engine has, as its queue tells; INFINITY: not known */
	uint64_t slots_us, slots_wait_us; /* when that was last seen or tried; until the next try */
	uint64_t slots_try_us;            /* more is tried since; NEVER: it is not */
	unsigned same_polls, same_answers, floor_answers; /* see lies() */
	uint64_t floor_since_us;
	uint64_t distrust_until_us, distrust_for_us;
	enum limit_reason reason; /* of the last time that it lowered search */
	uint64_t lowered_us;
};

/* What the limiter must know of the others. */
struct engine_view {
	uint64_t now_us;
	double cap;             /* of search */
	bool grows, holds;      /* search does */
	bool fixed;             /* no advice is wanted */
	bool fast;              /* answers come as fast as the curve has it */
	unsigned own;           /* requests in flight through this program on the whole upstream */
	unsigned batch, online; /* ... on this lane */
	unsigned held;
	double allowed; /* batch lines, in flight or held */
	double gap_us;  /* between answers */
};

struct engine_advice {
	enum {
		ENGINE_NOTHING,
		ENGINE_LOWER,    /* it is full at `cap`, or its cache is */
		ENGINE_GROW,     /* nothing waits: on, to `cap` */
		ENGINE_SETTLE,   /* nothing waits, but more than `cap` brings nothing */
		ENGINE_TRY,      /* whether it has more slots */
		ENGINE_DISTRUST, /* what was learnt with its metrics does not hold */
	} kind;
	double cap;
	enum limit_reason reason; /* of ENGINE_LOWER */
};

void engine_init(struct engine *e, uint64_t now_us);
MUST_USE struct engine_advice engine_gauges(struct engine *e, const struct gauges *g,
					    const struct engine_view *v, const struct curve *c);
void engine_lost(struct engine *e);
void engine_answered(struct engine *e);
/* To be called when ENGINE_LOWER did lower the cap of search. */
void engine_lowered(struct engine *e, enum limit_reason reason, uint64_t now_us);

/* Whether there are metrics, not stale, and believed. */
bool engine_is_fresh(const struct engine *e, uint64_t now_us);
/* Whether the metrics tell how many slots the engine has. */
bool engine_knows_slots(const struct engine *e, uint64_t now_us);
bool engine_has_queue(const struct engine *e);
/* Whether the engine's queue lowered search within the last minute. */
bool engine_is_reason(const struct engine *e, uint64_t now_us);
