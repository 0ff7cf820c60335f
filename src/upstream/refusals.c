/* refusals.c: 429, or 503 with Retry-After: less at once, then calmly up again. */
#include <math.h>

#include "upstream/width_impl.h"

#define REFUSED_CUT 0.8

void width_refusal_count(struct width *w, double n, bool refused)
{
	struct width_bin *b = &w->bins[width_bin_index(fmax(1, n))];
	b->tries += 1;
	b->refused += refused ? 1 : 0;
	if (++w->tries < 500)
		return;
	w->tries = 0;
	for (unsigned i = 0; i < BINS; i++) {
		w->bins[i].tries /= 2;
		w->bins[i].refused /= 2;
	}
}

/* Whether as many were refused with up to `n` in flight as with more: then it is not a matter of
 * how many are in flight. */
static bool refusals_anyhow(const struct width *w, double n)
{
	double tries[2] = { 0, 0 }, refused[2] = { 0, 0 };
	unsigned at = width_bin_index(fmax(1, n));
	for (unsigned i = 0; i < BINS; i++) {
		tries[i > at] += w->bins[i].tries;
		refused[i > at] += w->bins[i].refused;
	}
	if (w->bins[0].refused >= 2)
		return true; /* one alone is not too many */
	if (tries[0] < 3 || tries[1] < 3 || refused[0] < 2)
		return w->refused_anyhow;
	return refused[0] / tries[0] >= 0.4 * refused[1] / tries[1];
}

void width_calm_cut(struct width *w, const struct width_mark *m, uint64_t now_us)
{
	w->refused_anyhow = refusals_anyhow(w, m->in_flight);
	double width = width_limit(w);
	if (w->refused_anyhow) { /* once, and no further */
		w->ceiling = INFINITY;
	} else {
		width = width_clamp(m->in_flight, 0.5 * width, width);
		bool again = fabs(width - w->ceiling) <= fmax(2, 0.1 * w->ceiling);
		w->calm_wait_s = again ? (unsigned)width_clamp(2.0 * w->calm_wait_s, 3, 120) : 3;
		w->ceiling = fmax(1, width - 1);
	}
	w->calm = fmax(1, REFUSED_CUT * (w->refused_anyhow ? w->aim : width));
	w->calm_step_us = now_us;
	w->refused_us = now_us;
}

void width_calm_grow(struct width *w, uint64_t now_us)
{
	if (isinf(w->calm))
		return;
	if (w->calm < fmin(w->ceiling, w->aim) - 0.5) {
		w->calm = fmin(w->calm + 1, fmax(w->calm, w->ceiling - 0.5));
		w->calm_step_us = now_us;
	} else if (w->full && now_us - w->calm_step_us > w->calm_wait_s * SECOND) {
		w->calm += fmax(1, 0.03 * w->calm);
		w->ceiling = fmax(w->ceiling, w->calm);
		w->calm_step_us = now_us;
	}
	if (w->calm >= w->aim) {
		w->calm = INFINITY;
		if (!w->refused_anyhow && (w->mode == SEARCH || w->mode == HOLD))
			width_phase_begin(w, now_us);
	}
}
