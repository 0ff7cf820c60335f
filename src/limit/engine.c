/* engine.c: what waits and what runs in the engine, poll by poll: its slots, others there, and when
 * it is not to be believed. */
#include "limit/engine.h"

#include <math.h>

#include "limit/common.h"

#define STALE (5 * SECOND)
#define SLOTS_WAIT_MIN MINUTE /* between tries for more slots */
#define SLOTS_WAIT_MAX (10 * MINUTE)
#define SLOTS_TRY_FOR (2 * SECOND)
#define DISTRUST_MIN MINUTE
#define DISTRUST_MAX (10 * MINUTE)
#define OTHERS_FOR (10 * MINUTE)
#define READ_US 5000 /* of what is sent or answered while the metrics are read */

static const struct engine_advice nothing = { .kind = ENGINE_NOTHING };

void engine_init(struct engine *e, uint64_t now_us)
{
	*e = (struct engine){ .gauges_us = NEVER,
			      .slots = INFINITY,
			      .slots_wait_us = SLOTS_WAIT_MIN,
			      .slots_try_us = NEVER,
			      .floor_since_us = now_us };
}

bool engine_is_fresh(const struct engine *e, uint64_t now_us)
{
	return e->gauges_us != NEVER && now_us < e->gauges_us + STALE &&
	       now_us >= e->distrust_until_us;
}

bool engine_knows_slots(const struct engine *e, uint64_t now_us)
{
	return engine_is_fresh(e, now_us) && !isinf(e->slots);
}

bool engine_has_queue(const struct engine *e)
{
	return e->queue_polls > 0;
}

bool engine_is_reason(const struct engine *e, uint64_t now_us)
{
	return e->lowered_us != 0 && now_us - e->lowered_us < MINUTE;
}

void engine_answered(struct engine *e)
{
	e->same_answers++;
	e->floor_answers++;
}

void engine_lowered(struct engine *e, enum limit_reason reason, uint64_t now_us)
{
	e->reason = reason;
	e->lowered_us = now_us;
}

/* ---- others ---- */

static void others_see(struct engine *e, const struct gauges *g, const struct engine_view *v)
{
	double deadband = 1.5 + (v->gap_us > 0 ? READ_US / v->gap_us : 0);
	double others = g->waiting + g->running - v->own;

	if (others <= deadband)
		others = 0;
	e->others = fmax(others, e->others_before); /* at once; back when two polls say so */
	e->others_before = others;
	if (others >= e->others_most || v->now_us - e->others_most_us > OTHERS_FOR) {
		e->others_most = others;
		e->others_most_us = v->now_us;
	}
}

/* `own` is a moment older than what is in flight here: the least is right. */
static void elsewhere_see(struct engine *e, const struct engine_view *v)
{
	double elsewhere = fmax(0, (double)v->own - v->batch - v->online);

	if (e->polls++ % 8 == 0) {
		e->elsewhere_before = e->elsewhere;
		e->elsewhere = elsewhere;
	}
	e->elsewhere = fmin(e->elsewhere, elsewhere);
}

/* ---- lies ---- */

/* Whether the metrics are wrong: they never change while answers come, or they claim a full engine
 * while latency is unchanged. */
static bool lies(struct engine *e, const struct gauges *g, const struct engine_view *v)
{
	bool crowded = g->waiting > fmax(2, 0.05 * v->cap) &&
		       (e->others >= v->cap - LIMIT_FLOOR || v->cap <= LIMIT_FLOOR);
	bool same = g->waiting == e->gauges.waiting;

	if (!same || !crowded || e->gauges_us == NEVER)
		e->same_polls = e->same_answers = 0;
	else
		e->same_polls++;
	if (!crowded) {
		e->floor_since_us = v->now_us;
		e->floor_answers = 0;
	}
	bool frozen = e->same_polls >= 20 && e->same_answers >= 10;
	bool flowing = v->now_us - e->floor_since_us > MINUTE / 2 && e->floor_answers >= 30 &&
		       v->fast;
	return frozen || flowing;
}

/* For a while; twice as long each time. */
static void distrust(struct engine *e, uint64_t now_us)
{
	e->distrust_for_us = (uint64_t)clamp(2 * (double)e->distrust_for_us, DISTRUST_MIN,
					     DISTRUST_MAX);
	e->distrust_until_us = now_us + e->distrust_for_us;
	e->floor_since_us = e->distrust_until_us;
	e->same_polls = e->same_answers = e->floor_answers = 0;
	e->queue_polls = e->many_polls = e->waiting_polls = 0;
	e->slots = INFINITY;
	e->slots_try_us = NEVER;
	e->running_most = 0;
	e->others = e->others_before = e->others_most = 0;
}

/* ---- slots ---- */

/* Whether the engine runs all that it can while others wait. A few requests that wait may only wait
 * for the engine's next step, as many as ended in the last one: that is no queue. Nor is there a
 * queue while less runs than before, unless its cache is full, or many wait for long (then the
 * engine has fewer slots than it had). */
static bool is_full(struct engine *e, const struct gauges *g)
{
	double few = fmax(2, 0.03 * g->running);

	e->running_most = fmax(g->running, 0.9997 * e->running_most);
	e->running_lately = fmax(g->running, 0.97 * e->running_lately);
	bool all = g->running >= 0.9 * e->running_most || g->cache > 0.9;
	e->queue_polls = all && g->waiting >= 1 ? e->queue_polls + 1 : 0;
	e->many_polls = all && g->waiting > few ? e->many_polls + 1 : 0;
	e->waiting_polls = g->waiting > fmax(few, 0.25 * g->running) ? e->waiting_polls + 1 : 0;
	if (e->waiting_polls >= 12)
		e->running_most = e->running_lately = g->running;
	return e->many_polls >= 3 || e->waiting_polls >= 12 ||
	       (e->queue_polls >= 8 && g->running <= 16);
}

/* A few of many slots stay free, so that a request from elsewhere finds one before we know of
 * it. */
static double slots_used(double slots)
{
	return slots < 16 ? slots : floor(0.97 * slots);
}

/* Grows while everything in the engine runs, in steps that do not flood an engine whose metrics
 * lag. */
static struct engine_advice growth(const struct engine *e, const struct gauges *g,
				   const struct engine_view *v, const struct curve *c)
{
	double taken = v->batch + v->held, in_flight = v->batch + v->online + e->others, knee;

	if (!v->grows || taken < 0.9 * v->allowed || in_flight < 0.7 * v->cap ||
	    g->running < 0.8 * v->own - 1)
		return nothing;
	if (curve_flat(c, &knee))
		return (struct engine_advice){ .kind = ENGINE_SETTLE, .cap = knee };
	/* Answers have to follow: where latency alone would tell, they do. */
	double cap = fmin(1.5 * v->cap, curve_top(c) * (curve_pays(c) > 0.5 ? 4 : 1.5));
	return cap > v->cap ? (struct engine_advice){ .kind = ENGINE_GROW, .cap = cap } : nothing;
}

/* What the try for more slots showed. */
static struct engine_advice try_end(struct engine *e, uint64_t now_us)
{
	bool more = e->running_lately > e->slots + 0.5;

	if (now_us - e->slots_try_us < SLOTS_TRY_FOR)
		return nothing;
	e->slots = fmax(e->slots, e->running_lately);
	e->slots_wait_us = more ? SLOTS_WAIT_MIN
				: (uint64_t)clamp(2 * (double)e->slots_wait_us, SLOTS_WAIT_MIN,
						  SLOTS_WAIT_MAX);
	e->slots_us = now_us;
	e->slots_try_us = NEVER;
	return (struct engine_advice){ .kind = ENGINE_TRY, .cap = slots_used(e->slots) };
}

/* Tries more slots now and then, while all that we use are taken and nothing waits: the engine may
 * have more. */
static struct engine_advice try_more(struct engine *e, const struct engine_view *v)
{
	if (e->slots_try_us != NEVER)
		return try_end(e, v->now_us);
	if (!v->holds || isinf(e->slots) || e->idle_polls < 2 ||
	    v->now_us - e->slots_us <= e->slots_wait_us)
		return nothing;
	e->slots_try_us = v->now_us;
	return (struct engine_advice){ .kind = ENGINE_TRY,
				       .cap = e->slots + fmax(1, floor(0.05 * e->slots)) };
}

static struct engine_advice slots_see(struct engine *e, const struct gauges *g,
				      const struct engine_view *v, const struct curve *c)
{
	double elsewhere = fmin(e->elsewhere, e->elsewhere_before);
	bool taken = g->running >= 0.95 * v->cap + elsewhere - 1;

	if (is_full(e, g)) {
		e->slots = fmax(1, e->running_lately - elsewhere);
		e->slots_us = v->now_us;
		e->slots_try_us = NEVER;
		return (struct engine_advice){ ENGINE_LOWER, slots_used(e->slots),
					       LIMIT_ENGINE_QUEUE };
	}
	if (g->cache > 0.98)
		return (struct engine_advice){ ENGINE_LOWER, 0.9 * v->cap, LIMIT_ENGINE_CACHE };
	if (g->cache > 0.95 || g->waiting >= 1)
		return nothing;
	e->idle_polls = taken ? e->idle_polls + 1 : 0;
	struct engine_advice advice = growth(e, g, v, c);
	return advice.kind != ENGINE_NOTHING ? advice : try_more(e, v);
}

/* ---- the poll ---- */

static struct engine_advice look(struct engine *e, const struct gauges *g,
				 const struct engine_view *v, const struct curve *c)
{
	others_see(e, g, v);
	elsewhere_see(e, v);
	if (lies(e, g, v)) {
		distrust(e, v->now_us);
		return (struct engine_advice){ .kind = ENGINE_DISTRUST };
	}
	return v->fixed ? nothing : slots_see(e, g, v, c);
}

struct engine_advice engine_gauges(struct engine *e, const struct gauges *g,
				   const struct engine_view *v, const struct curve *c)
{
	struct engine_advice advice = nothing;

	if (v->now_us >= e->distrust_until_us)
		advice = look(e, g, v, c);
	e->gauges = *g;
	e->gauges_us = v->now_us;
	return advice;
}

void engine_lost(struct engine *e)
{
	e->gauges_us = NEVER;
	e->others = e->others_before = e->others_most = 0;
	e->queue_polls = e->many_polls = e->waiting_polls = e->same_polls = 0;
}
