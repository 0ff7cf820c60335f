/* offer.c: see offer.h. */
#include "dispatch/offer.h"

#include <assert.h>

#include "base/clock.h"
#include "base/sys.h"
#include "dispatch/lane.h"
#include "dispatch/model.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"
#include "upstream/upstream.h"

#define SHARE_BAD 0.5 /* of faults in a lane's answers */
#define SHARE_GOOD 0.25

struct moment moment_now(void)
{
	uint64_t us = sys.monotonic_us();

	return (struct moment){ .ms = us / 1000, .us = us };
}

static bool lane_takes(const struct lane *lane)
{
	return !lane->closed && upstream_takes_lines(lane->upstream);
}

/* Answers well, most of the time. */
static bool lane_is_good(const struct lane *lane)
{
	return lane_takes(lane) && !lane_open_circuit(lane) &&
	       !throttle_pauses(&lane->upstream->throttle) &&
	       lane->circuit.breaker.fault_share < SHARE_GOOD;
}

static bool others_are_good(const struct lane *lane)
{
	for (const struct lane *other = lane->model->lanes; other != NULL;
	     other = other->next_of_model)
		if (other != lane && lane_is_good(other))
			return true;
	return false;
}

/* One whose answers are mostly faults, while another's are good, gets probes only: else the one
 * that fails fast would always have room. */
static bool lane_shunned(const struct lane *lane)
{
	return lane->circuit.breaker.fault_share > SHARE_BAD && others_are_good(lane);
}

unsigned lane_avoids(const struct lane *lane)
{
	return others_are_good(lane) ? lane->upstream->number : RETRY_AVOIDS_NONE;
}

/* The time by which a line must be due for the lane. A probe is not put off by its line's back-off,
 * but where another upstream takes the model's lines their attempts stay spread. */
uint64_t lane_now_ms(const struct lane *lane, struct moment now)
{
	bool waits = lane->model->stall != STALL_NONE;

	return waits && lane_open_circuit(lane) ? RETRY_ANY_TIME : now.ms;
}

bool lane_is_empty(const struct lane *lane, struct moment now)
{
	const struct model *m = lane->model;

	return lane->upstream->slots.sent == 0 && retry_first_ms(&m->retry) > now.ms;
}

bool lane_wants(const struct lane *lane, struct moment now)
{
	const struct model *m = lane->model;

	return schedule_has_line(m->schedule) ||
	       (m->retry.waiting > 0 &&
		retry_due(&m->retry, lane_now_ms(lane, now), lane_avoids(lane)) != NULL) ||
	       (m->retry.alone != NULL && lane_is_empty(lane, now) &&
		retry_alone_due(&m->retry, lane_now_ms(lane, now)) != NULL);
}

/* Whether another lane of its upstream, which is down, was probed longer ago and could send
 * something now: models take turns at finding out. */
static bool probe_is_others(const struct lane *lane, struct moment now)
{
	bool probe;

	if (lane->upstream->circuit.breaker.state == BREAKER_CLOSED)
		return false;
	for (const struct lane *other = lanes_of(lane->upstream); other != NULL;
	     other = other->next_of_upstream)
		if (other != lane && !other->closed && !other->model->no_memory &&
		    other->slots.probed_at_ms < lane->slots.probed_at_ms &&
		    circuit_due_ms(&other->circuit, &other->slots, now.ms, &probe) <= now.ms &&
		    lane_wants(other, now))
			return true;
	return false;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Of a node: lines in flight and those not durable yet stay under twice the limit together
 * (account_may_send() of cluster/protocol.h): so many run again when it dies. */
static unsigned room_shared(const struct lane *lane, unsigned room)
{
	unsigned most = 2 * (room + lane->slots.sent), held = slots_held(&lane->slots);

	return held < most ? least(room, most - held) : 0;
}

/* A slot is free when the upstream has answered. While too many answered lines are not durable
 * nothing is sent: flow_recorded() wakes the loop. */
static struct lane_offer lane_offer(const struct lane *lane, struct moment now)
{
	const struct upstream *u = lane->upstream;
	const struct lane_offer nothing = { .due_ms = UINT64_MAX };
	bool probe = false;

	if (!lane_takes(lane) || u->slots.alone > 0 || slots_unsynced_full(&u->slots))
		return nothing;
	uint64_t due = upstream_due_ms(u, &lane->circuit, &lane->slots, now.ms, &probe);
	if (!probe && lane_shunned(lane)) {
		due = clock_later(due, lane->sent_ms + BREAKER_PROBE_MS);
		probe = true;
	}
	if (due > now.ms)
		return (struct lane_offer){ .due_ms = due };
	unsigned load = upstream_load(u), most = upstream_most(u);
	if (load >= most)
		return nothing;
	if (probe && probe_is_others(lane, now))
		return (struct lane_offer){ .due_ms = now.ms + LOOK_AGAIN_MS };
	if (probe)
		return (struct lane_offer){ .lines = 1, .due_ms = now.ms, .probe = true };
	unsigned room = lane_is_shut(lane) ? limit_room_reopened(lane->limit)
					   : limit_room(lane->limit);
	if (u->shared)
		room = room_shared(lane, room);
	return (struct lane_offer){ .lines = least(room, most - load),
				    .due_ms = room > 0 ? now.ms : now.ms + LOOK_AGAIN_MS };
}

/* Each turn where a line might be sent. What is offered to models that have batches and no line at
 * hand is only for the report: now and then. */
static bool lane_is_asked(const struct lane *lane, struct moment now)
{
	const struct model *m = lane->model;

	return m->batches > 0 &&
	       (model_has_line(m) || now.ms >= lane->offer.made_ms + LOOK_AGAIN_MS);
}

void offer_renew(struct lane *lane, struct moment now)
{
	lane->offer = lane_offer(lane, now);
	lane->offer.made_ms = now.ms;
}

void offers_change(struct upstream *u, struct moment now)
{
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (lane->model->batches > 0 && model_has_line(lane->model))
			offer_renew(lane, now);
}

/* Whether lines that wait in the engine would undo what its slots have cached. */
static bool upstream_unqueued(const struct upstream *u)
{
	const struct prompt_cache *c = &target_of(u)->prompt_cache;
	bool prefixes = false;

	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		prefixes = prefixes || schedule_has_prefixes(lane->model->schedule);
	return prefixes && prompt_cache_kind(c, upstream_engine(u)) == SCHEDULE_CACHE_OF_SLOTS;
}

static void upstream_offers_renew(struct upstream *u, bool busy, struct moment now)
{
	bool unqueued = upstream_unqueued(u);

	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		if (!lane_is_asked(lane, now))
			continue;
		limit_unqueued(lane->limit, unqueued);
		limit_busy(lane->limit, busy);
		limit_tick(lane->limit, now.us);
		offer_renew(lane, now);
	}
}

void offers_renew(struct upstream *first, bool busy, struct moment now)
{
	assert(on_dispatch_thread());
	/* those of all upstreams before the first offer: one looks at what others' throttles say */
	for (struct upstream *u = first; u != NULL; u = u->next)
		throttle_tick(&u->throttle, now.ms);
	for (struct upstream *u = first; u != NULL; u = u->next)
		upstream_offers_renew(u, busy, now);
}
