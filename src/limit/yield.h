/* yield.h: the limiter for cross traffic: others' requests on the engine, seen in our latency
 * alone. Latency far above the curve is a suspicion; until it is settled, fewer of our requests are
 * in flight. If latency recovers with that, others were there: room for as many is kept for ten
 * minutes after they were last seen, then given up slowly. If not, the work has changed, and the
 * curve is bent.
 *
 *	WATCHES -> SUSPECTS -> WATCHES (cap as before, or that of the cross traffic)
 *
 * SUSPECTS goes together with SEARCH_SUSPENDED; limit.c moves both. Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "limit/curve.h"
#include "limit/samples.h"

enum yield_mode { YIELD_WATCHES, YIELD_SUSPECTS };

struct yield {
	enum yield_mode mode;
	double cap; /* INFINITY: not in force */

	/* Answers' ln of time less what the curve says. */
	double residual, residual_fast; /* moving means */
	double spread;                  /* how it scatters */
	uint64_t residual_us;           /* when one was last taken for `residuals` */
	uint64_t waves_until_us;        /* what was sent together still comes together */
	struct recent residuals;
	struct recent others,
		others_sent; /* cross traffic, by the last answers: see yield_look() */

	/* The suspicion. */
	uint64_t suspected_us;
	bool eased;      /* what was in flight does not end */
	double baseline; /* the limit where it began */
	double cap_before;
	double found, found_sent; /* cross traffic at most since it began */

	double cross;      /* traffic that room is kept for */
	bool here;         /* it is there */
	uint64_t grown_us; /* the cap's growth is accounted for until then */
};

/* What the limiter must know of the others. */
struct yield_view {
	uint64_t now_us;
	double limit; /* in force, but for a slow start */
	double goal;  /* what search wants without its probe */
	double cap;   /* ... and with it */
	double latency_us;
	unsigned batch;
	bool steady; /* search holds or probes */
	bool blind;  /* latency can be judged: no metrics tell, no probe upward is under way, and
		     * search has held for a while */
};

struct yield_answer {
	double n, n_sent; /* of ours in flight in its life, and when it was sent */
	double ln_time;   /* of a unit of work */
};

enum yield_verdict {
	YIELD_NOTHING,
	YIELD_SUSPICION, /* began: search is to be suspended */
	YIELD_SETTLED,   /* ended: search goes on, from what is in flight now */
};

void yield_init(struct yield *y);

/* Learns from an answer, while search does not grow, how many others were in flight. */
void yield_look(struct yield *y, const struct yield_view *v, const struct curve *c,
		const struct yield_answer *a);
/* An answer's residual, while the engine's metrics lead: nothing follows. */
void yield_track(struct yield *y, double residual);
/* An answer's residual. */
MUST_USE enum yield_verdict yield_learn(struct yield *y, const struct yield_view *v,
					struct curve *c, double residual);
/* ... of a request that was sent since the suspicion began; while there is one. */
MUST_USE enum yield_verdict yield_test(struct yield *y, const struct yield_view *v, struct curve *c,
				       double residual);
/* Moves what time alone moves: a suspicion does not last, and room that was kept is given up
 * slowly. */
MUST_USE enum yield_verdict yield_tick(struct yield *y, const struct yield_view *v);

/* ---- what other limiters ask of it ---- */

/* Gives up a suspicion, if there is one: it cannot be tested any more. */
void yield_give_up(struct yield *y);
/* Answers come in waves until then and are no reason for a suspicion. */
void yield_wait(struct yield *y, uint64_t until_us);
/* After an outage: what was seen before it is forgotten. */
void yield_reopened(struct yield *y, uint64_t until_us);
/* Whether answers are near enough to the curve to teach it. */
bool yield_trusts(const struct yield *y);
