/* lane.c: see lane.h. */
#include "dispatch/lane.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
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

/* The online requests that are in flight on its upstream. */
static void lane_online_join(struct lane *lane, uint64_t now_us)
{
	const struct slots *s = &lane->upstream->slots;

	limit_online_join(lane->limit, s->online, s->online_units, now_us);
}

bool lane_open(struct model *m, struct upstream *u)
{
	uint64_t now_us = sys.monotonic_us();
	struct limit_config config = upstream_limit_config(u);
	struct lane *lane = calloc(1, sizeof(*lane));

	assert(on_dispatch_thread());
	if (lane == NULL)
		return false;
	struct target *t = target_of(u);
	lane->limit = t->limit != NULL ? t->limit : limit_new(&config, now_us);
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
	lane->next_of_upstream = t->lanes;
	t->lanes = lane;
	if (t->limit != NULL)
		return true;
	lane_online_join(lane, now_us);
	if (watches_gauges_current(&t->watches, now_us / 1000))
		lanes_gauges(u, now_us);
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
	if (lane->limit != target_of(lane->upstream)->limit)
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

const struct limit_state *lane_decided(const struct lane *lane)
{
	return lane->decision_count > 0
		       ? &lane->decisions[(lane->decision_count - 1) % DECISIONS_MAX].state
		       : NULL;
}

/* ---- the gate of a limit ---- */

static bool others_flow(const struct lane *lane)
{
	for (const struct lane *other = lanes_of(lane->upstream); other != NULL;
	     other = other->next_of_upstream)
		if (other != lane && !other->gate_shut && other->slots.sent > 0)
			return true;
	return false;
}

bool lane_is_shut(const struct lane *lane)
{
	const struct target *t = target_of(lane->upstream);

	if (lane->limit != t->limit)
		return lane->gate_shut;
	return t->gate_shut || (lane->gate_shut && !others_flow(lane));
}

void lane_shut(struct lane *lane)
{
	lane->gate_shut = true;
}

void lane_reopen(struct lane *lane, uint64_t now_us)
{
	struct target *t = target_of(lane->upstream);

	if (lane_is_shut(lane))
		limit_reopened(lane->limit, now_us);
	lane->gate_shut = false;
	if (lane->limit == t->limit)
		t->gate_shut = false;
}

void lanes_shut(struct upstream *u)
{
	struct target *t = target_of(u);

	if (t->limit != NULL) {
		t->gate_shut = true;
		return;
	}
	for (struct lane *lane = t->lanes; lane != NULL; lane = lane->next_of_upstream)
		lane->gate_shut = true;
}

/* ---- all lanes of an upstream ---- */

/* What is done to every limit of an upstream. */
struct limit_deed {
	void (*each)(struct limit *l, const struct limit_deed *deed);
	uint64_t now_us;
	unsigned units;
	const struct limit_config *config;
	const struct upstream *upstream;
};

static void limits_each(struct upstream *u, const struct limit_deed *deed)
{
	struct limit *shared = target_of(u)->limit;

	if (shared != NULL) {
		deed->each(shared, deed);
		return;
	}
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		deed->each(lane->limit, deed);
}

static void configure_each(struct limit *l, const struct limit_deed *deed)
{
	limit_configure(l, deed->config, deed->now_us);
}

static struct lane *lane_busiest(struct upstream *u)
{
	struct lane *busiest = lanes_of(u);

	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (lane->slots.sent > busiest->slots.sent)
			busiest = lane;
	return busiest;
}

static bool limits_make(struct limit **ret, unsigned n, const struct limit_config *config,
			uint64_t now_us)
{
	for (unsigned i = 0; i < n; i++) {
		ret[i] = limit_new(config, now_us);
		if (ret[i] != NULL)
			continue;
		while (i > 0)
			limit_free(ret[--i]);
		return false;
	}
	return true;
}

/* With what is in flight; which line has how many units is no matter. */
static void lane_move(struct lane *lane, struct limit *to, uint64_t now_us)
{
	const struct slots *s = &lane->slots;

	for (unsigned i = s->sent; i > 0; i--) {
		unsigned units = i > 1 ? 1 : s->sent_units - (s->sent - 1);
		limit_batch_gone(lane->limit, &(struct limit_mark){ .units = units }, now_us);
	}
	limit_share(to, s->sent, s->sent_units, now_us);
	lane->limit = to;
	lane_online_join(lane, now_us);
}

/* Each lane has a limit of its own again, the busiest one with what was learnt. */
static void limit_divide(struct target *t, struct limit **fresh, uint64_t now_us)
{
	const struct lane *busiest = lane_busiest(&t->upstream);

	for (struct lane *lane = t->lanes; lane != NULL; lane = lane->next_of_upstream) {
		lane->gate_shut = lane->gate_shut || t->gate_shut;
		if (lane != busiest)
			lane_move(lane, *fresh++, now_us);
	}
	if (busiest == NULL)
		limit_free(t->limit);
	t->limit = NULL;
	t->limit_told = (struct limit_state){ 0 };
	t->gate_shut = false;
}

/* Nothing tells any more that they are one engine. Without memory they stay one until the next
 * reload. */
static void lanes_unshare(struct upstream *u, const struct limit_config *config, uint64_t now_us)
{
	struct target *t = target_of(u);
	unsigned n = 0;

	if (t->limit == NULL)
		return;
	for (const struct lane *lane = t->lanes; lane != NULL; lane = lane->next_of_upstream)
		n += lane != t->lanes; /* all but one */
	struct limit **fresh = calloc(n + 1, sizeof(struct limit *));
	if (fresh != NULL && limits_make(fresh, n, config, now_us))
		limit_divide(t, fresh, now_us);
	else
		log_error("memory.exhausted", kv_str("upstream", u->config.name));
	free(fresh);
}

void lanes_taken(struct upstream *u, uint64_t now_ms)
{
	lanes_shut(u);
	breaker_probe_at(&u->circuit.breaker, now_ms);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		breaker_probe_at(&lane->circuit.breaker, now_ms);
}

void lanes_configure(struct upstream *u, uint64_t now_us)
{
	struct limit_config config = upstream_limit_config(u);

	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		breaker_probe_at(&lane->circuit.breaker, now_us / 1000);
	limits_each(u, &(struct limit_deed){ configure_each, now_us, .config = &config });
	if (u->config.metrics != GAUGES_NONE)
		return;
	lanes_gauges(u, now_us); /* there are none any more */
	lanes_unshare(u, &config, now_us);
}

static void online_sent_each(struct limit *l, const struct limit_deed *deed)
{
	limit_online_sent(l, deed->units, deed->now_us);
}

static void online_gone_each(struct limit *l, const struct limit_deed *deed)
{
	limit_online_gone(l, deed->units, deed->now_us);
}

void lanes_online(struct upstream *u, int more, unsigned units)
{
	struct limit_deed deed = { more > 0 ? online_sent_each : online_gone_each,
				   sys.monotonic_us(), units };

	assert(on_dispatch_thread());
	if (more > 0)
		slot_online_take(&u->slots, units);
	else
		slot_online_drop(&u->slots, units);
	limits_each(u, &deed);
}

void lanes_check(const struct upstream *u)
{
	const struct limit *shared = target_of(u)->limit;
	uint64_t now_us = sys.monotonic_us();
	struct slots sum = { 0 };

	assert(on_dispatch_thread());
	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		assert(lane->limit == shared ||
		       limit_state(lane->limit, now_us).batch == lane->slots.sent_units);
		slots_add(&sum, &lane->slots);
	}
	assert(shared == NULL || limit_state(shared, now_us).batch == sum.sent_units);
	slots_agree(&u->slots, &sum);
}

/* ---- what the polls find out ---- */

bool lanes_busy(const struct upstream *u)
{
	if (u->slots.sent > 0)
		return true;
	if (u->elsewhere)
		return false;
	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (!lane->closed &&
		    (lane->model->retry.waiting > 0 || schedule_has_line(lane->model->schedule)))
			return true;
	return false;
}

/* From now on all lanes go by what the busiest of them has learnt. */
static void lanes_share(struct upstream *u, uint64_t now_us)
{
	struct lane *busiest = lane_busiest(u);
	struct target *t = target_of(u);

	if (t->limit != NULL || busiest == NULL)
		return;
	const struct limit_state *told = lane_decided(busiest);
	t->limit = busiest->limit;
	t->limit_told = told != NULL ? *told : (struct limit_state){ 0 };
	t->limit_told.doubt = LIMIT_DOUBT_NONE;
	limit_share(t->limit, u->slots.sent - busiest->slots.sent,
		    u->slots.sent_units - busiest->slots.sent_units, now_us);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		if (lane->limit != t->limit)
			limit_free(lane->limit);
		lane->limit = t->limit;
	}
}

static void gauges_each(struct limit *l, const struct limit_deed *deed)
{
	const struct upstream *u = deed->upstream;

	if (u->has_gauges)
		limit_gauges(l, &u->gauges, u->gauges_asked_us, deed->now_us);
	else
		limit_gauges_lost(l, deed->now_us);
}

void lanes_gauges(struct upstream *u, uint64_t now_us)
{
	if (u->has_gauges)
		lanes_share(u, now_us);
	limits_each(u, &(struct limit_deed){ gauges_each, now_us, .upstream = u });
}

static uint64_t down_since_ms(const struct breaker *b)
{
	return b->state == BREAKER_DOWN ? b->since_ms : 0;
}

uint64_t lanes_ailing_since_ms(const struct upstream *u)
{
	uint64_t since = down_since_ms(&u->circuit.breaker);

	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		since = clock_later(since, down_since_ms(&lane->circuit.breaker));
	return since;
}

void lanes_healthy(struct upstream *u, bool good, uint64_t now_ms)
{
	assert(on_dispatch_thread());
	breaker_health(&u->circuit.breaker, good, now_ms);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		breaker_health(&lane->circuit.breaker, good, now_ms);
}
