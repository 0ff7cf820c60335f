/* width.c: see width.h; width_impl.h draws the limits and the phases. Here: life, the width in
 * force, what happens on the lane, room, state. */
#include "upstream/width.h"

#include <math.h>
#include <stdlib.h>

#include "upstream/width_impl.h"

/* Batch slots that an online request in flight takes, beyond those for which the reserve is there:
 * it is not to notice the prompts of the batch. */
#define ONLINE_SHARE 2.0
#define CROWD_PART 0.5       /* of others seen in the metrics: they are known of a moment late */
#define RESERVE_PART 20      /* of the width */
#define RESERVE_PART_BLIND 7 /* ... found without metrics: not to a tenth */
#define PACE 1.5             /* of the speed at which lines end at that width */
#define PACE_LEAST_PER_S 10.0
#define PACE_MOST 2.0        /* at once: */
#define PACE_MOST_US 20000.0 /* ... or what is due in less than a step of an engine */

const char *width_reason_name(enum width_reason reason)
{
	static const char *const names[] = {
#define X(name, text) [WIDTH_##name] = (text),
		WIDTH_REASONS(X)
#undef X
	};
	return names[reason];
}

/* ---- life ---- */

struct width *width_new(const struct width_config *config, uint64_t now_us)
{
	struct width *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return NULL;
	w->area_us = w->floor_since_us = now_us;
	w->online_us = w->gauges_us = w->knee_us = NEVER;
	w->calm = w->polite = w->gate = w->ceiling = w->slots = INFINITY;
	w->slots_wait_us = SLOTS_WAIT_MIN;
	w->slots_try_us = NEVER;
	w->calm_wait_s = 5;
	w->probe_step = 0.1;
	w->spread = 0.1;
	w->mode = SEARCH;
	w->aim = START;
	width_configure(w, config, now_us);
	return w;
}

void width_free(struct width *w)
{
	free(w);
}

void width_configure(struct width *w, const struct width_config *config, uint64_t now_us)
{
	w->config = *config;
	if (w->config.max == 0)
		w->config.max = 1;
	width_set_aim(w, w->aim);
	width_phase_begin(w, now_us);
}

/* ---- the width in force ---- */

double width_limit(const struct width *w)
{
	if (w->config.fixed > 0)
		return fmin(w->config.fixed, w->config.max);
	double least = fmin(fmin(w->aim, w->calm), w->polite);
	return width_clamp(least, 1, w->config.max);
}

static double now_width(const struct width *w)
{
	return fmin(width_limit(w), w->gate);
}

double width_in_flight(const struct width *w)
{
	return w->batch + w->online + w->others;
}

void width_advance(struct width *w, uint64_t now_us)
{
	if (now_us <= w->area_us)
		return;
	w->area += width_in_flight(w) * (double)(now_us - w->area_us);
	w->area_us = now_us;
}

/* ---- what happens on the lane ---- */

struct width_mark width_batch_sent(struct width *w, uint64_t now_us)
{
	width_advance(w, now_us);
	w->batch++;
	w->pace = fmax(0, w->pace - 1);
	return (struct width_mark){ .sent_us = now_us,
				    .area = w->area,
				    .in_flight = width_in_flight(w) };
}

void width_online_sent(struct width *w, uint64_t now_us)
{
	width_advance(w, now_us);
	w->online++;
	w->online_us = now_us;
}

void width_batch_gone(struct width *w, uint64_t now_us)
{
	width_advance(w, now_us);
	w->batch -= w->batch > 0;
}

void width_online_gone(struct width *w, uint64_t now_us)
{
	width_advance(w, now_us);
	w->online -= w->online > 0;
	w->online_us = now_us;
}

void width_batch_refused(struct width *w, const struct width_mark *m, uint64_t now_us)
{
	width_batch_gone(w, now_us);
	if (w->config.fixed > 0)
		return;
	width_refusal_count(w, m->in_flight, true);
	if (m->sent_us >= w->refused_us)
		width_calm_cut(w, m, now_us);
}

void width_reopened(struct width *w, uint64_t now_us)
{
	width_advance(w, now_us);
	/* What is refused by chance, however few are sent, is not sent in larger numbers by degrees. */
	w->gate = fmax(START, width_limit(w) / (w->refused_anyhow ? 2 : 4));
	w->waves_until_us = now_us + (uint64_t)(WAVES * w->latency_us);
	w->residual = 0;
	if (w->mode == PROBE)
		w->aim = w->probe_from;
	if (w->mode != SEARCH)
		width_hold_for(w, HOLD_MIN, now_us);
	if (w->doubt_open) {
		w->doubt_open = false;
		w->polite = w->polite_before; /* it was of what led to the outage */
	}
	width_phase_begin(w, now_us);
}

static double answer_work(const struct width_answer *a)
{
	double tokens = (double)a->output_tokens + (double)a->prompt_tokens / 10;
	return tokens > 0 ? tokens : 1 + (double)a->body_bytes / 40;
}

static bool undisturbed(const struct width *w)
{
	return width_limit(w) >= 0.95 * w->aim || w->refused_anyhow;
}

/* An answer's place on the curve, and what it says to the phase. */
static void learn(struct width *w, const struct width_mark *m, double n,
		  const struct width_answer *a, uint64_t now_us)
{
	double time_us = fmax(1, (double)(now_us - m->sent_us));
	double ln_n = log(n), ln_time = log(time_us / 1e6 / answer_work(a)), should;
	double as_it_is = ln_time;
	ln_time = width_mix_corrected(&w->mix, ln_time, a);
	bool doubting = w->mode == DOUBT;
	bool in_phase = m->sent_us >= w->phase.since_us;
	bool known = width_curve_at(w, ln_n, &should);
	/* A probe or a doubt ends by this answer: it is of the phase in which it was sent. */
	if (!doubting && in_phase && w->full && undisturbed(w)) {
		width_sample_add(&w->phase.all, ln_n - ln_time);
		if (m->in_flight >= 0.85 * n)
			width_sample_add(&w->phase.last, ln_n - ln_time);
		w->phase.ln_n += ln_n;
	}
	if (w->mode != SEARCH)
		width_crowd_look(w, n, fmax(n, m->in_flight), ln_time);
	if (doubting && in_phase)
		width_doubt_step(w, as_it_is - width_curve_near(w, ln_n), now_us);
	else if (known)
		width_residual_learn(w, ln_time - should, now_us);
	bool running = w->mode == SEARCH && width_gauges_fresh(w, now_us) && w->gauges.waiting < 1;
	if ((in_phase || running) && !doubting && w->residual < 0.5 * CURVE_FAR + w->spread)
		width_curve_learn(w, n, ln_time);
}

void width_batch_answered(struct width *w, const struct width_mark *m, const struct width_answer *a,
			  uint64_t now_us)
{
	width_advance(w, now_us);
	double time_us = fmax(1, (double)(now_us - m->sent_us));
	double n = fmax(1, (w->area - m->area) / time_us);
	w->full = n + w->held >= 0.85 * (w->allowed + w->online + w->others);
	w->batch -= w->batch > 0;
	w->latency_us = w->latency_us == 0
				? time_us
				: w->latency_us *
					  (1 +
					   width_clamp(log(time_us / w->latency_us), -1, 1) / 16);
	if (w->answered_us != 0)
		w->answer_gap_us += ((double)(now_us - w->answered_us) - w->answer_gap_us) / 32;
	w->answered_us = now_us;
	w->same_answers++;
	w->floor_answers++;

	if (!isinf(w->gate) && ++w->gate >= width_limit(w))
		w->gate = INFINITY;
	width_refusal_count(w, m->in_flight, false);
	width_calm_grow(w, now_us);
	learn(w, m, n, a, now_us);
	if (w->config.fixed == 0)
		width_phase_step(w, now_us);
}

/* ---- room ---- */

bool width_online_lately(const struct width *w, uint64_t now_us)
{
	return w->online > 0 || w->others > 0 ||
	       (w->online_us != NEVER && now_us - w->online_us < RESERVE_FOR);
}

static unsigned reserve_now(const struct width *w, uint64_t now_us)
{
	double width = width_limit(w);
	double wanted = w->config.reserve;
	if (w->config.reserve < 0)
		wanted = width_online_lately(w, now_us) && width >= 3
				 ? ceil(width / (width_gauges_fresh(w, now_us)
							 ? RESERVE_PART
							 : RESERVE_PART_BLIND))
				 : 0;
	if (w->config.reserve < 0 && width_gauges_fresh(w, now_us))
		wanted = fmax(wanted, fmin(CROWD_PART * w->others_most, width / 3));
	return (unsigned)width_clamp(wanted, 0, fmax(0, floor(width) - 1));
}

/* Beside online requests lines are sent one by one, though somewhat faster than they end: those
 * that ended together would be in the way of an online prompt with all of their prompts. */
static bool is_paced(const struct width *w)
{
	return width_online_lately(w, w->area_us) && w->latency_us > 0 && w->config.fixed == 0;
}

static void pace_refill(struct width *w, uint64_t now_us)
{
	if (!is_paced(w))
		return;
	double per_us = fmax(PACE * width_limit(w) / w->latency_us, PACE_LEAST_PER_S / SECOND);
	double most = fmax(PACE_MOST, PACE_MOST_US * per_us);
	w->pace = fmin(most, w->pace + per_us * (double)(now_us - w->pace_us));
	w->pace_us = now_us;
}

/* Slots for batch lines, those that are taken included; < 0: online requests have more than there are.
 * What is due by time alone is as of `area_us`. */
static double batch_slots(const struct width *w)
{
	double width = width_limit(w), reserve = reserve_now(w, w->area_us);
	double room = floor(width + 1e-6) - reserve - w->online;
	room -= ceil((ONLINE_SHARE - 1) * fmax(0, w->online - reserve));
	/* With next to nothing in flight nothing would be learnt. */
	if (w->config.fixed == 0 && w->mode == SEARCH && w->aim <= SMALL)
		room = fmax(room, floor(width / 2));
	/* Others of whom only the metrics tell do not stop us altogether: they might be wrong. */
	double others = w->others + (ONLINE_SHARE - 1) * fmax(0, w->others - reserve);
	room = fmax(room - ceil(others), fmin(FLOOR, room));
	/* The gate bounds lines; what online requests would leave of it might be nothing, for
	 * good. */
	room = fmin(room, floor(w->gate));
	return fmin(room, (double)w->config.max - w->online);
}

void width_tick(struct width *w, unsigned held, uint64_t now_us)
{
	width_advance(w, now_us);
	width_polite_grow(w, now_us);
	width_doubt_wait(w, now_us);
	pace_refill(w, now_us);
	w->held = held;
	w->allowed = fmax(batch_slots(w), (double)w->batch + held);
}

unsigned width_room(const struct width *w)
{
	double room = batch_slots(w) - w->batch - w->held;
	if (is_paced(w))
		room = fmin(room, floor(w->pace));
	return room < 1 ? 0 : (unsigned)room;
}

unsigned width_room_reopened(const struct width *w)
{
	struct width reopened = *w;
	width_reopened(&reopened, w->area_us);
	return width_room(&reopened);
}

bool width_online_room(const struct width *w)
{
	return w->batch + w->online < w->config.max;
}

/* ---- state ---- */

static enum width_reason reason(const struct width *w, uint64_t now_us)
{
	if (w->config.fixed > 0)
		return WIDTH_FIXED;
	if (!isinf(w->gate))
		return WIDTH_REOPENING;
	if (w->calm < fmin(w->aim, w->polite))
		return WIDTH_REFUSED;
	if (w->polite < w->aim)
		return WIDTH_OTHERS;
	if (w->mode == SEARCH)
		return w->found_count == 0 ? WIDTH_STARTING : WIDTH_GROWING;
	if (w->mode == PROBE)
		return WIDTH_PROBING;
	if (w->aim >= w->config.max)
		return WIDTH_LIMIT;
	if (w->cut_us != 0 && now_us - w->cut_us < MINUTE)
		return w->cut;
	return WIDTH_SETTLED;
}

struct width_state width_state(const struct width *w, uint64_t now_us)
{
	double width = now_width(w), ln_time;
	struct width_state s = {
		.width = width,
		.reason = reason(w, now_us),
		.batch = w->batch,
		.online = w->online,
		.others = w->others,
		.reserve = reserve_now(w, now_us),
	};
	if (width_curve_at(w, log(width), &ln_time)) {
		s.work_ms = 1000 * exp(ln_time);
		s.best_per_s = width / exp(ln_time);
	}
	return s;
}
