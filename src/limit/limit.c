/* limit.c: composes the limiters. What one limiter finds out reaches another here, by a named call;
 * no limiter knows another. */
#include "limit/limit.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "limit/common.h"
#include "limit/limit_impl.h"

#define WAVES 6.0 /* latencies after a pause for which requests sent together say little */
#define OWN_BEFORE_US 250000u         /* before it was asked: an engine counts once a step */
#define OWN_LEAST_US (5 * SECOND / 2) /* ... or now and then */
#define FEW_LINES 4
#define LATE_GROWING 2u /* online requests, one after another, that had to wait */
#define LATE_FOUND 3u
#define ABOVE_KNEE 0.35 /* in ln: what was seen from there on was of a queue that formed */

/* ---- life ---- */

struct limit *limit_new(const struct limit_config *config, uint64_t now_us)
{
	struct limit *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	traffic_init(&l->traffic, now_us);
	search_init(&l->search, now_us);
	backoff_init(&l->backoff);
	yield_init(&l->yield);
	engine_init(&l->engine, now_us);
	reopen_init(&l->reopen);
	limit_configure(l, config, now_us);
	return l;
}

void limit_free(struct limit *l)
{
	free(l);
}

void limit_configure(struct limit *l, const struct limit_config *config, uint64_t now_us)
{
	l->config = *config;
	if (l->config.max == 0)
		l->config.max = 1;
	search_configure(&l->search, l->config.max,
			 config->reserve > 0 ? (unsigned)config->reserve : 0, now_us);
}

/* ---- what limiters are to know of each other ---- */

static struct search_view search_view(const struct limit *l, uint64_t now_us)
{
	double cap = l->search.cap;

	return (struct search_view){
		.now_us = now_us,
		.latency_us = l->traffic.latency_us,
		.busy = l->busy,
		.few = l->traffic.lines < FEW_LINES,
		.may_probe = l->backoff.cap >= cap && l->yield.cap >= cap &&
			     reopen_is_open(&l->reopen),
		.online_lately = traffic_online_lately(&l->traffic, now_us),
	};
}

static struct yield_view yield_view(const struct limit *l, uint64_t now_us)
{
	const struct search *s = &l->search;
	double held_us = (double)(now_us - s->hold_us);

	return (struct yield_view){
		.now_us = now_us,
		.limit = limit_in_force(l),
		.goal = fmin(search_goal(s), limit_most(l)),
		.cap = s->cap,
		.latency_us = l->traffic.latency_us,
		.batch = l->traffic.batch,
		.steady = search_is_steady(s),
		/* More in flight than ever before is slower anyway. */
		.blind = !search_probes_up(s) && !l->busy &&
			 !engine_sees_others(&l->engine, now_us) &&
			 held_us >= 2 * l->traffic.latency_us,
	};
}

static struct engine_view engine_view(const struct limit *l, uint64_t asked_us, uint64_t now_us)
{
	const struct traffic *t = &l->traffic;
	struct engine_view v = {
		.now_us = now_us,
		.cap = l->search.cap,
		.fixed = l->config.fixed > 0,

		.beside_online = traffic_online_lately(t, now_us),
		.unqueued = l->unqueued,
		.taken = t->batch,
		.allowed = t->allowed,
		.kept = limit_reserve(l, now_us),
		.steps = t->steps,
	};
	double low, high;
	uint64_t near_us = OWN_BEFORE_US;

	if (t->steps > 0)
		near_us = (uint64_t)fmin(t->latency_us / t->steps, OWN_BEFORE_US);
	traffic_own(t, asked_us > OWN_BEFORE_US ? asked_us - OWN_BEFORE_US : 0, &v.own_low,
		    &v.own_high);
	traffic_own(t, asked_us > near_us ? asked_us - near_us : 0, &low, &v.own_near);
	traffic_own(t, asked_us, &v.own_asked, &high);
	traffic_own(t, now_us > OWN_LEAST_US ? now_us - OWN_LEAST_US : 0, &v.own_least, &high);
	return v;
}

/* ---- and to do ---- */

static void yield_apply(struct limit *l, enum yield_verdict verdict, uint64_t now_us)
{
	if (verdict == YIELD_SUSPICION) {
		search_suspend(&l->search, now_us);
	} else if (verdict == YIELD_SETTLED) {
		reopen_begin(&l->reopen, fmax(2, l->traffic.batch), now_us);
		search_hold(&l->search, SEARCH_HOLD_MIN, now_us);
	}
	assert((l->yield.mode == YIELD_SUSPECTS) == (l->search.mode == SEARCH_SUSPENDED));
}

static void distrust_apply(struct limit *l, uint64_t now_us)
{
	traffic_others_forget(&l->traffic, now_us);
	curve_clear(&l->curve); /* learnt with others that are not there */
	backoff_forget_counts(&l->backoff);
	search_restart(&l->search, now_us);
}

static void engine_apply(struct limit *l, const struct engine_advice *a, uint64_t now_us)
{
	switch (a->kind) {
	case ENGINE_NOTHING:
		break;
	case ENGINE_LEAD:
		search_follow(&l->search, a->cap, now_us);
		break;
	case ENGINE_SETTLE:
		search_settle_at(&l->search, a->cap, now_us);
		yield_wait(&l->yield, now_us + (uint64_t)(WAVES * l->traffic.latency_us));
		break;
	case ENGINE_DISTRUST:
		distrust_apply(l, now_us);
		break;
	}
	if (l->search.mode != SEARCH_SUSPENDED)
		yield_give_up(&l->yield);
}

/* The curve above the knee shows only the queue that formed. */
static void search_found(struct limit *l, uint64_t now_us)
{
	curve_forget_above(&l->curve, log(l->search.cap) - ABOVE_KNEE);
	yield_wait(&l->yield, now_us + (uint64_t)(SEARCH_SETTLES * l->traffic.latency_us));
}

static void search_advance(struct limit *l, uint64_t now_us)
{
	struct search_view v = search_view(l, now_us);

	if (engine_leads(&l->engine, now_us) || !search_step(&l->search, &v))
		return;
	search_found(l, now_us);
}

/* ---- what happens on the lane ---- */

struct limit_mark limit_batch_sent(struct limit *l, unsigned units, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	traffic_batch_sent(&l->traffic, units);
	limit_pace_take(l, units);
	return (struct limit_mark){ .sent_us = now_us,
				    .area = l->traffic.area,
				    .in_flight = traffic_in_flight(&l->traffic),
				    .units = units };
}

void limit_online_sent(struct limit *l, unsigned units, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	traffic_online_sent(&l->traffic, units, now_us);
	first_sent(&l->first, traffic_in_flight(&l->traffic), l->traffic.ended, now_us);
}

void limit_online_first(struct limit *l, uint64_t sent_us, uint64_t now_us)
{
	enum search_mode mode = l->search.mode;

	if (l->busy || l->config.fixed > 0 || mode == SEARCH_SUSPENDED ||
	    engine_leads(&l->engine, now_us))
		return;
	const struct traffic *t = &l->traffic;
	double most = fmin(l->search.cap, t->allowed + t->online + t->others);
	unsigned late = first_came(&l->first, sent_us, t->ended, most, now_us);
	if (late < (mode == SEARCH_GROWS ? LATE_GROWING : LATE_FOUND) ||
	    l->first.slots >= l->search.cap)
		return;
	l->first.late = 0;
	search_overrun(&l->search, l->first.slots, now_us);
	l->late_cap = l->search.cap;
	search_found(l, now_us);
}

void limit_batch_gone(struct limit *l, const struct limit_mark *m, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	traffic_batch_gone(&l->traffic, m->units);
}

void limit_online_gone(struct limit *l, unsigned units, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	traffic_online_gone(&l->traffic, units, now_us);
}

void limit_online_join(struct limit *l, unsigned requests, unsigned units, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	traffic_online_join(&l->traffic, requests, units, now_us);
}

void limit_share(struct limit *l, unsigned lines, unsigned units, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	traffic_join(&l->traffic, lines, units);
	l->shared_us = now_us;
}

void limit_batch_refused(struct limit *l, const struct limit_mark *m, uint64_t now_us)
{
	limit_batch_gone(l, m, now_us);
	if (l->config.fixed > 0)
		return;
	backoff_refused(&l->backoff,
			&(struct backoff_refusal){ .sent_us = m->sent_us,
						   .in_flight = m->in_flight,
						   .limit = limit_in_force(l),
						   .goal = l->search.cap },
			now_us);
}

void limit_reopened(struct limit *l, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	/* Where refusals are load-independent, lowering the load spares none: the slow start begins
	 * higher. */
	double part = l->backoff.load_independent ? 2 : 4;
	reopen_begin(&l->reopen, fmax(LIMIT_START, limit_in_force(l) / part), now_us);
	search_reopened(&l->search, now_us);
	yield_reopened(&l->yield, now_us + (uint64_t)(WAVES * l->traffic.latency_us));
}

unsigned limit_room_reopened(const struct limit *l)
{
	struct limit reopened = *l;

	limit_reopened(&reopened, l->traffic.area_us);
	return limit_room(&reopened);
}

/* Of one of its units: they go side by side. */
static double answer_work(const struct limit_answer *a, unsigned units)
{
	double tokens = (double)a->output_tokens + (double)a->prompt_tokens / 10;

	return (tokens > 0 ? tokens : units + (double)a->body_bytes / 40) / units;
}

/* Only search itself holds its cap down. */
static bool undisturbed(const struct limit *l)
{
	return limit_in_force(l) >= 0.95 * l->search.cap || l->backoff.load_independent;
}

/* The line's share of time that answers with more or less output than others' would not explain. */
static double ln_time_corrected(struct limit *l, double ln_time, const struct limit_answer *a)
{
	double output = (double)a->output_tokens;

	return mix_corrected(&l->mix, ln_time, output, output + (double)a->prompt_tokens / 10);
}

/* An answer's place on the curve, and what it says to the limiters. A probe or a suspicion ends by
 * this answer: it is of the phase in which it was sent. */
static void learn(struct limit *l, const struct limit_mark *m, double n,
		  const struct limit_answer *a, uint64_t now_us)
{
	double time_us = fmax(1, (double)(now_us - m->sent_us)), ln_n = log(n), should;
	double as_it_is = log(time_us / 1e6 / answer_work(a, m->units));
	double ln_time = ln_time_corrected(l, as_it_is, a);
	bool suspected = l->yield.mode == YIELD_SUSPECTS;
	bool leads = engine_leads(&l->engine, now_us);
	bool in_phase = search_in_phase(&l->search, m->sent_us);
	bool known = curve_at(&l->curve, ln_n, &should);
	enum yield_verdict verdict = YIELD_NOTHING;

	if (leads) {
		/* What was sent together, at the start, still comes together. */
		if (yield_trusts(&l->yield))
			curve_learn(&l->curve, n, ln_time, l->yield.spread);
		if (known)
			yield_track(&l->yield, ln_time - should);
		return;
	}
	if (!suspected && in_phase && l->traffic.full && undisturbed(l))
		search_sample(&l->search, &(struct search_answer){ m->sent_us, ln_n, ln_time,
								   m->in_flight >= 0.85 * n });
	struct yield_view v = yield_view(l, now_us);
	if (l->search.mode != SEARCH_GROWS)
		yield_look(&l->yield, &v, &l->curve,
			   &(struct yield_answer){ n, fmax(n, m->in_flight), ln_time });
	if (suspected && in_phase)
		verdict = yield_test(&l->yield, &v, &l->curve,
				     as_it_is - curve_near(&l->curve, ln_n));
	else if (known)
		verdict = yield_learn(&l->yield, &v, &l->curve, ln_time - should);
	yield_apply(l, verdict, now_us);
	if (in_phase && !suspected && yield_trusts(&l->yield))
		curve_learn(&l->curve, n, ln_time, l->yield.spread);
}

void limit_batch_answered(struct limit *l, const struct limit_mark *m, const struct limit_answer *a,
			  uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	if (m->sent_us < l->shared_us) {
		traffic_batch_gone(&l->traffic, m->units);
		return;
	}
	double n = traffic_answered(&l->traffic, m->units, m->sent_us, m->area, a->output_tokens,
				    now_us);
	engine_answered(&l->engine);
	reopen_answered(&l->reopen, limit_in_force(l));
	backoff_answered(&l->backoff, m->in_flight);
	bool lifted = backoff_grow(&l->backoff, l->search.cap, l->traffic.full, now_us);
	if (lifted && !l->backoff.load_independent &&
	    (l->search.mode == SEARCH_GROWS || l->search.mode == SEARCH_HOLDS))
		search_phase_again(&l->search, now_us);
	learn(l, m, n, a, now_us);
	if (l->config.fixed == 0)
		search_advance(l, now_us);
}

void limit_gauges(struct limit *l, const struct gauges *g, uint64_t asked_us, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	struct engine_view v = engine_view(l, asked_us, now_us);
	struct engine_advice advice = engine_gauges(&l->engine, g, &v, &l->curve);
	traffic_others(&l->traffic, l->engine.others.now, now_us);
	engine_apply(l, &advice, now_us);
}

void limit_gauges_lost(struct limit *l, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	struct engine_advice advice = engine_lost(&l->engine, l->search.cap, now_us);
	traffic_others(&l->traffic, 0, now_us);
	engine_apply(l, &advice, now_us);
}

/* ---- time ---- */

void limit_busy(struct limit *l, bool busy)
{
	l->busy = busy;
}

void limit_unqueued(struct limit *l, bool unqueued)
{
	l->unqueued = unqueued;
}

void limit_tick(struct limit *l, uint64_t now_us)
{
	traffic_advance(&l->traffic, now_us);
	struct yield_view v = yield_view(l, now_us);
	yield_apply(l, yield_tick(&l->yield, &v), now_us);
	search_bound(&l->search, limit_most(l));
	reopen_tick(&l->reopen, limit_in_force(l), l->traffic.batch > 0, now_us);
	if (l->traffic.others > 0 && !engine_is_fresh(&l->engine, now_us))
		traffic_others(&l->traffic, 0, now_us); /* nobody has asked for a while */
	limit_pace_refill(l, now_us);
	traffic_allow(&l->traffic, limit_batch_slots(l));
}
