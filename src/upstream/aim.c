/* aim.c: the aim is moved by phases: search, hold, probe, and the verification of what the search
 * found. */
#include <math.h>
#include <string.h>

#include "upstream/width_impl.h"

#define LEAVES_LINE 0.14 /* in ln: latency so far above a line through that with less is a queue */
#define VERIFIES 0.08    /* ... once nothing was sent at once */
#define OVERSHOT 0.25    /* ... and a long one */
#define BELOW 0.35       /* in ln: throughput so far below the best is not yet held up by a queue */
#define SETTLES 2.5      /* latencies after the search for which answers come in waves */
#define KNEE_FOR (30 * MINUTE)
#define HOLD_MAX (120 * SECOND)
#define PHASE_MIN (50 * (SECOND / 1000))

/* ---- phases ---- */

void width_phase_begin(struct width *w, uint64_t now_us)
{
	w->phase.since_us = now_us;
	w->phase.all.count = w->phase.last.count = 0;
	w->phase.ln_n = 0;
}

static struct width_finding phase_finding(const struct width_phase *p)
{
	struct width_finding f = { .ln_n = p->ln_n / p->all.count };
	double error;
	f.ln_rate = f.ln_rate_last = width_robust_mean(&p->all, &f.error);
	if (p->last.count > 0)
		f.ln_rate_last = width_robust_mean(&p->last, &error);
	return f;
}

static unsigned phase_need(const struct width *w)
{
	switch (w->mode) {
	case SEARCH:
		return (unsigned)width_clamp((w->aim <= SMALL ? 0.8 : 0.5) * w->aim, 3, SAMPLES);
	default:
		return (unsigned)width_clamp(2 * w->aim, 24, SAMPLES);
	}
}

void width_hold_for(struct width *w, uint64_t for_us, uint64_t now_us)
{
	w->mode = HOLD;
	w->hold_us = now_us;
	w->hold_for_us = (uint64_t)width_clamp((double)for_us, HOLD_MIN, HOLD_MAX);
	width_phase_begin(w, now_us);
}

void width_set_aim(struct width *w, double aim)
{
	w->aim = width_clamp(aim, 1, w->config.max);
}

/* ---- search ---- */

/* Just below where the line of latency, through what was found well below the best throughput,
 * meets that throughput: above it is a queue. */
static double knee(const struct width_finding *f, unsigned n, double below, double most)
{
	double best = f[0].ln_rate_last, least = 1;
	for (unsigned i = 1; i < n; i++)
		best = fmax(best, f[i].ln_rate_last);
	double rate = exp(best), points = 0, sn = 0, st = 0, snn = 0, snt = 0;
	for (unsigned i = 1; i < n; i++) {
		double at = exp(f[i].ln_n), time = exp(f[i].ln_n - f[i].ln_rate);
		if (f[i].ln_rate > best - below)
			continue;
		least = fmax(least, at);
		points += 1;
		sn += at;
		st += time;
		snn += at * at;
		snt += at * time;
	}
	if (points < 1)
		return exp(f[n - 1].ln_n); /* it never grew */
	double scatter = points * snn - sn * sn;
	double slope = points < 2 ? 0 : fmax(0, (points * snt - sn * st) / scatter);
	double none = (st - slope * sn) / points, rest = 1 - slope * rate;
	if (none <= 0 || rest < 0.05)
		return most;
	return width_clamp(0.95 * rate * none / rest, least, fmax(least, most));
}

/* How far, in ln, the newest finding's time is above a line through those before it. Far above,
 * they were below a knee, and it is beyond. */
static double above_line(const struct width_finding *f, unsigned n)
{
	double s = 0, sn = 0, st = 0, snn = 0, snt = 0;
	for (unsigned i = 1; i < n; i++) {
		double at = exp(f[i].ln_n), time = exp(f[i].ln_n - f[i].ln_rate);
		double weight = 1 / (time * time);
		s += weight;
		sn += weight * at;
		st += weight * time;
		snn += weight * at * at;
		snt += weight * at * time;
	}
	double scatter = s * snn - sn * sn;
	if (n < 4 || scatter <= 0)
		return 0;
	double slope = fmax(0, (s * snt - sn * st) / scatter), none = (st - slope * sn) / s;
	double line = none + slope * exp(f[0].ln_n);
	/* Of many sent at once, the first see no queue yet and the last wait the longest. */
	return f[0].ln_n - (f[0].ln_rate + f[0].ln_rate_last) / 2 - log(fmax(line, 1e-9));
}

/* The first phase after the search is the first in which nothing was sent at once: if it is above
 * the line still, the knee is below. */
static bool search_verify(struct width *w, uint64_t now_us)
{
	struct width_finding f[FOUND + 1] = { phase_finding(&w->phase) };
	unsigned n = 1;
	w->verify = false;
	for (unsigned i = 0; i < w->found_count; i++)
		if (w->found[i].ln_n < f[0].ln_n - 0.15)
			f[n++] = w->found[i];
	if (above_line(f, n) < VERIFIES + 2 * f[0].error)
		return false;
	f[0].ln_rate_last = f[0].ln_rate;
	width_set_aim(w, knee(f, n, 0.05, exp(f[0].ln_n)));
	width_hold_for(w, HOLD_MIN, now_us);
	return true;
}

static void search_end(struct width *w, double to, uint64_t now_us)
{
	width_set_aim(w, to);
	w->knee_us = now_us;
	/* What was seen up there was of a queue that formed. */
	width_curve_forget(w, log(w->aim) - 0.35);
	w->waves_until_us = now_us + (uint64_t)(SETTLES * w->latency_us);
	w->probe_next_down = w->verify = true;
	w->probe_step = 0.15;
	width_hold_for(w, HOLD_MIN, now_us);
	w->phase.since_us = now_us +
			    (uint64_t)w->latency_us; /* until what was sent together is gone */
}

/* Far beyond the knee: the rest of the phase would only make the queue last. */
static bool search_overshot(const struct width *w)
{
	struct width_finding f[FOUND];
	if (w->mode != SEARCH || w->found_count < 3 || w->phase.last.count < 12)
		return false;
	memcpy(&f[1], w->found, (FOUND - 1) * sizeof(f[0]));
	f[0] = phase_finding(&w->phase);
	return above_line(f, w->found_count + 1 < FOUND ? w->found_count + 1 : FOUND) >
	       OVERSHOT + 2 * f[0].error;
}

static void search_step(struct width *w, uint64_t now_us)
{
	struct width_finding *f = w->found;
	memmove(&f[1], &f[0], (FOUND - 1) * sizeof(f[0]));
	f[0] = phase_finding(&w->phase);
	if (w->found_count < FOUND)
		w->found_count++;

	double factor = 2;
	if (w->found_count >= 2) {
		double grown = f[0].ln_n - f[1].ln_n;
		/* Of many sent at once into a full engine, the first see a shorter queue than they
		 * leave; into an empty one, the last see a longer. The truth is between the two. */
		double more = f[0].ln_rate + f[0].ln_rate_last - f[1].ln_rate - f[1].ln_rate_last;
		double pays = more / 2 / fmax(grown, 0.05);
		if (above_line(f, w->found_count) > LEAVES_LINE + f[0].error) {
			f[0].ln_rate_last = (f[0].ln_rate + f[0].ln_rate_last) / 2;
			search_end(w, knee(f, w->found_count, 0.05, exp(f[0].ln_n)), now_us);
			return;
		} else if (grown < 0.1) {
			/* It did not become more: refusals, others or the reserve hold it down. */
			w->found_count--;
			memmove(&f[1], &f[2], (FOUND - 2) * sizeof(f[0]));
			factor = 1.5;
		} else if (pays < PAYS) {
			search_end(w, knee(f, w->found_count, BELOW, exp(f[1].ln_n)), now_us);
			return;
		} else {
			factor = pays > 0.85 ? 3 : pays > 0.4 ? 2 : 1.5;
			if (above_line(f, w->found_count) > LEAVES_LINE / 2 + f[0].error)
				factor = 1.25; /* perhaps it begins */
		}
	}
	if (w->aim >= w->config.max) {
		width_hold_for(w, HOLD_MAX, now_us);
		return;
	}
	/* What is kept free comes on top: it is not in flight. */
	double kept = w->config.reserve > 0 ? w->config.reserve : 0;
	width_set_aim(w, fmax(factor * exp(f[0].ln_n), exp(f[0].ln_n) + 1) + kept);
	width_phase_begin(w, now_us);
}

/* ---- probes ---- */

/* While online requests and their reserve keep a part of the width free, less is in flight than it
 * says: more would seem to pay until the reserve is eaten up, and less would tell nothing. Then
 * only what was seen long ago, or never, is looked at again. */
static bool probe_allowed(const struct width *w, uint64_t now_us)
{
	bool known = w->knee_us != NEVER && now_us - w->knee_us < KNEE_FOR;
	if (width_gauges_fresh(w, now_us) && !isinf(w->slots))
		return false; /* the engine says it better: engine.c */
	return w->calm >= w->aim && w->polite >= w->aim && isinf(w->gate) &&
	       !(known && width_online_lately(w, now_us));
}

static void probe_begin(struct width *w, uint64_t now_us)
{
	w->base = phase_finding(&w->phase);
	w->probe_from = w->aim;
	w->probe_down = w->probe_next_down;
	if (w->aim >= w->config.max)
		w->probe_down = true;
	if (w->aim < 2 && w->probe_down) {
		width_hold_for(w, w->hold_for_us, now_us);
		return;
	}
	double step = fmax(1, w->probe_step * w->aim);
	w->mode = PROBE;
	width_set_aim(w, w->probe_down ? w->aim - step : w->aim + step);
	width_phase_begin(w, now_us);
}

static void probe_end(struct width *w, uint64_t now_us)
{
	struct width_finding f = phase_finding(&w->phase);
	double moved = f.ln_n - w->base.ln_n;
	double pays = (f.ln_rate - w->base.ln_rate) / moved;
	double error = hypot(f.error, w->base.error) / fabs(moved);
	/* Throughput that grows faster than what is in flight, or falls, is something else's
	 * doing. */
	bool better = fabs(moved) > 0.03 && pays < 1 + 2 * error && pays > -0.5 - 2 * error &&
		      (w->probe_down ? pays + error < PAYS_NOT : pays - error > PAYS);
	if (better) {
		/* The same way again, and soon. */
		w->probe_step = fmin(0.2, 1.5 * w->probe_step);
		w->probe_next_down = w->probe_down;
		width_hold_for(w, HOLD_MIN, now_us);
		return;
	}
	if (!w->probe_down)
		w->knee_us = now_us;
	w->aim = w->probe_from;
	w->probe_step = 0.1;
	w->probe_next_down = !w->probe_down;
	width_hold_for(w, 2 * w->hold_for_us, now_us);
}

/* ---- what is next ---- */

void width_phase_step(struct width *w, uint64_t now_us)
{
	const struct width_phase *p = &w->phase;
	bool enough = p->all.count >= phase_need(w) || search_overshot(w);
	if (!enough || now_us < p->since_us + PHASE_MIN)
		return;
	switch (w->mode) {
	case SEARCH:
		/* What waits in the engine is no measure of what it runs. */
		if (w->queue_polls == 0)
			search_step(w, now_us);
		break;
	case HOLD:
		if (w->verify && search_verify(w, now_us))
			break;
		if ((double)(now_us - w->hold_us) >
			    fmax((double)w->hold_for_us, 4 * w->latency_us) &&
		    probe_allowed(w, now_us))
			probe_begin(w, now_us);
		break;
	case PROBE:
		probe_end(w, now_us);
		break;
	case DOUBT:
		break;
	}
}
