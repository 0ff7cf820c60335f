/* fill.c: which upstream has room, and what it gets. A free slot is filled at once.
 *
 * What a lane takes is an offer, worked out once a turn of the loop (offers_renew) and kept in the lane; all
 * questions read it. A line that is sent changes the offers of its upstream's lanes, which share the load, the
 * rate limit, the probes and being alone, and no others: these are worked out again (upstream_offers). What an
 * offer says of other upstreams, whether they answer well, no sending changes. */
#include <assert.h>

#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/thread.h"

#define LOOK_AGAIN_MS 250 /* time alone may widen a lane (limit/limit.h) */
#define SHARE_BAD 0.5     /* of faults in a lane's answers */
#define SHARE_GOOD 0.25

struct moment {
	uint64_t ms, us;
};

static struct moment moment_now(void)
{
	uint64_t us = sys.monotonic_us();
	return (struct moment){ .ms = us / 1000, .us = us };
}

/* Whether lines of the model wait or are to come: lane_wants() says whether one may be sent. */
static bool model_has_line(const struct model *m)
{
	return schedule_has_line(m->schedule) || retry_has_any(&m->retry);
}

/* It takes requests again: what was let through to it at once before is not now. */
static void lane_reopen(struct lane *lane, struct moment now)
{
	lane->gate_shut = false;
	limit_reopened(lane->limit, now.us);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool lane_takes(const struct lane *lane)
{
	return !lane->closed && upstream_takes(lane->upstream);
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

/* One whose answers are mostly faults, while another's are good, gets probes only: else the one that
 * fails fast would always have room. */
static bool lane_shunned(const struct lane *lane)
{
	return lane->circuit.breaker.fault_share > SHARE_BAD && others_are_good(lane);
}

/* The upstream that a line of this lane must not have failed on last: this one, if the line can go to
 * another. RETRY_AVOIDS_NONE: any line will do. */
static unsigned lane_avoids(const struct lane *lane)
{
	return others_are_good(lane) ? lane->upstream->number : RETRY_AVOIDS_NONE;
}

/* The time by which a line must be due for the lane. A probe is not put off by its line's back-off, but where
 * another upstream takes the model's lines their attempts stay spread. */
static uint64_t lane_now_ms(const struct lane *lane, struct moment now)
{
	bool waits = lane->model->stall != STALL_NONE;
	return waits && lane_open_circuit(lane) ? RETRY_ANY_TIME : now.ms;
}

/* Nothing else is left to be sent there. Lines that wait for their time, for the operator or for the
 * return of their organization do not count: that may be long. */
static bool lane_is_empty(const struct lane *lane, struct moment now)
{
	const struct model *m = lane->model;
	return lane->upstream->slots.sent == 0 && retry_first_ms(&m->retry) > now.ms;
}

/* Whether there is a line that the lane may take. */
static bool lane_wants(const struct lane *lane, struct moment now)
{
	const struct model *m = lane->model;
	return schedule_has_line(m->schedule) ||
	       (m->retry.waiting > 0 &&
		retry_due(&m->retry, lane_now_ms(lane, now), lane_avoids(lane)) != NULL) ||
	       (m->retry.alone != NULL && lane_is_empty(lane, now) &&
		retry_alone_due(&m->retry, lane_now_ms(lane, now)) != NULL);
}

/* Whether another lane of its upstream, which is down, was probed longer ago and could send something
 * now: models take turns at finding out. */
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

/* A slot is taken until its line is durable. So a kill at any instant makes at most as many lines run
 * again as may be in flight, and while the disk is slow or refuses nothing more is sent. */
static struct lane_offer lane_offer(const struct lane *lane, struct moment now)
{
	const struct upstream *u = lane->upstream;
	const struct lane_offer nothing = { .due_ms = UINT64_MAX };
	bool probe = false;

	if (!lane_takes(lane) || u->slots.alone > 0)
		return nothing;
	uint64_t due = upstream_due_ms(u, &lane->circuit, &lane->slots, now.ms, &probe);
	if (!probe && lane_shunned(lane)) {
		due = later(due, lane->sent_ms + BREAKER_PROBE_MS);
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
	unsigned room = lane->gate_shut ? limit_room_reopened(lane->limit)
					: limit_room(lane->limit);
	return (struct lane_offer){ .lines = least(room, most - load),
				    .due_ms = room > 0 ? now.ms : now.ms + LOOK_AGAIN_MS };
}

/* Each turn where a line might be sent. What is offered to models that have batches and no line at hand is only
 * for the report: now and then. */
static bool lane_is_asked(const struct lane *lane, struct moment now)
{
	const struct model *m = lane->model;

	return m->batches > 0 &&
	       (model_has_line(m) || now.ms >= lane->offer.made_ms + LOOK_AGAIN_MS);
}

static void lane_offer_renew(struct lane *lane, struct moment now)
{
	lane->offer = lane_offer(lane, now);
	lane->offer.made_ms = now.ms;
}

/* After anything has changed on the upstream within a turn. */
static void upstream_offers(struct upstream *u, struct moment now)
{
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (lane->model->batches > 0 && model_has_line(lane->model))
			lane_offer_renew(lane, now);
}

/* At the beginning of a turn: what time alone moves, and then what is offered. Those of all upstreams before
 * the first offer: one looks at what others' throttles say. */
static void offers_renew(struct dispatch *d)
{
	struct moment now = moment_now();

	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		throttle_tick(&u->throttle, now.ms);
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
			if (lane_is_asked(lane, now)) {
				limit_tick(lane->limit, slots_unrecorded(&lane->slots), now.us);
				lane_offer_renew(lane, now);
			}
}

unsigned lane_slots(const struct lane *lane)
{
	return slots_held(&lane->slots) + lane->offer.lines;
}

/* Whether another model, with less in flight on the upstream, could take the slot. */
static bool lane_yields(const struct lane *lane, struct moment now)
{
	for (const struct lane *other = lanes_of(lane->upstream); other != NULL;
	     other = other->next_of_upstream)
		if (other->slots.sent < lane->slots.sent && !other->model->no_memory &&
		    other->offer.lines > 0 && lane_wants(other, now))
			return true;
	return false;
}

/* Of the lanes with room the one with the least in flight for its weight. */
static struct lane *lane_pick(const struct model *m, struct moment now)
{
	struct lane *best = NULL;
	double best_share = 0;
	for (struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		double share = (lane->slots.sent + 1.0) / lane->upstream->config.weight;
		if (lane->offer.lines == 0 || (best != NULL && share >= best_share))
			continue; /* before the dearer questions: few lanes are asked them */
		if (lane_wants(lane, now) && !lane_yields(lane, now)) {
			best = lane;
			best_share = share;
		}
	}
	return best;
}

static struct line *line_new_of(struct model *m, unsigned number)
{
	struct schedule_line scheduled;
	return schedule_next(m->schedule, number, sys.now_s(), &scheduled) ? line_new(m, &scheduled)
									   : NULL;
}

static void hold_each(void *ctx, struct schedule_batch *entry)
{
	struct flow *f = entry->batch;
	bool held = *(const bool *)ctx;
	if (f->probed && !f->faulted)
		schedule_hold(f->model->schedule, entry, held);
}

/* A new line of any batch, those that have failed a probe already among them. */
static struct line *line_new_of_any(struct model *m, unsigned number)
{
	bool held = false;
	if (!m->batches_held)
		return line_new_of(m, number);
	schedule_each(m->schedule, hold_each, &held);
	struct line *l = line_new_of(m, number);
	held = true;
	schedule_each(m->schedule, hold_each, &held);
	return l;
}

/* Probes take turns: a line that waits, for it may be what the upstream cannot take; a new one of a batch
 * that has not failed yet, for the other batches' may be; and any new one, for there may be no others.
 * So neither a line nor a batch that an upstream alone refuses holds up the rest, and it shows whether
 * many lines fail or few. */
static struct line *line_probe(struct lane *lane, struct moment now)
{
	struct line *l = NULL;
	for (unsigned tries = 0; l == NULL && tries < 3; tries++) {
		switch (lane->probe_turn++ % 3) {
		case 0:
			l = line_due(lane->model, lane_now_ms(lane, now), lane_avoids(lane));
			break;
		case 1:
			l = line_new_of(lane->model, lane->upstream->number);
			break;
		default:
			l = line_new_of_any(lane->model, lane->upstream->number);
		}
	}
	return l;
}

/* A line that was in flight at the server's deaths, when nothing else is left. */
static struct line *line_alone(struct lane *lane, struct moment now)
{
	if (!lane_is_empty(lane, now))
		return NULL;
	return line_last(lane->model, lane_now_ms(lane, now));
}

/* Whether it broke off with the server that it was sent to, wherever it goes now. */
static void death_learn(struct line *l)
{
	const struct lane *lane = l->flow->model->lanes;
	if (!l->trials.broke)
		return;
	while (lane != NULL && lane->upstream->number != l->retry.avoid)
		lane = lane->next_of_model;
	if (lane != NULL)
		trials_learn_death(&l->trials, &lane->circuit.breaker,
				   &lane->upstream->circuit.breaker);
	l->trials.broke = false; /* the server is gone from the list */
}

static struct line *lane_line(struct lane *lane, struct moment now)
{
	struct model *m = lane->model;
	struct line *l;
	for (;;) {
		if (lane_open_circuit(lane))
			l = line_probe(lane, now);
		else
			l = m->retry.waiting > 0 ? line_due(m, now.ms, lane_avoids(lane)) : NULL;
		if (l == NULL)
			l = line_new_of(m, lane->upstream->number);
		if (l == NULL)
			return line_alone(lane, now);
		death_learn(l);
		if (l->trials.deaths < TRIALS_DEATHS)
			return l;
		line_wait(l, now.ms); /* until nothing else is left */
	}
}

/* How many tokens it takes is known only now that it is at hand. If they do not fit into the upstream's
 * minute it waits, and nothing passes it by. */
static bool line_fits(struct upstream *u, struct line *l, struct moment now)
{
	uint64_t due_ms = rate_limit_due_ms(&u->rate_limit, l->scheduled.tokens, now.ms);
	if (due_ms <= now.ms)
		return true;
	u->rate_limited_until_ms = due_ms;
	line_wait(l, now.ms);
	upstream_offers(u, now);
	return false;
}

/* The one place where a lane is opened again: with the first line that is no probe. */
static bool lane_send(struct dispatch *d, struct lane *lane, struct line *l, struct moment now)
{
	assert(lane->offer.lines > 0);
	if (lane->gate_shut && !lane->offer.probe)
		lane_reopen(lane, now);
	bool sent = line_send(d, lane, l);
	now = moment_now();
	upstream_offers(lane->upstream, now);
	lane_offer_renew(lane, now); /* that was the model's last line, perhaps */
	return sent;
}

/* Sends one line of the model; false: there is none, or no room. */
static bool model_send(struct dispatch *d, struct model *m)
{
	for (;;) {
		struct moment now = moment_now();
		if (!model_has_line(m) || !memory_for_line(d, m))
			return false;
		struct lane *lane = lane_pick(m, now);
		struct line *l = lane != NULL ? lane_line(lane, now) : NULL;
		if (l == NULL)
			return false;
		if (!line_fits(lane->upstream, l, now))
			continue;
		bool sent = lane_send(d, lane, l, now);
		if (!sent)
			line_wait(l, now.ms + 1000);
		return sent;
	}
}

/* A line of each in turn, so that models on one upstream share its slots. */
bool dispatch_fill(struct dispatch *d)
{
	bool sent, more = !d->draining;

	assert(on_dispatch_thread());
	sent = online_fill(d);
	memory_resume(d);
	offers_renew(d);
	while (more) {
		more = false;
		for (struct model *m = d->models; m != NULL; m = m->next)
			more = model_send(d, m) || more;
		sent = sent || more;
	}
	return sent;
}

/* When the lane may have room for a line, and there is one that it may take. */
static uint64_t lane_ready_ms(const struct lane *lane, struct moment now)
{
	const struct model *m = lane->model;
	uint64_t line_ms = UINT64_MAX;

	if (lane_wants(lane, now))
		line_ms = now.ms;
	else if (m->retry.waiting > 0) /* it waits for its time, or for another lane's room */
		line_ms = retry_first_ms(&m->retry) > now.ms ? retry_first_ms(&m->retry)
							     : now.ms + LOOK_AGAIN_MS;
	else if (m->retry.alone != NULL)
		line_ms = now.ms + LOOK_AGAIN_MS;
	return later(lane->offer.due_ms, line_ms);
}

/* When the model may have something to send, and an upstream with room for it. */
static uint64_t model_due_ms(const struct model *m, struct moment now)
{
	uint64_t due = UINT64_MAX;
	if (!model_has_line(m))
		return UINT64_MAX;
	for (const struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		uint64_t lane_ms = lane_ready_ms(lane, now);
		due = lane_ms < due ? lane_ms : due;
	}
	return due;
}

int dispatch_fill_timeout(struct dispatch *d)
{
	struct moment now = moment_now();
	uint64_t due = UINT64_MAX;
	for (struct model *m = d->models; m != NULL && !d->draining; m = m->next) {
		uint64_t model_ms = m->no_memory ? UINT64_MAX : model_due_ms(m, now);
		due = model_ms < due ? model_ms : due;
	}
	if (due == UINT64_MAX)
		return -1;
	if (due <= now.ms)
		return 0;
	return due - now.ms > 60000 ? 60000 : (int)(due - now.ms);
}
