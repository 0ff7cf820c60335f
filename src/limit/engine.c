/* engine.c: what waits and what runs in the engine, poll by poll: its slots, others there, and when
 * it is not to be believed. */
#include "limit/engine.h"

#include <math.h>

#include "limit/common.h"

#define STALE (5 * SECOND)
#define OTHERS_FOR (10 * MINUTE)
#define OTHERS_DEADBAND 1.5
#define OTHERS_CLEAR 3.0 /* one reading is enough for what is beyond that */
#define OTHERS_CLEAR_PART 0.1
#define DISTRUST_MIN MINUTE
#define DISTRUST_MAX (10 * MINUTE)
#define FLAT_FOR (10 * MINUTE)
#define FLAT_FROM 64.0 /* slots: up to here they are filled whatever throughput says */
#define FLAT_KNEE 0.8  /* ... of the slots: beyond is no matter */
#define FULL_POLLS 12u
#define FULL_POLLS_CLEAR 4u /* where half of the slots wait */
#define IDLE_POLLS 4u
#define SILENT_POLLS 12u
#define HIDDEN_POLLS 8u
#define HIDDEN_LEAST 8.0
#define DOUBT_ANSWERS 4u
#define TRY_FOR (SECOND / 2)
#define TRY_WAIT_MIN (10 * SECOND)
#define TRY_WAIT_MAX MINUTE
#define PREEMPTED_CUT 0.9
#define PREEMPTED_BACK 0.02 /* a poll */

static const struct engine_advice nothing = { .kind = ENGINE_NOTHING };

void engine_init(struct engine *e, uint64_t now_us)
{
	*e = (struct engine){ .gauges_us = NEVER,
			      .grows = true,
			      .try_wait_us = TRY_WAIT_MIN,
			      .try_us = now_us,
			      .preempted_cap = INFINITY,
			      .crowd_since_us = now_us };
}

bool engine_is_fresh(const struct engine *e, uint64_t now_us)
{
	return e->gauges_us != NEVER && now_us < e->gauges_us + STALE &&
	       now_us >= e->distrust_until_us;
}

bool engine_leads(const struct engine *e, uint64_t now_us)
{
	return engine_is_fresh(e, now_us) && e->slots >= 1 && e->doubt == LIMIT_DOUBT_NONE &&
	       now_us >= e->flat_until_us;
}

enum limit_reason engine_reason(const struct engine *e, uint64_t now_us)
{
	if (!isinf(e->preempted_cap) || e->gauges.cache > 0.98)
		return LIMIT_ENGINE_CACHE;
	(void)now_us;
	return e->grows ? LIMIT_GROWING : LIMIT_ENGINE_QUEUE;
}

double engine_deferred(const struct engine *e, uint64_t now_us)
{
	return engine_leads(e, now_us) ? fmin(e->gauges.deferred, e->slots) : 0;
}

void engine_answered(struct engine *e)
{
	e->silent_answers++;
	e->hidden_answers++;
	e->same_answers++;
	e->crowd_answers++;
}

/* What waits because the engine is full. */
static double queue_of(const struct gauges *g)
{
	return fmax(0, g->waiting - g->deferred);
}

/* ---- others ---- */

/* Whatever of ours is in the gauges was in flight at some time since shortly before they were
 * taken: what is beyond the most of that is others'. Twice, before a few count. */
static void others_see(struct engine *e, const struct gauges *g, const struct engine_view *v)
{
	double others = g->waiting + g->running - v->own_high;

	if (others <= OTHERS_DEADBAND)
		others = 0;
	e->others = fmax(fmin(others, e->others_before),
			 others - fmax(OTHERS_CLEAR, OTHERS_CLEAR_PART * v->own_high));
	e->others_before = others;
	if (e->others >= e->others_most || v->now_us - e->others_most_us > OTHERS_FOR) {
		e->others_most = e->others;
		e->others_most_us = v->now_us;
	}
}

/* ---- doubts ---- */

/* Requests are answered, and none was ever seen to run: a pooling model, which takes a step for
 * each, or figures that say nothing. */
static bool is_silent(struct engine *e, const struct gauges *g, const struct engine_view *v)
{
	if (g->running >= 1) {
		e->silent_polls = e->silent_answers = 0;
		return false;
	}
	if (e->silent_polls == 0)
		e->silent_answers = 0;
	if (v->own_least >= 1 || v->own_low >= 1)
		e->silent_polls++;
	return e->silent_polls >= SILENT_POLLS && e->silent_answers >= DOUBT_ANSWERS;
}

/* Much less is seen than what has been in flight for seconds: it is not this engine, or not all of
 * it. */
static bool is_hidden(struct engine *e, const struct gauges *g, const struct engine_view *v)
{
	if (v->own_least < HIDDEN_LEAST || g->waiting + g->running >= v->own_least / 2) {
		e->hidden_polls = e->hidden_answers = 0;
		return false;
	}
	e->hidden_polls++;
	return e->hidden_polls >= HIDDEN_POLLS && e->hidden_answers >= DOUBT_ANSWERS;
}

/* Others are said to fill the engine, but the figures never change while answers come, or answers
 * come as fast as ever. */
static bool is_false_crowd(struct engine *e, const struct gauges *g, const struct engine_view *v)
{
	bool crowded = queue_of(g) > fmax(2, 0.05 * v->cap) &&
		       (e->others >= v->cap - LIMIT_FLOOR || v->cap <= LIMIT_FLOOR);
	bool same = g->waiting == e->gauges.waiting && g->running == e->gauges.running;

	if (!same || !crowded || e->gauges_us == NEVER)
		e->same_polls = e->same_answers = 0;
	else
		e->same_polls++;
	if (!crowded) {
		e->crowd_since_us = v->now_us;
		e->crowd_answers = 0;
	}
	bool frozen = e->same_polls >= 20 && e->same_answers >= 10;
	bool flowing = v->now_us - e->crowd_since_us > MINUTE / 2 && e->crowd_answers >= 30 &&
		       v->fast;
	return frozen || flowing;
}

/* For a while; twice as long each time. */
static struct engine_advice distrust(struct engine *e, enum limit_doubt doubt, uint64_t now_us)
{
	uint64_t for_us = (uint64_t)clamp(2 * (double)e->distrust_for_us, DISTRUST_MIN,
					  DISTRUST_MAX);

	engine_init(e, now_us + for_us);
	e->doubt = doubt;
	e->distrust_for_us = for_us;
	e->distrust_until_us = now_us + for_us;
	return (struct engine_advice){ .kind = ENGINE_DISTRUST };
}

/* ---- slots ---- */

/* What waits so that no slot does: what ends in a step is answered in it, and its places are taken
 * by what waited; what we send then waits for the next step in turn. `unseen` is of the same kind,
 * and knows of the way to the engine too. */
static double hide(const struct engine *e, const struct engine_view *v)
{
	double ends = e->slots / (v->steps > 0 ? fmax(v->steps, 2) : 16);

	return fmax(2, ceil(fmax(2 * ends, e->unseen) + e->more - 0.2));
}

static void slots_learn(struct engine *e, const struct gauges *g, const struct engine_view *v)
{
	double queue = queue_of(g);
	bool rose = g->running > e->slots + 0.5, full;

	e->slots = fmax(e->slots, g->running);
	full = queue >= 1 && (g->running + queue > e->slots + 0.5 || queue > hide(e, v) + 1);
	e->full_polls = full ? e->full_polls + 1 : 0;
	e->full_most = full ? fmax(e->full_most, g->running) : 0;
	if (e->full_polls >= (queue > e->slots / 2 ? FULL_POLLS_CLEAR : FULL_POLLS)) {
		e->slots = fmax(1, e->full_most);
		e->full_polls = 0;
		e->full_most = 0;
	}
	if (queue > fmax(2, e->slots / 8) || e->full_polls >= 2)
		e->grows = false;
	e->rose_polls = queue >= 1 ? 0 : rose ? e->rose_polls + 1 : e->rose_polls;
	if (!rose && e->idle_polls > IDLE_POLLS)
		e->rose_polls = 0;
	e->waits = queue >= 1;
}

/* Nothing waits though it should: more goes on top until something does. */
static void queue_keep(struct engine *e, const struct gauges *g, const struct engine_view *v)
{
	double seen = g->waiting + g->running;

	e->unseen += (clamp(v->own_low - seen, 0, e->slots) - e->unseen) / 8;
	if (queue_of(g) >= 1) {
		e->idle_polls = 0;
		e->more = fmax(0, e->more - 0.25);
		return;
	}
	e->idle_polls = v->taken >= v->allowed - 0.5 ? e->idle_polls + 1 : 0;
	if (e->idle_polls >= IDLE_POLLS && !v->beside_online)
		e->more++;
}

/* Beside online requests nothing of ours is to wait: whether there are more slots is tried for a
 * moment. */
static void try_step(struct engine *e, const struct engine_view *v)
{
	if (e->try_more > 0) {
		if (v->now_us - e->try_us < TRY_FOR && !e->waits)
			return;
		e->try_wait_us = e->rose_polls > 0
					 ? TRY_WAIT_MIN
					 : (uint64_t)fmin(2 * (double)e->try_wait_us, TRY_WAIT_MAX);
		e->try_more = 0;
		e->rose_polls = 0;
	} else if (v->beside_online && e->idle_polls >= IDLE_POLLS &&
		   v->now_us - e->try_us > e->try_wait_us) {
		e->try_more = fmax(1, floor(0.05 * e->slots));
		e->try_us = v->now_us;
	}
}

/* What was preempted is computed twice: fewer, until it stops. */
static void preempted_see(struct engine *e, const struct gauges *g, const struct engine_view *v)
{
	double before = e->gauges.preemptions;
	bool more = e->gauges_us != NEVER && before >= 0 && g->preemptions > before;

	if (more && v->now_us - e->preempted_us > SECOND) {
		e->preempted_cap = fmax(1, PREEMPTED_CUT *
						   fmin(e->preempted_cap, fmax(g->running, 1) + 1));
		e->preempted_us = v->now_us;
	} else if (!more) {
		e->preempted_cap += PREEMPTED_BACK * e->preempted_cap;
	}
	if (e->preempted_cap > 2 * e->slots + 2)
		e->preempted_cap = INFINITY;
}

static double cap_now(const struct engine *e, const struct engine_view *v, const struct curve *c)
{
	double above = v->beside_online ? e->try_more : hide(e, v), cap;

	if (e->grows || e->rose_polls >= 2)
		above = fmax(above, fmax(1, floor(e->slots / 4)));
	cap = fmin(e->slots + above, e->preempted_cap);
	if (e->grows && e->slots > FLAT_FROM) /* answers have to follow, or the knee is missed */
		cap = fmin(cap, fmax(FLAT_FROM, curve_top(c) * (curve_pays(c) > 0.5 ? 4 : 1.5)));
	return cap;
}

static struct engine_advice slots_see(struct engine *e, const struct gauges *g,
				      const struct engine_view *v, const struct curve *c)
{
	double knee;

	if (e->slots < 1 && g->slots >= 1) { /* it says so: llama.cpp */
		e->slots = fmin(g->slots, FLAT_FROM);
		e->grows = g->slots > FLAT_FROM;
	}
	slots_learn(e, g, v);
	queue_keep(e, g, v);
	try_step(e, v);
	preempted_see(e, g, v);
	if (e->slots < 1 || v->now_us < e->flat_until_us)
		return nothing;
	if (e->slots > FLAT_FROM && !e->waits && curve_flat(c, &knee) &&
	    knee < FLAT_KNEE * e->slots) {
		e->flat_until_us = v->now_us + FLAT_FOR;
		return (struct engine_advice){ .kind = ENGINE_SETTLE, .cap = knee };
	}
	return (struct engine_advice){ .kind = ENGINE_LEAD, .cap = cap_now(e, v, c) };
}

/* ---- the poll ---- */

static struct engine_advice look(struct engine *e, const struct gauges *g,
				 const struct engine_view *v, const struct curve *c)
{
	others_see(e, g, v);
	if (is_hidden(e, g, v))
		return distrust(e, LIMIT_DOUBT_HIDDEN, v->now_us);
	if (is_false_crowd(e, g, v))
		return distrust(e, LIMIT_DOUBT_CROWD, v->now_us);
	if (v->fixed)
		return nothing;
	if (is_silent(e, g, v)) {
		e->doubt = LIMIT_DOUBT_SILENT;
		e->others = e->others_before = 0;
		return nothing;
	}
	if (g->running >= 1 && e->doubt != LIMIT_DOUBT_NONE)
		e->doubt = LIMIT_DOUBT_NONE;
	return slots_see(e, g, v, c);
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
	e->silent_polls = e->hidden_polls = e->same_polls = 0;
	e->full_polls = e->idle_polls = e->rose_polls = 0;
	e->full_most = e->try_more = 0;
}
