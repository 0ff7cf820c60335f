/* room.c: the limit in force, and what of it is left for batch lines beside online requests,
 * others, and what is kept free. Below limit.c: it reads what the limiters found, and writes the
 * pace alone. */
#include <math.h>

#include "limit/common.h"
#include "limit/limit_impl.h"

/* Batch slots that an online request in flight takes, beyond those for which the reserve is there:
 * so that it does not notice the prompts of the batch. */
#define ONLINE_SHARE 2.0
#define QUIET_LINES 2.0
#define QUIET_PART 0.125
#define CROSS_PART 0.5       /* of others seen in the metrics: they are known of a moment late */
#define RESERVE_PART 20      /* of the limit */
#define RESERVE_PART_BLIND 7 /* ... found without metrics: not to a tenth */
#define PACE 1.5             /* of the speed at which lines end at that limit */
#define PACE_LEAST_PER_S 10.0
#define PACE_MOST 2.0        /* at once: */
#define PACE_MOST_US 20000.0 /* ... or what is due in less than a step of an engine */

/* What waits in an engine that has no metrics so that none of its slots does: nobody minds while no
 * online request is there. */
static double quiet_margin(const struct limit *l)
{
	const struct traffic *t = &l->traffic;

	if (l->unqueued || !search_is_steady(&l->search) || engine_leads(&l->engine, t->area_us) ||
	    traffic_online_lately(t, t->area_us) || !isinf(l->yield.cap))
		return 0;
	return fmax(QUIET_LINES * fmax(1, t->line_units), QUIET_PART * l->search.cap);
}

double limit_in_force(const struct limit *l)
{
	double cap = l->search.cap + quiet_margin(l);

	if (l->config.fixed > 0)
		return fmin(l->config.fixed, l->config.max);
	return clamp(fmin(fmin(cap, l->backoff.cap), l->yield.cap), 1, l->config.max);
}

unsigned limit_reserve(const struct limit *l, uint64_t now_us)
{
	double limit = limit_in_force(l), wanted = l->config.reserve;
	bool fresh = engine_is_fresh(&l->engine, now_us);

	if (l->config.reserve < 0)
		wanted = traffic_online_lately(&l->traffic, now_us) && limit >= 3
				 ? ceil(limit / (fresh ? RESERVE_PART : RESERVE_PART_BLIND))
				 : 0;
	if (l->config.reserve < 0 && fresh)
		wanted = fmax(wanted, fmin(CROSS_PART * l->engine.others_most, limit / 3));
	return (unsigned)clamp(wanted, 0, fmax(0, floor(limit) - 1));
}

/* Beside online requests lines are sent one by one, though somewhat faster than they end: those
 * that ended together would be in the way of an online prompt with all of their prompts. */
static bool is_paced(const struct limit *l)
{
	const struct traffic *t = &l->traffic;

	return traffic_online_lately(t, t->area_us) && t->latency_us > 0 && l->config.fixed == 0;
}

void limit_pace_take(struct limit *l, unsigned units)
{
	l->pace = fmax(0, l->pace - units);
}

void limit_pace_refill(struct limit *l, uint64_t now_us)
{
	if (!is_paced(l))
		return;
	double per_us = fmax(PACE * limit_in_force(l) / l->traffic.latency_us,
			     PACE_LEAST_PER_S / SECOND);
	double most = fmax(PACE_MOST, PACE_MOST_US * per_us);
	l->pace = fmin(most, l->pace + per_us * (double)(now_us - l->pace_us));
	l->pace_us = now_us;
}

double limit_batch_slots(const struct limit *l)
{
	const struct traffic *t = &l->traffic;
	double reserve = limit_reserve(l, t->area_us);
	double online = l->config.fixed > 0 ? t->requests : t->online;
	double room = floor(limit_in_force(l) + 1e-6) - reserve - online;

	room -= ceil((ONLINE_SHARE - 1) * fmax(0, online - reserve));
	/* With too few lines in flight nothing would be learnt. */
	if (l->config.fixed == 0 && l->search.mode == SEARCH_GROWS && l->search.cap <= LIMIT_SMALL)
		room = fmax(room, floor(limit_in_force(l) / 2));
	/* Others of whom only the metrics tell do not stop us altogether: they might be wrong. */
	double others = t->others + (ONLINE_SHARE - 1) * fmax(0, t->others - reserve);
	room = fmax(room - ceil(others), fmin(LIMIT_FLOOR, room));
	room = fmax(room, engine_let_through(&l->engine) - online);
	/* A slow start bounds lines alone: beside online requests it might leave nothing, for
	 * good. */
	room = fmin(room, floor(l->reopen.cap)) + floor(engine_deferred(&l->engine, t->area_us));
	return fmin(room, (double)l->config.max - online);
}

unsigned limit_room(const struct limit *l)
{
	const struct traffic *t = &l->traffic;
	double room = limit_batch_slots(l) - (l->config.fixed > 0 ? t->lines : t->batch);

	if (is_paced(l))
		room = fmin(room, floor(l->pace));
	return room < 1 ? 0 : (unsigned)room;
}

bool limit_online_room(const struct limit *l)
{
	return l->traffic.batch + l->traffic.requests < l->config.max;
}
