/* lane.c: see lane.h. */
#include "dispatch/lane.h"

#include <assert.h>
#include <stdlib.h>

#include "base/sys.h"
#include "dispatch/model.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"
#include "schedule/schedule.h"
#include "upstream/upstream.h"

static struct limit_config upstream_limit_config(const struct upstream *u)
{
	return (struct limit_config){ .fixed = u->config.concurrency,
				      .max = upstream_most(u),
				      .reserve = u->config.reserve };
}

struct lane *lane_find(const struct model *m, const struct upstream *u)
{
	for (struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model)
		if (lane->upstream == u)
			return lane;
	return NULL;
}

bool lane_open(struct model *m, struct upstream *u)
{
	uint64_t now_us = sys.monotonic_us();
	struct limit_config config = upstream_limit_config(u);
	struct lane *lane = calloc(1, sizeof(*lane));

	assert(on_dispatch_thread());
	if (lane == NULL)
		return false;
	lane->limit = limit_new(&config, now_us);
	if (lane->limit == NULL) {
		free(lane);
		return false;
	}
	lane->upstream = u;
	lane->model = m;
	lane->slots.of = &u->slots;
	struct lane **end = &m->lanes;
	while (*end != NULL)
		end = &(*end)->next_of_model;
	*end = lane; /* in the order of the upstreams: of two that are as good the first is taken */
	lane->next_of_upstream = target_of(u)->lanes;
	target_of(u)->lanes = lane;
	for (unsigned i = 0; i < u->slots.online; i++)
		limit_online_sent(lane->limit, 1, now_us);
	if (u->has_gauges)
		limit_gauges(lane->limit, &u->gauges, u->gauges_asked_us, now_us);
	return true;
}

bool lane_is_idle(const struct lane *lane)
{
	return slots_held(&lane->slots) == 0;
}

void lane_free(struct lane *lane)
{
	struct lane **link = &target_of(lane->upstream)->lanes;

	while (*link != lane)
		link = &(*link)->next_of_upstream;
	*link = lane->next_of_upstream;
	link = &lane->model->lanes;
	while (*link != lane)
		link = &(*link)->next_of_model;
	*link = lane->next_of_model;
	limit_free(lane->limit);
	free(lane);
}

bool lane_open_circuit(const struct lane *lane)
{
	return circuit_is_open(&lane->circuit) || circuit_is_open(&lane->upstream->circuit);
}

unsigned lane_slots(const struct lane *lane)
{
	return lane->slots.sent + lane->offer.lines;
}

/* ---- all lanes of an upstream ---- */

void lanes_configure(struct upstream *u, uint64_t now_us)
{
	struct limit_config limit = upstream_limit_config(u);

	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		breaker_probe_at(&lane->circuit.breaker, now_us / 1000);
		limit_configure(lane->limit, &limit, now_us);
	}
	if (u->config.metrics == GAUGES_NONE)
		lanes_gauges(u, now_us); /* there are none any more */
}

void lanes_online(struct upstream *u, int more)
{
	uint64_t now_us = sys.monotonic_us();

	assert(on_dispatch_thread());
	if (more > 0)
		slot_online_take(&u->slots);
	else
		slot_online_drop(&u->slots);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		if (more > 0)
			limit_online_sent(lane->limit, 1, now_us);
		else
			limit_online_gone(lane->limit, 1, now_us);
	}
}

void lanes_check(const struct upstream *u)
{
	struct slots sum = { 0 };

	assert(on_dispatch_thread());
	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		assert(limit_state(lane->limit, sys.monotonic_us()).batch == lane->slots.sent);
		slots_add(&sum, &lane->slots);
	}
	slots_agree(&u->slots, &sum);
}

/* ---- what the polls find out ---- */

bool lanes_busy(const struct upstream *u)
{
	if (u->slots.sent > 0)
		return true;
	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (!lane->closed &&
		    (lane->model->retry.waiting > 0 || schedule_has_line(lane->model->schedule)))
			return true;
	return false;
}

void lanes_gauges(struct upstream *u, uint64_t now_us)
{
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (u->has_gauges)
			limit_gauges(lane->limit, &u->gauges, u->gauges_asked_us, now_us);
		else
			limit_gauges_lost(lane->limit, now_us);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t down_since_ms(const struct breaker *b)
{
	return b->state == BREAKER_DOWN ? b->since_ms : 0;
}

uint64_t lanes_ailing_since_ms(const struct upstream *u)
{
	uint64_t since = down_since_ms(&u->circuit.breaker);

	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		since = later(since, down_since_ms(&lane->circuit.breaker));
	return since;
}

void lanes_healthy(struct upstream *u, bool good, uint64_t now_ms)
{
	assert(on_dispatch_thread());
	breaker_health(&u->circuit.breaker, good, now_ms);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		breaker_health(&lane->circuit.breaker, good, now_ms);
}
