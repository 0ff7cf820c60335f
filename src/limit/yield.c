/* yield.c: residuals are watched in two ways, a moving mean for work that became faster, and the
 * last dozen for what became slower; a suspicion is settled by the answers to what was sent
 * since. */
#include "limit/yield.h"

#include <assert.h>
#include <math.h>

#include "limit/common.h"

#define KEPT_FOR (10 * MINUTE)
#define GROWTH 0.05 /* a minute, of what search wants */
#define LEAVES 0.1  /* of that, at least, however many others */
#define KNEE 0.85   /* of that is below the knee for certain */
#define MARGIN 2.0  /* the most at a time, of those found: the burst has only begun */

/* Of residuals. */
#define FAR 0.22   /* below the curve: the curve is wrong */
#define LEAST 0.2  /* of nearly all of the last answers: a suspicion */
#define FASTER 0.3 /* so far below the curve in a suspicion: it is other work */
#define BACK 0.7   /* of what it was before: others were there */
#define CLIP 0.7
#define SPREAD_FIRST 0.1

#define CUT 0.1 /* of the limit, in a suspicion */
#define NEED 8  /* answers */
/* Latencies. */
#define DRAINED 2.5  /* since a suspicion began: what is in flight still is long */
#define PATIENCE 4.0 /* others' queue is gone by now */
#define LONGEST 10.0
#define WAVES 6.0 /* after one, for which requests sent together say little */

void yield_init(struct yield *y)
{
	*y = (struct yield){ .cap = INFINITY, .spread = SPREAD_FIRST };
}

static void mode_set(struct yield *y, enum yield_mode mode)
{
	assert(mode != y->mode);
	y->mode = mode;
}

/* The engine's best throughput, in work a second, known at the cap that was found. */
static bool ln_rate_best(const struct yield_view *v, const struct curve *c, double *ret_ln_rate)
{
	double ln_time;

	if (!curve_at(c, log(v->goal), &ln_time))
		return false;
	*ret_ln_rate = log(v->goal) - ln_time;
	return true;
}

/* ---- the suspicion ---- */

static enum yield_verdict suspicion_begin(struct yield *y, const struct yield_view *v)
{
	mode_set(y, YIELD_SUSPECTS);
	y->baseline = v->limit;
	y->cap_before = y->cap;
	y->cap = fmin(y->cap, fmax(1, CUT * y->baseline));
	y->suspected_us = v->now_us;
	y->eased = false;
	y->found = y->found_sent = 0;
	y->residuals.count = y->others.count = y->others_sent.count = 0;
	return YIELD_SUSPICION;
}

static enum yield_verdict suspicion_end(struct yield *y, const struct yield_view *v)
{
	mode_set(y, YIELD_WATCHES);
	y->residual = y->residual_fast = 0;
	y->residuals.count = 0;
	y->waves_until_us = v->now_us + (uint64_t)(WAVES * v->latency_us);
	return YIELD_SETTLED;
}

void yield_give_up(struct yield *y)
{
	if (y->mode != YIELD_SUSPECTS)
		return;
	mode_set(y, YIELD_WATCHES);
	y->cap = y->cap_before;
}

/* Room for as many others as there were at most lately. */
static void room_keep(struct yield *y, const struct yield_view *v, double others)
{
	/* They were as many because they waited. */
	y->cross = fmax(y->cross, others * y->baseline / (y->baseline + others));
	y->cap = fmax(fmax(1, LEAVES * v->cap), KNEE * v->cap - MARGIN * y->cross);
	y->grown_us = v->now_us + KEPT_FOR;
}

/* The request was sent with little in flight. Others' requests that wait are gone only after a
 * while: until then it is not settled. */
enum yield_verdict yield_test(struct yield *y, const struct yield_view *v, struct curve *c,
			      double residual)
{
	assert(y->mode == YIELD_SUSPECTS);
	recent_add(&y->residuals, residual);
	if (y->residuals.count < NEED)
		return YIELD_NOTHING;
	double median = recent_median(&y->residuals);
	double before = log((y->baseline + y->found) / y->baseline);
	bool late = (double)(v->now_us - y->suspected_us) > PATIENCE * v->latency_us;
	if (median < -FASTER || (late && median >= BACK * before)) {
		/* As slow with less in flight, or faster than it ever was: it is the work that
		 * changed. */
		curve_bend(c, log(fmax(1, y->cap)), median, log(y->baseline), before);
		y->cap = y->cap_before;
		return suspicion_end(y, v);
	}
	if (median >= BACK * before)
		return YIELD_NOTHING;
	room_keep(y, v, y->found_sent);
	return suspicion_end(y, v);
}

static enum yield_verdict suspicion_wait(struct yield *y, const struct yield_view *v)
{
	double latencies = (double)(v->now_us - y->suspected_us) / v->latency_us;

	if (latencies > LONGEST) {
		y->cap = y->cap_before;
		return suspicion_end(y, v);
	}
	if (latencies > DRAINED && !y->eased) {
		/* The lines that are still in flight are long, and will not end soon. */
		y->eased = true;
		if (y->residuals.count == 0)
			y->cap = fmin(y->baseline, y->cap + v->batch);
	}
	return YIELD_NOTHING;
}

enum yield_verdict yield_tick(struct yield *y, const struct yield_view *v)
{
	if (y->mode == YIELD_SUSPECTS)
		return suspicion_wait(y, v);
	if (isinf(y->cap) || v->now_us <= y->grown_us)
		return YIELD_NOTHING;
	y->cap += GROWTH * v->cap * (double)(v->now_us - y->grown_us) / MINUTE;
	y->grown_us = v->now_us;
	if (y->cap >= v->cap) {
		y->cap = INFINITY;
		y->cross = 0;
	}
	return YIELD_NOTHING;
}

/* ---- watching ---- */

/* Latency tells how many were in flight in all; the rest are others. Counted beside ours in the
 * answer's life (n), others seem too many while ours become fewer: that number says how slow the
 * answer was. Counted beside ours when the request was sent (n_sent), it says how many to keep room
 * for. */
void yield_look(struct yield *y, const struct yield_view *v, const struct curve *c,
		const struct yield_answer *a)
{
	double ln_rate;

	if (!ln_rate_best(v, c, &ln_rate))
		return;
	double all = exp(ln_rate + a->ln_time);
	recent_add(&y->others, clamp(all - a->n, 0, 4 * v->cap));
	recent_add(&y->others_sent, clamp(all - a->n_sent, 0, 4 * v->cap));
	if (y->mode == YIELD_SUSPECTS && y->others.count >= RECENT / 2) {
		y->found = fmax(y->found, recent_median(&y->others));
		y->found_sent = fmax(y->found_sent, recent_median(&y->others_sent));
	}
}

static double noise(const struct yield *y)
{
	return 2.5 * y->spread;
}

/* True when the last answers are slower than noise explains; while already yielding, slower than at
 * full load. */
static bool is_slow(const struct yield *y, const struct yield_view *v, const struct curve *c)
{
	double full, here;

	if (y->residuals.count < RECENT)
		return false;
	double least = recent_least(&y->residuals, RECENT / 4);
	if (isinf(y->cap))
		return least > fmax(LEAST, noise(y));
	if (y->cap < 2 * LEAVES * v->cap || !curve_at(c, log(v->cap), &full) ||
	    !curve_at(c, log(v->limit), &here))
		return false;
	return least > fmax(full - here, 0) + fmax(0.06, noise(y));
}

/* Watches for others that come back, before they have to wait: the room for them is still kept. */
static void cross_watch(struct yield *y, const struct yield_view *v)
{
	if (isinf(y->cap) || y->residuals.count < RECENT)
		return;
	if (y->here) {
		y->here = recent_median(&y->residuals) > LEAST / 3;
	} else if (recent_least(&y->residuals, RECENT / 4) > fmax(LEAST / 2, noise(y))) {
		y->here = true;
		room_keep(y, v, 0);
	}
}

void yield_track(struct yield *y, double residual)
{
	y->residual += (clamp(residual, -CLIP, CLIP) - y->residual) / 16;
}

enum yield_verdict yield_learn(struct yield *y, const struct yield_view *v, struct curve *c,
			       double residual)
{
	double gain = 1 / clamp(v->limit / 2, 8, 64), clipped = clamp(residual, -CLIP, CLIP);

	assert(!v->steady || y->mode == YIELD_WATCHES);
	/* One of the answers that come together is enough: they were sent together. */
	if (v->steady && (double)(v->now_us - y->residual_us) > 0.5 * v->latency_us / v->limit) {
		recent_add(&y->residuals, residual);
		y->residual_us = v->now_us;
	}
	y->residual_fast += (clipped - y->residual_fast) / RECENT;
	y->spread += (fmin(fabs(residual - y->residual_fast), CLIP) - y->spread) / 128;
	y->residual += gain * (clipped - y->residual);
	if (!v->steady)
		return YIELD_NOTHING;
	double chance = 1.25 * y->spread * sqrt(gain / (2 - gain));
	if (y->residual < -fmax(FAR, 4 * chance)) {
		curve_shift(c, y->residual);
		y->residual = 0;
	}
	if (!v->blind || v->now_us < y->waves_until_us) {
		y->residuals.count = 0;
		return YIELD_NOTHING;
	}
	cross_watch(y, v);
	return is_slow(y, v, c) ? suspicion_begin(y, v) : YIELD_NOTHING;
}

/* ---- what other limiters ask of it ---- */

void yield_wait(struct yield *y, uint64_t until_us)
{
	y->waves_until_us = until_us;
}

void yield_reopened(struct yield *y, uint64_t until_us)
{
	yield_give_up(y); /* it was of what led to the outage */
	y->waves_until_us = until_us;
	y->residual = 0;
}

bool yield_trusts(const struct yield *y)
{
	return y->residual < 0.5 * FAR + y->spread;
}
