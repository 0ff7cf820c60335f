/* fill.c: see fill.h. */
#include "dispatch/fill.h"

#include <assert.h>

#include "base/clock.h"
#include "base/sys.h"
#include "dispatch/attempt.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/flow_impl.h"
#include "dispatch/lane.h"
#include "dispatch/line.h"
#include "dispatch/line_transfer.h"
#include "dispatch/offer.h"
#include "dispatch/online_impl.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"

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

static struct line *line_new_of(const struct lane *lane)
{
	struct model *m = lane->model;
	const struct prompt_cache *cache = &target_of(lane->upstream)->prompt_cache;
	const struct schedule_lane asks = { .number = lane->upstream->number,
					    .slots = lane_slots(lane),
					    .cache = prompt_cache_kind(
						    cache, upstream_engine(lane->upstream)),
					    .prefixes = prompt_cache_prefixes(cache) };
	struct schedule_line scheduled;

	return schedule_next(m->schedule, &asks, sys.now_s(), &scheduled) ? line_new(m, &scheduled)
									  : NULL;
}

static void probed_hold(struct model *m, bool held)
{
	for (struct flow *f = m->probed; f != NULL; f = f->next_probed)
		if (!f->faulted && !f->spent_up)
			schedule_hold(m->schedule, &f->entry, held);
}

/* A new line of any batch, those that have failed a probe already among them. */
static struct line *line_new_of_any(const struct lane *lane)
{
	struct model *m = lane->model;

	probed_hold(m, false);
	struct line *l = line_new_of(lane);
	probed_hold(m, true);
	return l;
}

/* Probes take turns: a line that waits, for it may be what the upstream cannot take; a new one of a
 * batch that has not failed yet, for the other batches' may be; and any new one, for there may be
 * no others. So neither a line nor a batch that an upstream alone refuses holds up the rest, and it
 * shows whether many lines fail or few. */
static struct line *line_probe(struct lane *lane, struct moment now)
{
	struct line *l = NULL;

	for (unsigned tries = 0; l == NULL && tries < 3; tries++) {
		switch (lane->probe_turn++ % 3) {
		case 0:
			l = line_due(lane->model, lane_now_ms(lane, now), lane_avoids(lane));
			break;
		case 1:
			l = line_new_of(lane);
			break;
		default:
			l = line_new_of_any(lane);
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
			l = line_new_of(lane);
		if (l == NULL)
			return line_alone(lane, now);
		death_learn(l);
		if (l->trials.deaths < TRIALS_DEATHS)
			return l;
		line_wait(l, now.ms); /* until nothing else is left */
	}
}

/* How many tokens it takes is known only now that it is at hand. If they do not fit into the
 * upstream's minute it waits, and nothing passes it by. */
static bool line_fits(struct upstream *u, struct line *l, struct moment now)
{
	uint64_t due_ms = rate_limit_due_ms(&u->rate_limit, l->scheduled.tokens, now.ms);

	if (due_ms <= now.ms)
		return true;
	u->rate_limited_until_ms = due_ms;
	line_wait(l, now.ms);
	offers_change(u, now);
	return false;
}

/* The one place where a lane is opened again: with the first line that is no probe. */
static bool lane_send(struct dispatch *d, struct lane *lane, struct line *l, struct moment now)
{
	assert(lane->offer.lines > 0);
	if (!lane->offer.probe)
		lane_reopen(lane, now.us);
	bool sent = line_send(d, lane, l);
	now = moment_now();
	offers_change(lane->upstream, now);
	offer_renew(lane, now); /* that was the model's last line, perhaps */
	return sent;
}

/* For one more line of the model, and its answer. False: the loop is woken when there may be. */
static bool model_has_memory(struct dispatch *d, struct model *m)
{
	m->no_memory = !memory_has(&d->memory, m->answer_bytes);
	if (!m->no_memory)
		return true;
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		line_transfers_trim(u);
	memory_await(&d->memory);
	m->no_memory = !memory_has(&d->memory, m->answer_bytes);
	return !m->no_memory;
}

/* Sends one line of the model; false: there is none, or no room. */
static bool model_send(struct dispatch *d, struct model *m)
{
	for (;;) {
		struct moment now = moment_now();
		if (!driven_may_send(&d->driven) || !model_has_line(m) || !model_has_memory(d, m))
			return false;
		struct lane *lane = lane_pick(m, now);
		struct line *l = lane != NULL ? lane_line(lane, now) : NULL;
		if (l == NULL)
			return false;
		if (!line_fits(lane->upstream, l, now))
			continue;
		bool sent = lane_send(d, lane, l, now);
		if (!sent)
			line_wait(l, now.ms + (l->again_ms > 0 ? l->again_ms : SEND_AGAIN_MS));
		return sent;
	}
}

/* A line of each in turn, so that models on one upstream share its slots. */
bool dispatch_fill(struct dispatch *d)
{
	bool sent, more = !d->draining;

	assert(on_dispatch_thread());
	sent = online_fill(d);
	memory_resume(&d->memory);
	struct moment now = moment_now();
	offers_renew(d->upstreams, load_is_busy(&d->load, now.us), now);
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
	return clock_later(lane->offer.due_ms, line_ms);
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

	/* When a lease begins nobody says. */
	uint64_t lease_ms = driven_may_send(&d->driven) ? 0 : now.ms + LOOK_AGAIN_MS;
	for (struct model *m = d->models; m != NULL && !d->draining; m = m->next) {
		uint64_t model_ms = m->no_memory ? UINT64_MAX : model_due_ms(m, now);
		model_ms = clock_later(model_ms, lease_ms);
		due = model_ms < due ? model_ms : due;
	}
	return clock_wait_ms(due, now.ms);
}
