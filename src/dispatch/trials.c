/* trials.c: see trials.h. */
#include "dispatch/trials.h"

#include "base/attr.h"

uint64_t trials_backoff_ms(uint32_t spent, uint32_t random)
{
	static const uint32_t spread_ms[] = { 250, 1000, 4000, 16000, 60000 };
	uint32_t ms = spread_ms[spent < ARRAY_LEN(spread_ms) ? spent : ARRAY_LEN(spread_ms) - 1];

	return ms - ms / 4 + ((uint64_t)(ms / 2) * random >> 32);
}

static void charge(struct trials *t, const struct trials_view *v)
{
	if (t->open && t->open_lane == v->lane_number &&
	    breaker_well_after(v->lane, t->open_sent_ms)) {
		t->spent++;
		t->open = false;
	}
	if (v->well_meanwhile) {
		t->spent++;
		t->open = false;
	} else if (!v->probe) {
		t->open = true;
		t->open_lane = v->lane_number;
		t->open_sent_ms = v->sent_ms;
	}
}

/* Nothing is well though the server's health is good, or the line breaks its connection whenever it
 * goes alone: a line's own patience counts, too. */
static bool is_lines(struct trials *t, const struct trials_view *v,
		     const struct trials_limits *limits)
{
	if (t->failing_since_ms == 0 || breaker_well_after(v->lane, t->failing_since_ms))
		t->failing_since_ms = v->now_ms;
	if (v->now_ms - t->failing_since_ms < limits->patience_ms)
		return false;
	return t->breaks >= TRIALS_DEATHS ||
	       breaker_is_lines(v->lane, limits->patience_ms, v->now_ms);
}

/* The server's until it is well; then the line's. */
static bool server_end(struct trials *t, const struct judgement *j, const struct trials_view *v,
		       const struct trials_limits *limits, uint64_t *ret_due_ms)
{
	bool first_stale = j->retry_at_once && !t->stale;

	t->fresh = true;
	*ret_due_ms = v->now_ms;
	if (first_stale) {
		t->stale = true;
		return false;
	}
	charge(t, v);
	t->breaks += v->broke_alone;
	*ret_due_ms += v->probe ? 0 : trials_backoff_ms(t->spent > 0 ? t->spent - 1 : 0, v->random);
	bool lines = is_lines(t, v, limits);
	bool kills = v->broke_alone && v->up;
	return t->spent >= limits->attempts_max || kills || lines;
}

/* Too much was asked: never an attempt. One that is refused all the while others are taken ends:
 * often, for a line may have waited for its turn, and been sent in vain but twice in hours. */
static bool refused_end(struct trials *t, const struct trials_view *v,
			const struct trials_limits *limits, uint64_t *ret_due_ms)
{
	if (t->refused_since_ms == 0)
		t->refused_since_ms = v->now_ms;
	t->refusals++;
	*ret_due_ms = v->now_ms;
	return v->now_ms - t->refused_since_ms >= limits->patience_ms &&
	       t->refusals >= TRIALS_REFUSALS && v->well_meanwhile;
}

bool trials_end(struct trials *t, const struct judgement *j, const struct trials_view *v,
		const struct trials_limits *limits, uint64_t *ret_due_ms)
{
	if (j->blame != BLAME_THROTTLED && j->blame != BLAME_BUSY) {
		t->refused_since_ms = 0;
		t->refusals = 0;
	}
	switch (j->blame) {
	case BLAME_NOBODY:
	case BLAME_LINE:
		t->spent++;
		return true;
	case BLAME_SERVER:
		return server_end(t, j, v, limits, ret_due_ms);
	case BLAME_THROTTLED:
	case BLAME_BUSY:
		return refused_end(t, v, limits, ret_due_ms);
	case BLAME_UNREACHABLE:
		*ret_due_ms = v->now_ms;
		return false;
	case BLAME_OPERATOR:
	case BLAME_PATH:
		*ret_due_ms = v->now_ms + (v->open ? 0 : TRIALS_MINUTE_MS);
		return false;
	}
	return false;
}

bool trials_fail_anew(struct trials *t, const struct trials_view *v)
{
	uint64_t there = UINT64_C(1) << v->lane_number;

	if (breaker_well_after(v->lane, t->failed_ms))
		t->failed_on = 0;
	bool anew = (t->failed_on & there) == 0;
	if (t->failed_on == 0)
		t->failed_ms = v->now_ms;
	t->failed_on |= there;
	return anew;
}

void trials_learn_death(struct trials *t, const struct breaker *lane,
			const struct breaker *upstream)
{
	if (t->broke && lane->trips + upstream->trips > t->broke_trip)
		t->deaths++;
	t->broke = false;
}
