/* slots.c: each step of a slot moves the account of its batch, and of its lane and all above
 * that. */
#include "upstream/slots.h"

#include <assert.h>
#include <stddef.h>

#define LEVELS_MAX 3u /* a lane's, its upstream's, that of dispatch */

static void sent(struct slots *at, const struct slot *s, uint64_t now_ms)
{
	at->sent++;
	at->held++;
	at->sent_units += s->units;
	at->alone += s->alone;
	if (!s->probe)
		return;
	at->probes++;
	at->probed_at_ms = now_ms;
}

/* The request is in flight no longer. */
static void back(struct slots *at, const struct slot *s)
{
	assert(at->sent > 0 && at->held >= at->sent);
	assert(at->probes >= s->probe && at->alone >= s->alone && at->sent_units >= s->units);
	at->sent--;
	at->sent_units -= s->units;
	assert(at->sent_units >= at->sent && (at->sent > 0 || at->sent_units == 0));
	at->probes -= s->probe;
	at->alone -= s->alone;
}

static void release(struct slots *at)
{
	unsigned before = at->held--;

	assert(before > 0);
}

void slot_take(struct slot *s, uint64_t now_ms)
{
	const struct slots *upstream = s->lane->of;

	assert(s->state == SLOT_FREE && s->units > 0);
	assert(upstream->alone == 0 && (!s->alone || upstream->sent == 0));
	for (struct slots *at = s->lane; at != NULL; at = at->of)
		sent(at, s, now_ms);
	sent(s->batch, s, now_ms);
	s->state = SLOT_SENT;
}

void slot_answered(struct slot *s)
{
	assert(s->state == SLOT_SENT);
	for (struct slots *at = s->lane; at != NULL; at = at->of)
		back(at, s);
	back(s->batch, s);
	s->state = SLOT_ANSWERED;
}

struct slots *slot_hand_on(struct slot *s)
{
	struct slots *lane = s->lane;

	assert(s->state == SLOT_ANSWERED);
	*s = (struct slot){ 0 };
	return lane;
}

/* From the top down, the lane last: a lane or an upstream that is retired may be freed once it
 * holds nothing. */
static void release_from_top(struct slots *lane)
{
	struct slots *levels[LEVELS_MAX];
	size_t n = 0;

	for (struct slots *at = lane; at != NULL; at = at->of) {
		assert(n < LEVELS_MAX);
		levels[n++] = at;
	}
	while (n > 0)
		release(levels[--n]);
}

void slot_durable(struct slots *lane, struct slots *batch)
{
	release(batch);
	release_from_top(lane);
}

void slot_drop(struct slot *s)
{
	struct slots *batch = s->batch;

	if (s->state == SLOT_SENT)
		slot_answered(s);
	slot_durable(slot_hand_on(s), batch);
}

bool slots_unsynced_full(const struct slots *s)
{
	while (s->of != NULL)
		s = s->of;
	return slots_unrecorded(s) >= UNSYNCED_MAX;
}

void slot_online_take(struct slots *upstream, unsigned units)
{
	assert(units > 0);
	for (struct slots *at = upstream; at != NULL; at = at->of) {
		at->online++;
		at->online_units += units;
	}
}

void slot_online_drop(struct slots *upstream, unsigned units)
{
	for (struct slots *at = upstream; at != NULL; at = at->of) {
		assert(at->online > 0 && at->online_units >= units);
		at->online--;
		at->online_units -= units;
		assert(at->online_units >= at->online && (at->online > 0 || at->online_units == 0));
	}
}

void slots_add(struct slots *sum, const struct slots *below)
{
	sum->sent += below->sent;
	sum->probes += below->probes;
	sum->alone += below->alone;
	sum->held += below->held;
	sum->sent_units += below->sent_units;
	sum->online += below->online;
	sum->online_units += below->online_units;
}

/* `held` goes down in another thread meanwhile, from the top: the sum was more, or has become
 * it. */
void slots_agree(const struct slots *s, const struct slots *sum)
{
	assert(s->sent == sum->sent && s->probes == sum->probes && s->alone == sum->alone);
	assert(s->sent_units == sum->sent_units);
	assert(s->held <= sum->held);
}

void slots_agree_online(const struct slots *s, const struct slots *sum)
{
	assert(s->online == sum->online && s->online_units == sum->online_units);
}
