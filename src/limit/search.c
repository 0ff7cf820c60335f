/* search.c: phases, and what is found by comparing them: growing, the knee and its verification,
 * probes. */
#include "limit/search.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "limit/common.h"

#define LEAVES_LINE 0.14 /* in ln: latency so far above a line through that with less is a queue */
#define VERIFIES 0.08    /* ... once nothing was sent at once */
#define VERIFY_PART 0.7  /* of the cap: answers */
#define OVERSHOT 0.25    /* ... and a long one */
#define BELOW 0.35       /* in ln: throughput so far below the best is not yet held up by a queue */
#define NEARLY_ALL 0.96
#define AT_ALL 0.05 /* ... or is, beyond the line */
#define KNEE_FOR (30 * MINUTE)
#define HOLD_MAX (120 * SECOND)
#define PHASE_MIN (50 * (SECOND / 1000))
#define QUICK (SECOND / 50)   /* latency */
#define CONNECT (SECOND / 10) /* after which connections are there */
#define STEP_FIRST 0.15       /* of a probe, of the cap: after the knee was found */
#define STEP 0.1
#define STEP_MOST 0.2

/* ---- modes and phases ---- */

/* The one door: each mode begins with a sample of its own. */
static void mode_set(struct search *s, enum search_mode mode, uint64_t now_us)
{
	assert(mode != SEARCH_PROBES || s->mode == SEARCH_HOLDS);
	assert(mode != SEARCH_SUSPENDED || search_is_steady(s));
	s->mode = mode;
	search_phase_again(s, now_us);
}

static void cap_set(struct search *s, double cap)
{
	s->cap = clamp(cap, 1, s->max);
}

void search_phase_again(struct search *s, uint64_t now_us)
{
	s->phase.since_us = now_us;
	s->phase.all.count = s->phase.last.count = 0;
	s->phase.ln_n = 0;
}

void search_init(struct search *s, uint64_t now_us)
{
	*s = (struct search){ .mode = SEARCH_GROWS,
			      .cap = LIMIT_START,
			      .max = LIMIT_START,
			      .knee_us = NEVER,
			      .probe_step = STEP };
	search_phase_again(s, now_us);
}

void search_configure(struct search *s, double max, unsigned kept, uint64_t now_us)
{
	assert(max >= 1);
	s->max = max;
	s->kept = kept;
	cap_set(s, s->cap);
	search_phase_again(s, now_us);
}

void search_bound(struct search *s, double max)
{
	s->max = max;
	if (s->cap > max)
		cap_set(s, max);
}

static struct search_finding phase_finding(const struct search_phase *p)
{
	struct search_finding f = { .ln_n = p->ln_n / p->all.count };
	double error;

	f.ln_rate = f.ln_rate_last = sample_robust_mean(&p->all, &f.error);
	if (p->last.count > 0)
		f.ln_rate_last = sample_robust_mean(&p->last, &error);
	return f;
}

static unsigned phase_need(const struct search *s)
{
	if (s->mode == SEARCH_GROWS)
		return (unsigned)clamp((s->cap <= LIMIT_SMALL ? 0.8 : 0.5) * s->cap, 3, SAMPLES);
	return (unsigned)clamp((s->verify ? VERIFY_PART : 2) * s->cap, 24, SAMPLES);
}

bool search_in_phase(const struct search *s, uint64_t sent_us)
{
	return sent_us >= s->phase.since_us;
}

void search_sample(struct search *s, const struct search_answer *a)
{
	assert(search_in_phase(s, a->sent_us) && s->mode != SEARCH_SUSPENDED);
	sample_add(&s->phase.all, a->ln_n - a->ln_time);
	if (a->sent_beside)
		sample_add(&s->phase.last, a->ln_n - a->ln_time);
	s->phase.ln_n += a->ln_n;
}

double search_goal(const struct search *s)
{
	return s->mode == SEARCH_PROBES ? s->probe_from : s->cap;
}

bool search_is_steady(const struct search *s)
{
	return s->mode == SEARCH_HOLDS || s->mode == SEARCH_PROBES;
}

bool search_probes_up(const struct search *s)
{
	return s->mode == SEARCH_PROBES && !s->probe_down;
}

/* ---- what other limiters ask of it ---- */

void search_hold(struct search *s, uint64_t for_us, uint64_t now_us)
{
	s->hold_us = now_us;
	s->hold_for_us = (uint64_t)clamp((double)for_us, SEARCH_HOLD_MIN, HOLD_MAX);
	mode_set(s, SEARCH_HOLDS, now_us);
}

void search_restart(struct search *s, uint64_t now_us)
{
	cap_set(s, fmax(s->cap, LIMIT_START));
	s->found_count = 0;
	mode_set(s, SEARCH_GROWS, now_us);
}

void search_settle_at(struct search *s, double cap, uint64_t now_us)
{
	cap_set(s, fmax(cap, LIMIT_START));
	search_hold(s, SEARCH_HOLD_MIN, now_us);
}

void search_overrun(struct search *s, double cap, uint64_t now_us)
{
	search_settle_at(s, fmin(s->cap, cap), now_us);
	s->verify = false;
	s->knee_us = now_us;
}

void search_follow(struct search *s, double cap, uint64_t now_us)
{
	if (s->mode != SEARCH_HOLDS)
		search_hold(s, SEARCH_HOLD_MIN, now_us);
	s->verify = false;
	s->hold_us = now_us;
	s->knee_us = now_us;
	cap_set(s, cap);
}

void search_suspend(struct search *s, uint64_t now_us)
{
	s->cap = search_goal(s);
	mode_set(s, SEARCH_SUSPENDED, now_us);
}

void search_reopened(struct search *s, uint64_t now_us)
{
	s->cap = search_goal(s);
	if (s->mode == SEARCH_GROWS)
		search_phase_again(s, now_us);
	else
		search_hold(s, SEARCH_HOLD_MIN, now_us);
}

/* ---- growing ---- */

/* The least in flight of those that gave that rate. */
static double least_of(const struct search_finding *f, unsigned n, double ln_rate)
{
	double least = INFINITY;

	for (unsigned i = 0; i < n; i++)
		if (fmax(f[i].ln_rate, f[i].ln_rate_last) >= ln_rate)
			least = fmin(least, exp(f[i].ln_n));
	return least;
}

/* Just below where the line of latency, through what was found well below the best throughput,
 * meets that throughput: above it is a queue. */
static double knee(const struct search_finding *f, unsigned n, double below, double most)
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
	if (points < 1) /* it hardly grew: the least that gives nearly all */
		return least_of(f, n, best + log(NEARLY_ALL));
	double scatter = points * snn - sn * sn;
	double slope = points < 2 ? 0 : fmax(0, (points * snt - sn * st) / scatter);
	double none = (st - slope * sn) / points, rest = 1 - slope * rate;
	if (none <= 0 || rest < 0.05)
		return most;
	return clamp(0.95 * rate * none / rest, least, fmax(least, most));
}

/* How far, in ln, the newest finding's time is above a line through those before it. Far above,
 * they were below a knee, and it is beyond. */
static double above_line(const struct search_finding *f, unsigned n)
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
	/* When many are sent at once, the first see no queue yet and the last wait the longest. */
	return f[0].ln_n - (f[0].ln_rate + f[0].ln_rate_last) / 2 - log(fmax(line, 1e-9));
}

/* The first phase after the knee was found is the first in which nothing was sent at once: if its
 * time is still above the line, the knee is below. */
static bool knee_verify(struct search *s, uint64_t now_us)
{
	struct search_finding f[SEARCH_FOUND + 1] = { phase_finding(&s->phase) };
	unsigned n = 1;

	s->verify = false;
	for (unsigned i = 0; i < s->found_count; i++)
		if (s->found[i].ln_n < f[0].ln_n - 0.15)
			f[n++] = s->found[i];
	if (above_line(f, n) < VERIFIES + 2 * f[0].error)
		return false;
	f[0].ln_rate_last = f[0].ln_rate;
	cap_set(s, knee(f, n, AT_ALL, exp(f[0].ln_n)));
	search_hold(s, SEARCH_HOLD_MIN, now_us);
	return true;
}

static void growth_end(struct search *s, double cap, const struct search_view *v)
{
	cap_set(s, cap);
	s->knee_us = v->now_us;
	s->probe_next_down = s->verify = true;
	s->probe_step = STEP_FIRST;
	search_hold(s, SEARCH_HOLD_MIN, v->now_us);
	/* until what was sent together is gone */
	s->phase.since_us = v->now_us + (uint64_t)v->latency_us;
}

/* Far beyond the knee the rest of the phase would only make the queue last. */
static bool has_overshot(const struct search *s)
{
	struct search_finding f[SEARCH_FOUND];

	if (s->mode != SEARCH_GROWS || s->found_count < 3 || s->phase.last.count < 12)
		return false;
	memcpy(&f[1], s->found, (SEARCH_FOUND - 1) * sizeof(f[0]));
	f[0] = phase_finding(&s->phase);
	unsigned n = s->found_count + 1 < SEARCH_FOUND ? s->found_count + 1 : SEARCH_FOUND;
	return above_line(f, n) > OVERSHOT + 2 * f[0].error;
}

static void found_add(struct search *s)
{
	struct search_finding *f = s->found;

	memmove(&f[1], &f[0], (SEARCH_FOUND - 1) * sizeof(f[0]));
	f[0] = phase_finding(&s->phase);
	if (s->found_count < SEARCH_FOUND)
		s->found_count++;
}

/* The one before the newest was of as much in flight: the newest takes its place. */
static void found_drop(struct search *s)
{
	struct search_finding *f = s->found;

	assert(s->found_count > 1);
	s->found_count--;
	memmove(&f[1], &f[2], (SEARCH_FOUND - 2) * sizeof(f[0]));
}

/* The factor of the next phase; 0: it is over, and *ret_knee is where. */
static double growth_factor(struct search *s, bool busy, double *ret_knee)
{
	struct search_finding *f = s->found;
	double grown = f[0].ln_n - f[1].ln_n, off = busy ? 0 : above_line(f, s->found_count);
	/* When many are sent at once into a full engine, the first see a shorter queue than they
	 * leave; into an empty engine, the last see a longer one. The truth is between the two. */
	double more = f[0].ln_rate + f[0].ln_rate_last - f[1].ln_rate - f[1].ln_rate_last;
	double pays = more / 2 / fmax(grown, 0.05);

	if (off > LEAVES_LINE + f[0].error) {
		f[0].ln_rate_last = (f[0].ln_rate + f[0].ln_rate_last) / 2;
		*ret_knee = knee(f, s->found_count, AT_ALL, exp(f[0].ln_n));
		return 0;
	}
	if (grown < 0.1) { /* refusals, others or the reserve hold it down */
		found_drop(s);
		return 1.5;
	}
	if (pays < CURVE_PAYS) {
		*ret_knee = busy ? exp(f[1].ln_n) : knee(f, s->found_count, BELOW, exp(f[1].ln_n));
		return 0;
	}
	if (off > LEAVES_LINE / 2 + f[0].error)
		return 1.25; /* perhaps it begins */
	return pays > 0.85 ? 3 : pays > 0.4 ? 2 : 1.5;
}

/* True: the knee is found. */
static bool growth_step(struct search *s, const struct search_view *v)
{
	double factor = 2, at = 0;

	found_add(s);
	if (s->found_count >= 2)
		factor = growth_factor(s, v->busy, &at);
	if (factor <= 0 && v->few)
		factor = 2;
	if (factor <= 0) {
		growth_end(s, at, v);
		return true;
	}
	if (s->cap >= s->max) {
		search_hold(s, HOLD_MAX, v->now_us);
		return false;
	}
	at = exp(s->found[0].ln_n);
	cap_set(s, fmax(factor * at, at + 1) + s->kept);
	/* What a quick server is sent first goes on connections that have to be made. */
	search_phase_again(s, v->now_us + (v->latency_us < QUICK ? CONNECT : 0));
	return false;
}

/* ---- probes ---- */

/* While online requests and their reserve keep a part free, less is in flight than the cap says:
 * more would seem to pay until the reserve is eaten up, and less would tell nothing. Then only what
 * was seen long ago, or never, is looked at again. */
static bool probe_is_due(const struct search *s, const struct search_view *v)
{
	bool known = s->knee_us != NEVER && v->now_us - s->knee_us < KNEE_FOR;
	double held_us = (double)(v->now_us - s->hold_us);

	return held_us > fmax((double)s->hold_for_us, 4 * v->latency_us) && v->may_probe &&
	       !(known && v->online_lately);
}

static void probe_begin(struct search *s, uint64_t now_us)
{
	s->base = phase_finding(&s->phase);
	s->probe_from = s->cap;
	s->probe_down = s->probe_next_down || s->cap >= s->max;
	if (s->cap < 2 && s->probe_down) {
		search_hold(s, s->hold_for_us, now_us);
		return;
	}
	double step = fmax(1, s->probe_step * s->cap);
	mode_set(s, SEARCH_PROBES, now_us);
	cap_set(s, s->probe_down ? s->cap - step : s->cap + step);
}

/* Throughput that grows faster than what is in flight, or falls, is something else's doing. */
static bool probe_is_better(const struct search *s)
{
	struct search_finding f = phase_finding(&s->phase);
	double moved = f.ln_n - s->base.ln_n;
	double pays = (f.ln_rate - s->base.ln_rate) / moved;
	double error = hypot(f.error, s->base.error) / fabs(moved);

	return fabs(moved) > 0.03 && pays < 1 + 2 * error && pays > -0.5 - 2 * error &&
	       (s->probe_down ? pays + error < CURVE_PAYS_NOT : pays - error > CURVE_PAYS);
}

static void probe_end(struct search *s, uint64_t now_us)
{
	if (probe_is_better(s)) {
		/* The same way again, and soon. */
		s->probe_step = fmin(STEP_MOST, 1.5 * s->probe_step);
		s->probe_next_down = s->probe_down;
		search_hold(s, SEARCH_HOLD_MIN, now_us);
		return;
	}
	if (!s->probe_down)
		s->knee_us = now_us;
	s->cap = s->probe_from;
	s->probe_step = STEP;
	s->probe_next_down = !s->probe_down;
	search_hold(s, 2 * s->hold_for_us, now_us);
}

/* ---- what is next ---- */

bool search_step(struct search *s, const struct search_view *v)
{
	const struct search_phase *p = &s->phase;
	bool enough = p->all.count >= phase_need(s) || (!v->busy && has_overshot(s));

	if (!enough || v->now_us < p->since_us + PHASE_MIN)
		return false;
	switch (s->mode) {
	case SEARCH_GROWS:
		return growth_step(s, v);
	case SEARCH_HOLDS:
		if (!(s->verify && !v->busy && !v->online_lately && knee_verify(s, v->now_us)) &&
		    probe_is_due(s, v))
			probe_begin(s, v->now_us);
		break;
	case SEARCH_PROBES:
		probe_end(s, v->now_us);
		break;
	case SEARCH_SUSPENDED:
		break;
	}
	return false;
}
