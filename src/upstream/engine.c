/* engine.c: the engine's metrics: its slots, others seen there, and when they are not believed. */
#include <math.h>
#include <string.h>

#include "upstream/width_impl.h"

#define GAUGES_STALE (5 * SECOND)
#define SLOTS_WAIT_MAX (10 * MINUTE)
#define SLOTS_TRY_FOR (2 * SECOND)
#define DISTRUST_MIN MINUTE
#define DISTRUST_MAX (10 * MINUTE)

bool width_gauges_fresh(const struct width *w, uint64_t now_us)
{
	return w->gauges_us != NEVER && now_us < w->gauges_us + GAUGES_STALE &&
	       now_us >= w->distrust_until_us;
}

static void gauges_cut(struct width *w, double to, enum width_reason why, uint64_t now_us)
{
	if (to < w->aim) {
		bool probing = w->mode == PROBE && !w->probe_down;
		uint64_t hold = probing ? 2 * w->hold_for_us : HOLD_MIN;
		width_set_aim(w, fmax(to, fmin(FLOOR, w->aim)));
		w->cut = why;
		w->cut_us = w->knee_us = now_us;
		w->probe_step = 0.05;
		width_hold_for(w, hold, now_us);
	}
}

/* More while all that is there runs: an engine that is slow to say so is not to be flooded. */
static void gauges_grow(struct width *w, const struct gauges *g, unsigned own, uint64_t now_us)
{
	double at;
	double taken = w->batch + w->held;
	if (w->mode != SEARCH || taken < 0.9 * w->allowed || width_in_flight(w) < 0.7 * w->aim ||
	    g->running < 0.8 * own - 1)
		return;
	if (width_curve_flat(w, &at)) {
		width_set_aim(w, fmax(at, START));
		width_hold_for(w, HOLD_MIN, now_us);
		return;
	}
	/* Answers have to follow: where latency alone would tell, they do. */
	double top = width_curve_top(w);
	double to = fmin(1.5 * w->aim, top * (width_curve_pays(w) > 0.5 ? 4 : 1.5));
	if (to > w->aim) {
		width_set_aim(w, to);
		width_phase_begin(w, now_us);
	}
}

/* Metrics that never change while answers come, or that leave us next to nothing while answers come
 * as fast as they ever did, are not believed for a while. */
static bool gauges_lie(struct width *w, const struct gauges *g, uint64_t now_us)
{
	bool crowded = g->waiting > fmax(2, 0.05 * w->aim) &&
		       (w->others >= w->aim - FLOOR || w->aim <= FLOOR);
	bool same = g->waiting == w->gauges.waiting;
	if (!same || !crowded || w->gauges_us == NEVER)
		w->same_polls = w->same_answers = 0;
	else
		w->same_polls++;
	if (!crowded) {
		w->floor_since_us = now_us;
		w->floor_answers = 0;
	}
	bool frozen = w->same_polls >= 20 && w->same_answers >= 10;
	bool flowing = now_us - w->floor_since_us > MINUTE / 2 && w->floor_answers >= 30 &&
		       w->residual < 0.1;
	if (!frozen && !flowing)
		return false;
	w->distrust_for_us = (uint64_t)width_clamp(2 * (double)w->distrust_for_us, DISTRUST_MIN,
						   DISTRUST_MAX);
	w->distrust_until_us = now_us + w->distrust_for_us;
	w->floor_since_us = w->distrust_until_us;
	w->same_polls = w->same_answers = w->floor_answers = 0;
	w->queue_polls = w->many_polls = w->crowd_polls = 0;
	w->slots = INFINITY;
	w->running_most = 0;
	w->others = w->others_before = w->others_most = 0;
	w->online_us = w->online > 0 ? now_us : NEVER;
	memset(w->bins, 0, sizeof(w->bins)); /* learnt with others that are not there */
	width_set_aim(w, fmax(w->aim, START));
	w->mode = SEARCH;
	w->found_count = 0;
	width_phase_begin(w, now_us);
	return true;
}

/* Whether the engine runs all that it can while others wait. A few that wait may only wait for its
 * next step, as many as ended in the last one: that is no queue. Nor is it one while less runs than
 * did before, unless its cache is full, or a crowd waits for long (then it has fewer slots than it
 * had). */
static bool engine_full(struct width *w, const struct gauges *g)
{
	double few = fmax(2, 0.03 * g->running);
	w->running_most = fmax(g->running, 0.9997 * w->running_most);
	w->running_lately = fmax(g->running, 0.97 * w->running_lately);
	bool all = g->running >= 0.9 * w->running_most || g->cache > 0.9;
	w->queue_polls = all && g->waiting >= 1 ? w->queue_polls + 1 : 0;
	w->many_polls = all && g->waiting > few ? w->many_polls + 1 : 0;
	w->crowd_polls = g->waiting > fmax(few, 0.25 * g->running) ? w->crowd_polls + 1 : 0;
	if (w->crowd_polls >= 12)
		w->running_most = w->running_lately = g->running;
	return w->many_polls >= 3 || w->crowd_polls >= 12 ||
	       (w->queue_polls >= 8 && g->running <= 16);
}

/* A few of many slots stay free, so that a request from elsewhere finds one before we know of
 * it. */
static double slots_used(double slots)
{
	return slots < 16 ? slots : floor(0.97 * slots);
}

/* Now and then, while all slots that we use are taken and nobody waits: there may be more of
 * them. */
static void slots_try(struct width *w, uint64_t now_us)
{
	if (w->slots_try_us != NEVER) {
		if (now_us - w->slots_try_us < SLOTS_TRY_FOR)
			return;
		bool more = w->running_lately > w->slots + 0.5;
		w->slots = fmax(w->slots, w->running_lately);
		w->slots_wait_us = more ? SLOTS_WAIT_MIN
					: (uint64_t)width_clamp(2 * (double)w->slots_wait_us,
								SLOTS_WAIT_MIN, SLOTS_WAIT_MAX);
		w->slots_us = now_us;
		w->slots_try_us = NEVER;
		width_set_aim(w, slots_used(w->slots));
	} else if (w->mode == HOLD && !isinf(w->slots) && w->idle_polls >= 2 &&
		   now_us - w->slots_us > w->slots_wait_us) {
		w->slots_try_us = now_us;
		width_set_aim(w, w->slots + fmax(1, floor(0.05 * w->slots)));
	}
}

static void gauges_slots(struct width *w, const struct gauges *g, unsigned own, uint64_t now_us)
{
	double elsewhere = fmin(w->elsewhere, w->elsewhere_before);
	bool taken = g->running >= 0.95 * w->aim + elsewhere - 1;
	if (engine_full(w, g)) {
		double slots = fmax(1, w->running_lately - elsewhere);
		w->slots = slots;
		w->slots_us = now_us;
		w->slots_try_us = NEVER;
		gauges_cut(w, slots_used(slots), WIDTH_ENGINE_QUEUE, now_us);
	} else if (g->cache > 0.98) {
		gauges_cut(w, 0.9 * w->aim, WIDTH_ENGINE_CACHE, now_us);
	} else if (g->cache <= 0.95 && g->waiting < 1) {
		w->idle_polls = taken ? w->idle_polls + 1 : 0;
		gauges_grow(w, g, own, now_us);
		slots_try(w, now_us);
	}
}

static void gauges_others(struct width *w, const struct gauges *g, unsigned own, uint64_t now_us)
{
	/* What is sent or answered while the metrics are read: some 5 ms of it. */
	double deadband = 1.5 + (w->answer_gap_us > 0 ? 5000 / w->answer_gap_us : 0);
	double others = g->waiting + g->running - own;
	if (others <= deadband)
		others = 0;
	w->others = fmax(others, w->others_before); /* at once; back when two polls say so */
	w->others_before = others;
	if (others >= w->others_most || now_us - w->others_most_us > RESERVE_FOR) {
		w->others_most = others;
		w->others_most_us = now_us;
	}
	if (w->others > 0)
		w->online_us = now_us;
}

void width_gauges(struct width *w, const struct gauges *g, unsigned own, uint64_t now_us)
{
	width_advance(w, now_us);
	if (now_us >= w->distrust_until_us) {
		gauges_others(w, g, own, now_us);
		/* `own` is a moment older than what is in flight here: the least is right. */
		double elsewhere = fmax(0, (double)own - w->batch - w->online);
		if (w->polls++ % 8 == 0) {
			w->elsewhere_before = w->elsewhere;
			w->elsewhere = elsewhere;
		}
		w->elsewhere = fmin(w->elsewhere, elsewhere);
		if (!gauges_lie(w, g, now_us) && w->config.fixed == 0)
			gauges_slots(w, g, own, now_us);
	}
	w->gauges = *g;
	w->gauges_us = now_us;
}

void width_gauges_lost(struct width *w, uint64_t now_us)
{
	width_advance(w, now_us);
	w->gauges_us = NEVER;
	w->others = w->others_before = w->others_most = 0;
	w->queue_polls = w->many_polls = w->crowd_polls = w->same_polls = 0;
}
