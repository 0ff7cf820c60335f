/* room.c: the limit in force, and what of it is left for batch lines beside online requests,
 * others, and what is kept free. Below limit.c: it reads what the limiters found, and writes the
 * pace alone. */
#include <math.h>

#include "limit/common.h"
#include "limit/limit_impl.h"

/* Batch slots that an online request in flight takes, beyond those for which the reserve is there:
 * so that it does not notice the prompts of the batch. */
#define ONLINE_SHARE 1.6
#define ONLINE_SHARE_BLIND 1.9 /* without metrics: the limit may be too high */
#define QUIET_LINES 2.0
#define QUIET_PART 0.125
/* The reserve. */
#define RARE 3.0 /* ln of one in so many for whom no slot is free */
#define BUSY_MOST 0.9
#define UNSEEN 0.65         /* of the square root of the limit: for the first burst */
#define UNSEEN_LATE 1.15    /* ... of which only metrics tell */
#define LATE_US 300000.0    /* others are known by then */
#define RESERVE_MOST_PART 3 /* of the limit */
#define BLIND_PART 7        /* of a limit found without metrics: not to a tenth */
#define PACE 1.5            /* of the speed at which lines end */
#define PACE_LEAST_PER_S 10.0
#define PACE_MOST 2.0        /* at once: */
#define PACE_MOST_US 20000.0 /* ... or what is due in so long, or in a step of the engine */
#define HUSH 1.5             /* of a line's turn */
#define HUSH_PART 0.75       /* of the time between online requests, at most */
#define HUSH_MOST_US 100000.0

/* What waits in an engine that has no metrics so that none of its slots does: nobody minds while no
 * online request is there. */
static double quiet_margin(const struct limit *l)
{
	const struct traffic *t = &l->traffic;

	if (l->unqueued || !search_is_steady(&l->search) || engine_leads(&l->engine, t->area_us) ||
	    traffic_online_lately(t, t->area_us) || !isinf(l->yield.cap))
		return 0;
	double margin = fmax(QUIET_LINES * fmax(1, t->line_units), QUIET_PART * l->search.cap);
	return fmin(margin, fmax(0, l->backoff.ceiling - l->search.cap)); /* where it refuses */
}

double limit_most(const struct limit *l)
{
	bool lines = l->config.fixed > 0;

	return l->config.max * (lines ? 1 : fmax(1, l->traffic.line_units));
}

double limit_in_force(const struct limit *l)
{
	double cap = l->search.cap + quiet_margin(l);

	if (l->config.fixed > 0)
		return fmin(l->config.fixed, l->config.max);
	return clamp(fmin(fmin(cap, l->backoff.cap), l->yield.cap), 1, limit_most(l));
}

/* Slots fall free one by one, and online requests come by chance: how many have to be free so that
 * it is rare that none is. The deviations of a queue with one server that is so busy; and as many
 * of others as come before the next poll tells of them. */
static double reserve_by_rate(const struct limit *l, double limit)
{
	const struct traffic *t = &l->traffic;
	double others = l->engine.others.most;
	double busy = fmin((t->rate_most * t->latency_us + others) / limit, BUSY_MOST);
	double deviation = RARE * (1 + busy) / (1 - busy) / 2;
	double late = others * LATE_US / fmax(1, t->latency_us);

	return fmax(round(late + sqrt(4 * late + deviation * deviation)),
		    floor((others > 0 ? UNSEEN_LATE : UNSEEN) * sqrt(limit)));
}

static double reserve_wanted(const struct limit *l, double limit, uint64_t now_us)
{
	double wanted;

	if (limit < 3 || !traffic_online_lately(&l->traffic, now_us))
		return 0;
	wanted = reserve_by_rate(l, limit);
	if (!engine_is_fresh(&l->engine, now_us) && l->search.cap > l->late_cap)
		wanted = fmax(wanted, ceil(limit / BLIND_PART));
	return fmin(wanted, ceil(limit / RESERVE_MOST_PART));
}

unsigned limit_reserve(const struct limit *l, uint64_t now_us)
{
	double limit = limit_in_force(l), wanted = l->config.reserve;

	if (wanted < 0)
		wanted = reserve_wanted(l, limit, now_us);
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
	l->pace = fmax(l->pace, 0) - units; /* a line of many is paid for afterwards */
}

void limit_pace_refill(struct limit *l, uint64_t now_us)
{
	if (!is_paced(l))
		return;
	double slots = fmax(0, limit_batch_slots(l)), latency_us = l->traffic.latency_us;
	double step_us = l->traffic.steps > 0 ? latency_us / l->traffic.steps : 0;
	double per_us = fmax(PACE * slots / latency_us, PACE_LEAST_PER_S / SECOND);
	double most = fmax(PACE_MOST, fmax(PACE_MOST_US, step_us) * per_us);
	l->pace = fmin(most, l->pace + per_us * (double)(now_us - l->pace_us));
	l->pace_us = now_us;
}

double limit_batch_slots(const struct limit *l)
{
	const struct traffic *t = &l->traffic;
	double reserve = limit_reserve(l, t->area_us);
	double online = l->config.fixed > 0 ? t->requests : t->online;
	double share = engine_is_fresh(&l->engine, t->area_us) ? ONLINE_SHARE : ONLINE_SHARE_BLIND;
	double room = floor(limit_in_force(l) + 1e-6) - reserve - online;

	room -= ceil((share - 1) * fmax(0, online - reserve));
	/* With too few lines in flight nothing would be learnt. */
	if (l->config.fixed == 0 && l->search.mode == SEARCH_GROWS && l->search.cap <= LIMIT_SMALL)
		room = fmax(room, floor(limit_in_force(l) / 2));
	/* Others of whom only the metrics tell do not stop us altogether: they might be wrong. */
	double others = t->others + (share - 1) * fmax(0, t->others - reserve);
	room = fmax(room - ceil(others), fmin(LIMIT_FLOOR, room));
	room = fmax(room, engine_let_through(&l->engine, t->area_us) - online);
	/* A slow start bounds lines alone: beside online requests it might leave nothing, for
	 * good. */
	room = fmin(room, floor(l->reopen.cap)) + floor(engine_deferred(&l->engine, t->area_us));
	return fmin(room, limit_most(l) - online);
}

/* The prompt of an online request has the engine for itself until about the next line's turn. */
static bool is_hushed(const struct limit *l)
{
	const struct traffic *t = &l->traffic;
	double turn_us = t->latency_us / limit_in_force(l);

	return t->online_sent_us != NEVER &&
	       (double)(t->area_us - t->online_sent_us) <
		       fmin(fmin(HUSH * turn_us, HUSH_MOST_US), HUSH_PART / t->rate);
}

unsigned limit_room(const struct limit *l)
{
	const struct traffic *t = &l->traffic;
	double room = limit_batch_slots(l) - (l->config.fixed > 0 ? t->lines : t->batch);

	if (is_paced(l))
		room = is_hushed(l) ? 0 : fmin(room, floor(l->pace));
	return room < 1 ? 0 : (unsigned)room;
}
