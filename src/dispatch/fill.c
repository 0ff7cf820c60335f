/* fill.c: which upstream has room, and what it gets. A free slot is filled at once. */
#include <limits.h>

#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

#define LOOK_AGAIN_MS 250       /* time alone may widen a lane (upstream/width.h) */
#define PROBE_PATIENCE_MS 5000u /* until an upstream that is down is tried again, one on top */

struct moment {
	uint64_t ms, us;
};

static struct moment moment_now(void)
{
	uint64_t us = sys.monotonic_us();
	return (struct moment){ .ms = us / 1000, .us = us };
}

/* The upstream takes requests again: what was let through to it at once before is not now. */
static void upstream_reopen(struct upstream *u, struct moment now)
{
	u->gate_shut = false;
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		width_reopened(lane->width, now.us);
}

/* How many lines may be sent on the lane now. 0: *ret_due_ms is when to look again, UINT64_MAX where
 * something has to happen first.
 *
 * A slot is taken until its line is durable. So a kill at any instant makes at most as many lines run
 * again as may be in flight, and while the disk is slow or refuses nothing more is sent. */
static unsigned lane_room(struct lane *lane, struct moment now, uint64_t *ret_due_ms)
{
	struct upstream *u = lane->upstream;
	bool probe = false;
	*ret_due_ms = UINT64_MAX;
	if (lane->closed || u->retired || u->config.drain)
		return 0;
	/* One that hangs keeps the next one back for a while only. */
	bool probed = u->probes_out > 0 && now.ms - u->probed_at_ms < PROBE_PATIENCE_MS;
	uint64_t due = health_due_ms(&u->health, probed ? 1 : 0, now.ms, &probe);
	if (due == UINT64_MAX && probed)
		due = u->probed_at_ms + PROBE_PATIENCE_MS;
	if (due <= now.ms)
		due = u->paced_until_ms > now.ms ? u->paced_until_ms
						 : pace_due_ms(&u->pace, 1, now.ms);
	if (due > now.ms) {
		*ret_due_ms = due;
		return 0;
	}
	unsigned load = upstream_load(u), most = upstream_most(u);
	if (load >= most)
		return 0;
	if (probe)
		return 1;
	if (u->gate_shut)
		upstream_reopen(u, now);
	unsigned room = width_room(lane->width, lane->unrecorded, now.us);
	if (room == 0)
		*ret_due_ms = now.ms + LOOK_AGAIN_MS;
	return room < most - load ? room : most - load;
}

unsigned lane_slots(struct lane *lane)
{
	uint64_t due_ms;
	return lane->in_flight + lane->unrecorded + lane_room(lane, moment_now(), &due_ms);
}

static bool line_waits(const struct model *m, struct moment now)
{
	return m->heap_n > 0 && m->heap[0]->due_ms <= now.ms;
}

static bool model_wants(const struct model *m, struct moment now)
{
	return line_waits(m, now) || schedule_has_line(m->schedule);
}

/* Whether another model, with less in flight on the upstream, could take the slot. */
static bool lane_yields(const struct lane *lane, struct moment now)
{
	uint64_t due_ms;
	for (struct lane *other = lane->upstream->lanes; other != NULL;
	     other = other->next_of_upstream)
		if (other->in_flight < lane->in_flight && model_wants(other->model, now) &&
		    lane_room(other, now, &due_ms) > 0)
			return true;
	return false;
}

/* Of the lanes with room the one with the least in flight for its weight; one that has just failed the
 * line only if there is no other. */
static struct lane *lane_pick(const struct model *m, unsigned avoid, struct moment now)
{
	struct lane *best = NULL;
	double best_share = 0;
	uint64_t due_ms;
	for (struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		if (lane_room(lane, now, &due_ms) == 0 || lane_yields(lane, now))
			continue;
		double share = (lane->in_flight + 1.0) / lane->upstream->config.weight;
		if (lane->upstream->number == avoid)
			share += 1e6;
		if (best == NULL || share < best_share) {
			best = lane;
			best_share = share;
		}
	}
	return best;
}

static struct line *line_next(struct model *m, unsigned number)
{
	struct schedule_line scheduled;
	return schedule_next(m->schedule, number, sys.now_s(), &scheduled) ? line_new(m, &scheduled)
									   : NULL;
}

static struct line *lane_line(struct lane *lane, struct moment now)
{
	struct upstream *u = lane->upstream;
	struct line *l = NULL;
	/* Every other probe is a new line: the waiting ones may be what the upstream cannot take. */
	if (u->health.down) {
		if (u->probe_turn)
			l = line_next(lane->model, u->number);
		u->probe_turn = !u->probe_turn;
	}
	if (l == NULL)
		l = line_due(lane->model, now.ms);
	return l != NULL ? l : line_next(lane->model, u->number);
}

/* How many tokens it takes is known only now that it is at hand. If they do not fit into the upstream's
 * minute it waits, and nothing passes it by. */
static bool line_fits(struct upstream *u, struct line *l, struct moment now)
{
	uint64_t due_ms = pace_due_ms(&u->pace, l->scheduled.tokens, now.ms);
	if (due_ms <= now.ms)
		return true;
	u->paced_until_ms = due_ms;
	line_wait(l, now.ms);
	return false;
}

/* Sends one line of the model; false: there is none, or no room. */
static bool model_send(struct dispatch *d, struct model *m)
{
	for (;;) {
		struct moment now = moment_now();
		if (!model_wants(m, now) || !memory_for_line(d, m))
			return false;
		struct lane *lane = lane_pick(m, line_waits(m, now) ? m->heap[0]->avoid : UINT_MAX,
					      now);
		struct line *l = lane != NULL ? lane_line(lane, now) : NULL;
		if (l == NULL)
			return false;
		if (!line_fits(lane->upstream, l, now))
			continue;
		if (line_send(d, lane, l))
			return true;
		line_wait(l, now.ms + 1000);
		return false;
	}
}

/* A line of each in turn, so that models on one upstream share its slots. */
bool dispatch_fill(struct dispatch *d)
{
	bool sent = online_fill(d), more = !d->draining;
	memory_resume(d);
	while (more) {
		more = false;
		for (struct model *m = d->models; m != NULL; m = m->next)
			more = model_send(d, m) || more;
		sent = sent || more;
	}
	return sent;
}

/* When the model may have something to send, and an upstream with room for it. */
static uint64_t model_due_ms(const struct model *m, struct moment now)
{
	uint64_t due_ms, lanes_ms = UINT64_MAX;
	if (!schedule_has_line(m->schedule) && m->heap_n == 0)
		return UINT64_MAX;
	uint64_t line_ms = schedule_has_line(m->schedule) ? now.ms : m->heap[0]->due_ms;
	for (struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		if (lane_room(lane, now, &due_ms) > 0)
			due_ms = now.ms;
		lanes_ms = due_ms < lanes_ms ? due_ms : lanes_ms;
	}
	return line_ms > lanes_ms ? line_ms : lanes_ms;
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
