/* state.c: what a limit is, and why; for report. It reads what the limiters found. */
#include <math.h>

#include "limit/common.h"
#include "limit/limit_impl.h"

const char *limit_reason_name(enum limit_reason reason)
{
	static const char *const names[] = {
#define X(name, text) [LIMIT_##name] = (text),
		LIMIT_REASONS(X)
#undef X
	};

	return names[reason];
}

const char *limit_doubt_text(enum limit_doubt doubt)
{
	static const char *const texts[] = {
#define X(name, text) [LIMIT_DOUBT_##name] = (text),
		LIMIT_DOUBTS(X)
#undef X
	};

	return texts[doubt];
}

/* ---- the limit in force, and why ---- */

static double in_force_now(const struct limit *l)
{
	return fmin(limit_in_force(l), l->reopen.cap);
}

static enum limit_reason search_reason(const struct limit *l, uint64_t now_us)
{
	const struct search *s = &l->search;

	if (engine_leads(&l->engine, now_us))
		return s->cap >= limit_most(l) ? LIMIT_AT_MAX : engine_reason(&l->engine);
	if (s->mode == SEARCH_GROWS)
		return s->found_count == 0 ? LIMIT_STARTING : LIMIT_GROWING;
	if (s->mode == SEARCH_PROBES)
		return LIMIT_PROBING;
	return s->cap >= limit_most(l) ? LIMIT_AT_MAX : LIMIT_SETTLED;
}

/* The reason of the least cap; among equal caps the slow start comes first, then search, and
 * refusals last. */
static enum limit_reason reason(const struct limit *l, uint64_t now_us)
{
	double least = l->search.cap;
	enum limit_reason why = search_reason(l, now_us);

	if (l->config.fixed > 0)
		return l->reopen.cap < limit_in_force(l) ? LIMIT_SLOW_START : LIMIT_FIXED;
	if (l->yield.cap < least) {
		least = l->yield.cap;
		why = LIMIT_CROSS_TRAFFIC;
	}
	if (l->backoff.cap < least) {
		least = l->backoff.cap;
		why = LIMIT_REFUSED;
	}
	return l->reopen.cap <= least ? LIMIT_SLOW_START : why;
}

struct limit_state limit_state(const struct limit *l, uint64_t now_us)
{
	double limit = in_force_now(l), ln_time;
	struct limit_state s = {
		.limit = limit,
		.reason = reason(l, now_us),
		.doubt = l->engine.doubt,
		.batch = l->traffic.batch,
		.online = l->traffic.online,
		.others = engine_is_fresh(&l->engine, now_us) ? l->traffic.others : 0,
		.reserve = limit_reserve(l, now_us),
	};

	if (curve_at(&l->curve, log(limit), &ln_time)) {
		s.work_ms = 1000 * exp(ln_time);
		s.best_per_s = limit / exp(ln_time);
	}
	return s;
}
