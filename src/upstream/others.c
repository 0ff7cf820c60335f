/* others.c: others who use the engine, seen in our latency: far above the curve it is a doubt, for
 * which less is in flight until it is settled; then room is kept for them. */
#include <math.h>

#include "upstream/width_impl.h"

#define POLITE_FOR (10 * MINUTE)
#define POLITE_GROWTH 0.05 /* a minute, of the width */
#define CROWD_LEAVES 0.1   /* of the width, at least, whatever the others */
#define CROWD_KNEE 0.85    /* of the width is below the knee for certain */
#define CROWD_MARGIN 2.0   /* the most at a time, of those found: the burst has only begun */

/* Of latency above the curve, in ln. */
#define DOUBT_LEAST 0.2  /* of nearly all of the last answers: a doubt */
#define DOUBT_FASTER 0.3 /* so far below the curve in a doubt: it is other work */
#define DOUBT_BACK 0.7   /* of what it was before: others were there */

#define DOUBT_CUT 0.1 /* of the width */
#define DOUBT_NEED 8  /* answers */
/* Latencies since a doubt began. */
#define DOUBT_DRAINED 2.5  /* what is in flight still is long */
#define DOUBT_PATIENCE 4.0 /* others' queue is gone by now */
#define DOUBT_LONGEST 10.0

/* What the engine does at best, in work a second, known at the width that was found. */
static bool ln_rate_best(const struct width *w, double *ret_ln_rate)
{
	double ln_time, at = fmin(w->mode == PROBE ? w->probe_from : w->aim, w->config.max);
	if (!width_curve_at(w, log(at), &ln_time))
		return false;
	*ret_ln_rate = log(at) - ln_time;
	return true;
}

static void doubt_begin(struct width *w, uint64_t now_us)
{
	w->bite = width_limit(w);
	if (w->mode == PROBE)
		w->aim = w->probe_from;
	w->polite_before = w->polite;
	w->polite = fmin(w->polite, fmax(1, DOUBT_CUT * w->bite));
	w->doubt_open = true;
	w->crowd_found = w->crowd_sent = 0;
	w->mode = DOUBT;
	w->doubted_us = now_us;
	width_phase_begin(w, now_us);
	w->residuals.count = w->crowds.count = w->crowds_sent.count = 0;
	w->doubt_eased = false;
}

/* Room for as many others as there were at most lately. */
static void crowd_reserve(struct width *w, double crowd, uint64_t now_us)
{
	/* They were as many because they waited. */
	w->crowd = fmax(w->crowd, crowd * w->bite / (w->bite + crowd));
	w->polite = fmax(fmax(1, CROWD_LEAVES * w->aim),
			 CROWD_KNEE * w->aim - CROWD_MARGIN * w->crowd);
	w->polite_us = now_us + POLITE_FOR;
}

static void doubt_end(struct width *w, uint64_t now_us)
{
	w->doubt_open = false;
	w->residual = w->residual_fast = 0;
	w->residuals.count = 0;
	w->gate = fmax(2, w->batch);
	w->waves_until_us = now_us + (uint64_t)(WAVES * w->latency_us);
	width_hold_for(w, HOLD_MIN, now_us);
}

static void doubt_give_up(struct width *w, uint64_t now_us)
{
	w->polite = w->polite_before;
	doubt_end(w, now_us);
}

void width_doubt_wait(struct width *w, uint64_t now_us)
{
	if (w->mode != DOUBT)
		return;
	double latencies = (double)(now_us - w->doubted_us) / w->latency_us;
	if (latencies > DOUBT_LONGEST) {
		doubt_give_up(w, now_us);
	} else if (latencies > DOUBT_DRAINED && !w->doubt_eased) {
		/* What is still in flight are long lines, which will not end soon. */
		w->doubt_eased = true;
		if (w->residuals.count == 0)
			w->polite = fmin(w->bite, w->polite + w->batch);
	}
}

/* It was sent with little in flight. Others' requests that wait are gone only after a while: until
 * then the doubt is open. */
void width_doubt_step(struct width *w, double residual, uint64_t now_us)
{
	width_recent_add(&w->residuals, residual);
	if (w->residuals.count < DOUBT_NEED)
		return;
	double median = width_recent_median(&w->residuals);
	double before = log((w->bite + w->crowd_found) / w->bite);
	bool late = (double)(now_us - w->doubted_us) > DOUBT_PATIENCE * w->latency_us;
	if (median < -DOUBT_FASTER || (late && median >= DOUBT_BACK * before)) {
		/* As slow with less in flight, or faster than it ever was: it is the work that
		 * changed. */
		width_curve_bend(w, log(fmax(1, w->polite)), median, log(w->bite), before);
		doubt_give_up(w, now_us);
	} else if (median < DOUBT_BACK * before) {
		crowd_reserve(w, w->crowd_sent, now_us);
		doubt_end(w, now_us);
	}
}

void width_polite_grow(struct width *w, uint64_t now_us)
{
	if (w->doubt_open && w->mode != DOUBT) {
		/* It was ended from outside: metrics came. */
		w->doubt_open = false;
		w->polite = w->polite_before;
	}
	if (isinf(w->polite) || w->doubt_open || now_us <= w->polite_us)
		return;
	double minutes = (double)(now_us - w->polite_us) / MINUTE;
	w->polite += POLITE_GROWTH * w->aim * minutes;
	w->polite_us = now_us;
	if (w->polite >= w->aim) {
		w->polite = INFINITY;
		w->crowd = 0;
	}
}

/* If the engine's queue had all of them: beside those of ours in the answer's life (too many while
 * ours become fewer: it tells how slow it was), and beside those when it was sent. */
void width_crowd_look(struct width *w, double n, double n_sent, double ln_time)
{
	double ln_rate;
	if (!ln_rate_best(w, &ln_rate))
		return;
	double all = exp(ln_rate + ln_time);
	width_recent_add(&w->crowds, width_clamp(all - n, 0, 4 * w->aim));
	width_recent_add(&w->crowds_sent, width_clamp(all - n_sent, 0, 4 * w->aim));
	if (w->mode == DOUBT && w->crowds.count >= RECENT / 2) {
		w->crowd_found = fmax(w->crowd_found, width_recent_median(&w->crowds));
		w->crowd_sent = fmax(w->crowd_sent, width_recent_median(&w->crowds_sent));
	}
}

/* Whether the last answers, nearly all of them, took longer than chance has it. Where we are out of
 * the way of others already: longer than with the engine full. */
static bool doubtful(const struct width *w)
{
	double least = width_recent_least(&w->residuals, RECENT / 4), full, here;
	if (w->residuals.count < RECENT)
		return false;
	if (isinf(w->polite))
		return least > fmax(DOUBT_LEAST, 2.5 * w->spread);
	if (w->polite < 2 * CROWD_LEAVES * w->aim || !width_curve_at(w, log(w->aim), &full) ||
	    !width_curve_at(w, log(width_limit(w)), &here))
		return false;
	return least > fmax(full - here, 0) + fmax(0.06, 2.5 * w->spread);
}

/* Others who come back are seen before they have to wait: what makes room for them stays. */
static void crowd_watch(struct width *w, uint64_t now_us)
{
	if (isinf(w->polite) || w->residuals.count < RECENT)
		return;
	if (w->crowd_here) {
		w->crowd_here = width_recent_median(&w->residuals) > DOUBT_LEAST / 3;
	} else if (width_recent_least(&w->residuals, RECENT / 4) >
		   fmax(DOUBT_LEAST / 2, 2.5 * w->spread)) {
		w->crowd_here = true;
		crowd_reserve(w, 0, now_us);
	}
}

void width_residual_learn(struct width *w, double residual, uint64_t now_us)
{
	double gain = 1 / width_clamp(width_limit(w) / 2, 8, 64);
	/* Of answers that come together one is enough: they were sent together. */
	if ((w->mode == HOLD || w->mode == PROBE) &&
	    (double)(now_us - w->residual_us) > 0.5 * w->latency_us / width_limit(w)) {
		width_recent_add(&w->residuals, residual);
		w->residual_us = now_us;
	}
	w->residual_fast += (width_clamp(residual, -0.7, 0.7) - w->residual_fast) / RECENT;
	w->spread += (fmin(fabs(residual - w->residual_fast), 0.7) - w->spread) / 128;
	w->residual += gain * (width_clamp(residual, -0.7, 0.7) - w->residual);
	if (w->mode != HOLD && w->mode != PROBE)
		return;
	double noise = 1.25 * w->spread * sqrt(gain / (2 - gain));
	if (w->residual < -fmax(CURVE_FAR, 4 * noise))
		width_curve_shift(w, w->residual);
	/* More in flight than ever is slower by itself. */
	bool more = w->mode == PROBE && !w->probe_down;
	if (more || width_gauges_fresh(w, now_us) ||
	    (double)(now_us - w->hold_us) < 2 * w->latency_us || now_us < w->waves_until_us) {
		w->residuals.count = 0;
		return;
	}
	crowd_watch(w, now_us);
	if (doubtful(w))
		doubt_begin(w, now_us);
}
