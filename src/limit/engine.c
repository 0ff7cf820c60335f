/* engine.c: what waits and what runs in the engine, poll by poll: its slots, others there, and when
 * it is not to be believed. */
#include "limit/engine.h"

#include <math.h>

#include "limit/common.h"

#define STALE (5 * SECOND)
#define DISTRUST_MIN MINUTE
#define DISTRUST_MAX (60 * MINUTE)
#define PROBATION_POLLS 40u
#define SILENT_POLLS 12u
#define HIDDEN_POLLS 8
#define HIDDEN_LEAST 6.0
#define HIDDEN_PART 0.25
#define DOUBT_ANSWERS 4u
#define CROWD_PART 0.75 /* of the slots */
#define CROWD_LEAST 4.0 /* of ours that are let through */
#define FLAT_FOR (10 * MINUTE)
#define FLAT_FROM 64.0 /* slots: up to here they are filled whatever throughput says */
#define FLAT_KNEE 0.8  /* ... of the slots: beyond is no matter */
#define SEEN_POLLS 2u
#define SEEN_PART 0.6 /* of what is in flight: enough to grow by */
#define GROWTH 1.2    /* in GROWTH_US: a poll, where metrics do not take long */
#define GROWTH_US (SECOND / 4)
#define GROWTH_MOST 2.0 /* times GROWTH_US at one poll */
#define ROSE_PART 0.02
#define WAIT_POLLS 2u
#define WAIT_PART 0.06 /* of the slots: so many do not wait for a step alone */
#define RISE_POLLS 2u
#define CALM_POLLS 2u
#define TRIED_PART 1.1
#define FULL_POLLS 40u
#define FULL_POLLS_CLEAR 4u
#define HOLD_POLLS 40u
#define IDLE_POLLS 4u
#define STEPS_UNKNOWN 16.0 /* output tokens of an answer */
#define TRY_FOR (SECOND / 2)
#define TRY_WAIT_MIN SECOND
#define TRY_PART 0.05
#define TRY_WAIT_FULL MINUTE /* it seems to be */
#define TRY_WAIT_MAX (10 * MINUTE)
#define TRY_ONLINE_LEAST 4.0
#define CRAMMED_POLLS 2u
#define TRY_ONLINE 0.1 /* of the slots: not while more than that are online requests' */

static const struct engine_advice nothing = { .kind = ENGINE_NOTHING };
static const struct engine_advice anew = { .kind = ENGINE_DISTRUST };

void engine_init(struct engine *e, uint64_t now_us)
{
	*e = (struct engine){ .gauges_us = NEVER,
			      .others = { .seen_us = NEVER },
			      .preemptions = -1,
			      .grows = true,
			      .try_wait_us = TRY_WAIT_MIN,
			      .try_us = now_us };
}

bool engine_is_fresh(const struct engine *e, uint64_t now_us)
{
	return e->gauges_us != NEVER && now_us < e->gauges_us + STALE &&
	       now_us >= e->distrust_until_us;
}

bool engine_sees_others(const struct engine *e, uint64_t now_us)
{
	return engine_is_fresh(e, now_us) && e->seen_polls >= SEEN_POLLS &&
	       e->probation_polls == 0 && e->doubt == LIMIT_DOUBT_NONE;
}

bool engine_leads(const struct engine *e, uint64_t now_us)
{
	return engine_sees_others(e, now_us) && now_us >= e->flat_until_us;
}

enum limit_reason engine_reason(const struct engine *e)
{
	bool preempts = e->preemptions >= 0 && e->gauges.preemptions > e->preemptions;

	if (preempts || e->gauges.cache > 0.98)
		return LIMIT_ENGINE_CACHE;
	return e->grows ? LIMIT_GROWING : LIMIT_ENGINE_QUEUE;
}

double engine_deferred(const struct engine *e, uint64_t now_us)
{
	return engine_leads(e, now_us) ? fmin(e->gauges.deferred, e->slots) : 0;
}

double engine_let_through(const struct engine *e, uint64_t now_us)
{
	if (!crowd_lets_through(&e->crowd) || !engine_is_fresh(e, now_us))
		return 0;
	return e->crowd.own + fmax(CROWD_LEAST, floor(e->slots / 4));
}

void engine_answered(struct engine *e)
{
	e->silent_answers++;
	e->hidden_answers++;
}

/* What waits because the engine is full. */
static double queue_of(const struct gauges *g)
{
	return fmax(0, g->waiting - g->deferred);
}

/* All that is in it, ours or not. */
static double seen_of(const struct gauges *g)
{
	return g->waiting + g->running;
}

/* ---- doubts ---- */

/* Requests are answered, and none was ever seen to run: a pooling model, which takes a step for
 * each, or figures that say nothing. */
static bool is_silent(struct engine *e, const struct engine_view *v)
{
	if (e->gauges.running >= 1 || e->silent_polls == 0)
		e->silent_answers = 0;
	e->silent_polls = e->gauges.running >= 1 ? 0 : e->silent_polls + (v->own_low >= 1);
	return e->silent_polls >= SILENT_POLLS && e->silent_answers >= DOUBT_ANSWERS;
}

/* Much less is seen than what has been in flight for seconds: it is not this engine, or not all of
 * it. */
static bool is_hidden(struct engine *e, const struct engine_view *v)
{
	double hidden = 1 - seen_of(&e->gauges) / fmax(1, v->own_least);

	if (v->own_least < HIDDEN_LEAST)
		return false;
	e->hidden_part += (clamp(hidden, 0, 1) - e->hidden_part) / HIDDEN_POLLS;
	if (e->hidden_part < HIDDEN_PART)
		e->hidden_answers = 0;
	return e->hidden_answers >= DOUBT_ANSWERS;
}

/* Others are said to leave us next to nothing of a full engine, and are not there. */
static bool is_false_crowd(struct engine *e, const struct engine_view *v)
{
	double queue = queue_of(&e->gauges);
	bool crowded = queue >= 1 && e->slots >= 1 && e->others.now >= CROWD_PART * e->slots &&
		       v->taken <= CROWD_LEAST + e->slots / 8;

	return crowd_poll(&e->crowd, crowded, v->own_low, seen_of(&e->gauges), queue, v->now_us);
}

/* For a while; four times as long each time, unless they were right for an hour. */
static struct engine_advice distrust(struct engine *e, enum limit_doubt doubt, uint64_t now_us)
{
	bool forgiven = now_us - e->distrust_until_us > DISTRUST_MAX;
	double last_us = forgiven ? 0 : (double)e->distrust_for_us;
	uint64_t for_us = (uint64_t)clamp(4 * last_us, DISTRUST_MIN, DISTRUST_MAX);
	bool led = e->probation_polls == 0;

	engine_init(e, now_us + for_us);
	e->doubt = doubt;
	e->distrust_for_us = for_us;
	e->distrust_until_us = now_us + for_us;
	e->probation_polls = PROBATION_POLLS;
	return led ? anew : nothing;
}

static struct engine_advice silence(struct engine *e)
{
	bool led = e->seen_polls >= SEEN_POLLS;

	e->doubt = LIMIT_DOUBT_SILENT;
	others_init(&e->others);
	e->slots = 0;
	e->seen_polls = 0;
	return led ? anew : nothing;
}

/* ---- slots ---- */

/* So many end in a step. */
static double ends(const struct engine *e, const struct engine_view *v)
{
	return e->slots / (v->steps > 0 ? fmax(v->steps, 2) : STEPS_UNKNOWN);
}

/* What waits so that no slot does: what ends in a step is answered in it, and its places are taken
 * by what waited; what we send then waits for the next step in turn. `unseen` is of the same kind,
 * and knows of the way to the engine too. */
static double hide(const struct engine *e, const struct engine_view *v)
{
	return fmax(2, ceil(fmax(2 * ends(e, v), e->unseen) + e->more - 0.2));
}

/* Far more wait than we ever let. */
static bool is_flooded(const struct engine *e, const struct engine_view *v)
{
	return queue_of(&e->gauges) > e->slots / 2 + hide(e, v);
}

/* Fewer slots than before: all the time more are there than ran at once. */
static void slots_lose(struct engine *e, const struct engine_view *v)
{
	double queue = queue_of(&e->gauges), running = e->gauges.running;
	bool full = queue >= fmax(1, ends(e, v)) &&
		    (running + queue > e->slots + ends(e, v) + 0.5 || queue > hide(e, v) + 1);

	e->full_polls = full ? e->full_polls + 1 : 0;
	e->full_most = full ? fmax(e->full_most, running) : 0;
	if (e->full_polls < (is_flooded(e, v) ? FULL_POLLS_CLEAR : FULL_POLLS))
		return;
	e->slots = fmax(1, e->full_most);
	e->full_polls = 0;
	e->full_most = 0;
}

/* Whether more was sent since it ran more than ever: if that runs, too, it may wait for a step. */
static bool is_tried(const struct engine *e, const struct engine_view *v)
{
	return v->own_asked >= TRIED_PART * e->rose_own + 0.5;
}

static void slots_learn(struct engine *e, const struct engine_view *v)
{
	double queue = queue_of(&e->gauges), running = e->gauges.running;
	bool rose = running > e->slots + fmax(0.5, ROSE_PART * e->slots);

	e->slots = fmax(e->slots, running);
	slots_lose(e, v);
	e->waits = queue >= fmax(1, ends(e, v));
	if (rose)
		e->rose_own = v->own_asked;
	if (rose && e->try_more > 0) /* there are more: how many? */
		e->grows = true;
	e->wait_polls = rose ? 0 : e->wait_polls + (e->waits && is_tried(e, v));
	e->calm_polls = e->waits ? 0 : e->calm_polls + 1;
	bool queues = queue > fmax(2, 2 * ends(e, v) + WAIT_PART * e->slots);
	if (e->wait_polls >= WAIT_POLLS || queues)
		e->grows = false;
	e->rise_polls = rose ? e->rise_polls + 1 : 0;
	if (e->rise_polls >= RISE_POLLS && !queues) /* what waited then waited for a step alone */
		e->grows = true;
	e->still_polls = rose ? 0 : e->still_polls + 1;
	if (e->waits || e->still_polls > IDLE_POLLS)
		e->rose_polls = 0;
	else
		e->rose_polls += rose;
}

/* Nothing waits though it should: more goes on top until something does. */
static void queue_keep(struct engine *e, const struct engine_view *v)
{
	e->unseen += (clamp(v->own_low - seen_of(&e->gauges), 0, e->slots) - e->unseen) / 8;
	if (queue_of(&e->gauges) >= 1) {
		e->idle_polls = 0;
		e->more = fmax(0, e->more - 0.25);
		return;
	}
	e->idle_polls = v->taken >= v->allowed - 0.5 ? e->idle_polls + 1 : 0;
	if (e->idle_polls >= IDLE_POLLS && e->still_polls >= IDLE_POLLS && !v->beside_online &&
	    !v->unqueued)
		e->more++;
}

/* Beside online requests nothing of ours is to wait: whether there are more slots is tried for a
 * moment, unless a queue was seen lately when so many ran. */
static void try_step(struct engine *e, const struct engine_view *v)
{
	bool crammed = queue_of(&e->gauges) >= 2 * ends(e, v) + 1 &&
		       seen_of(&e->gauges) >= e->slots + 1;

	/* At one poll they may wait for a step with a prompt. */
	e->crammed_polls = crammed ? e->crammed_polls + 1 : 0;
	bool tries = e->try_more > 0;
	bool full = e->crammed_polls >= (tries ? 1 : CRAMMED_POLLS);
	uint64_t later_us = e->try_wait_us > TRY_WAIT_FULL ? e->try_wait_us : TRY_WAIT_FULL;
	e->empty += ((queue_of(&e->gauges) < 1) - e->empty) / 8;
	if (full || (e->try_more > 0 && v->now_us - e->try_us >= TRY_FOR)) {
		e->try_wait_us = !full ? TRY_WAIT_MIN : tries ? TRY_WAIT_MAX : later_us;
		e->try_more = 0;
		e->try_us = v->now_us;
	} else if (e->try_more <= 0 && v->beside_online && e->empty > 0.5 &&
		   v->taken >= v->allowed - 0.5 &&
		   v->own_high - v->taken + e->others.now <=
			   fmax(TRY_ONLINE_LEAST, TRY_ONLINE * e->slots) &&
		   v->now_us - e->try_us > e->try_wait_us) {
		e->try_more = v->kept + ceil(2 * ends(e, v)) + fmax(1, floor(TRY_PART * e->slots));
		e->try_us = v->now_us;
	}
}

/* As fast in time when there are fewer polls. */
static double growth(const struct engine *e, const struct engine_view *v)
{
	double times = (double)(v->now_us - e->gauges_us) / (double)GROWTH_US;

	if (e->waits)
		return TRIED_PART;
	return e->gauges_us == NEVER ? GROWTH : pow(GROWTH, clamp(times, 1, GROWTH_MOST));
}

static double cap_now(const struct engine *e, const struct engine_view *v, const struct curve *c)
{
	/* Lines are paced beside online requests; the cap is of others, too. */
	double own = (v->beside_online ? v->own_high : v->own_asked) + e->others.now;
	double cap = e->slots;

	if (v->beside_online)
		cap += floor(ends(e, v)) + e->try_more;
	else if (!v->unqueued)
		cap += hide(e, v);

	/* In steps, while all that is in flight is seen, and none of it waits. */
	if ((e->grows || e->rose_polls >= 2) && (e->calm_polls >= CALM_POLLS || !is_tried(e, v)) &&
	    seen_of(&e->gauges) >= SEEN_PART * v->own_asked)
		cap = fmax(cap, v->kept + fmax(own + 1, floor(growth(e, v) * own)));
	if (e->grows && e->waits && is_tried(e, v)) /* the first sign of a queue */
		cap = fmin(cap, fmax(v->cap, e->slots + hide(e, v)));
	if (e->grows && e->slots > FLAT_FROM) /* answers have to follow, or the knee is missed */
		cap = fmin(cap, fmax(FLAT_FROM, curve_top(c) * (curve_pays(c) > 0.5 ? 4 : 1.5)));
	return cap;
}

/* A cap that goes up and down from poll to poll, with what is in the cache, is held where it was
 * highest: a request more waits, and nobody minds. */
static double cap_hold(struct engine *e, const struct engine_view *v, double cap)
{
	bool hold = !v->beside_online && !v->unqueued && !e->grows && !is_flooded(e, v);

	if (!hold) {
		e->held_cap = e->held_next = 0;
		e->held_polls = 0;
		return cap;
	}
	e->held_next = fmax(e->held_next, cap);
	if (cap >= e->held_cap || ++e->held_polls >= HOLD_POLLS) {
		e->held_cap = e->held_next;
		e->held_next = cap;
		e->held_polls = 0;
	}
	return e->held_cap;
}

/* The engine says how many it has: a first guess. */
static void slots_told(struct engine *e)
{
	if (e->slots >= 1 || e->gauges.slots < 1)
		return;
	e->slots = fmin(e->gauges.slots, FLAT_FROM);
	e->grows = e->gauges.slots > FLAT_FROM;
}

static struct engine_advice slots_see(struct engine *e, const struct engine_view *v,
				      const struct curve *c)
{
	double knee;

	if (e->gauges.running >= 1 && e->seen_polls < SEEN_POLLS)
		e->seen_polls++;
	slots_told(e);
	slots_learn(e, v);
	if (e->seen_polls < SEEN_POLLS || v->now_us < e->flat_until_us)
		return nothing;
	queue_keep(e, v);
	try_step(e, v);
	if (e->slots > FLAT_FROM && !e->waits && curve_flat(c, &knee) &&
	    knee < FLAT_KNEE * e->slots) {
		e->flat_until_us = v->now_us + FLAT_FOR;
		return (struct engine_advice){ .kind = ENGINE_SETTLE, .cap = knee };
	}
	return (struct engine_advice){ .kind = ENGINE_LEAD,
				       .cap = cap_hold(e, v, cap_now(e, v, c)) };
}

/* ---- the poll ---- */

/* What was counted poll by poll does not go on. */
static void polls_restart(struct engine *e)
{
	others_init(&e->others);
	e->silent_polls = 0;
	e->hidden_part = 0;
	e->full_polls = e->idle_polls = e->calm_polls = e->wait_polls = 0;
	e->rose_polls = e->rise_polls = 0;
	e->full_most = e->try_more = 0;
	e->crowd = (struct crowd){ 0 };
}

static struct engine_advice look(struct engine *e, const struct engine_view *v,
				 const struct curve *c)
{
	others_poll(&e->others, seen_of(&e->gauges), v->own_high, v->own_near, v->now_us);
	if (is_hidden(e, v))
		return distrust(e, LIMIT_DOUBT_HIDDEN, v->now_us);
	if (is_false_crowd(e, v))
		return distrust(e, LIMIT_DOUBT_CROWD, v->now_us);
	if (is_silent(e, v))
		return silence(e);
	if (e->probation_polls > 0) {
		e->probation_polls--;
		e->others.now = 0;
		return nothing;
	}
	if (e->gauges.running >= 1)
		e->doubt = LIMIT_DOUBT_NONE;
	return v->fixed ? nothing : slots_see(e, v, c);
}

struct engine_advice engine_gauges(struct engine *e, const struct gauges *g,
				   const struct engine_view *v, const struct curve *c)
{
	struct engine_advice advice = nothing;

	if (e->gauges_us != NEVER && v->now_us > e->gauges_us + STALE)
		polls_restart(e); /* nobody asked meanwhile */
	e->preemptions = e->gauges_us != NEVER ? e->gauges.preemptions : -1;
	e->gauges = *g;
	if (v->now_us >= e->distrust_until_us)
		advice = look(e, v, c);
	e->gauges_us = v->now_us;
	return advice;
}

struct engine_advice engine_lost(struct engine *e, double cap, uint64_t now_us)
{
	struct engine_advice advice = nothing;
	bool led = engine_leads(e, e->gauges_us) && e->gauges_us != NEVER;

	if (led && e->grows) /* that cap was no knee */
		advice.kind = ENGINE_DISTRUST;
	else if (led && e->try_more > 0)
		advice = (struct engine_advice){ .kind = ENGINE_LEAD, .cap = cap - e->try_more };
	polls_restart(e);
	e->gauges_us = NEVER;
	e->try_us = now_us;
	e->try_wait_us = TRY_WAIT_MIN;
	return advice;
}
