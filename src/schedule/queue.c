/* queue.c: see queue.h. */
#include "schedule/queue.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"

#define QUEUE_LEAST 4u

static bool goes_before(const struct schedule_batch *a, const struct schedule_batch *b)
{
	if (a->late != b->late)
		return b->late;
	if (a->turn_ms != b->turn_ms)
		return a->turn_ms < b->turn_ms;
	return a->rank < b->rank;
}

static void put(struct schedule_org *o, size_t at, struct schedule_batch *b)
{
	o->queue[at] = b;
	b->queued_at = at;
}

/* `b` belongs at `at` or above. */
static void sift_up(struct schedule *s, struct schedule_org *o, size_t at, struct schedule_batch *b)
{
	for (; at > 0 && goes_before(b, o->queue[(at - 1) / 2]); at = (at - 1) / 2) {
		put(o, at, o->queue[(at - 1) / 2]);
		s->visits++;
	}
	put(o, at, b);
}

/* `b` belongs at `at` or below. */
static void sift_down(struct schedule *s, struct schedule_org *o, size_t at,
		      struct schedule_batch *b)
{
	for (size_t child; (child = 2 * at + 1) < o->queued; at = child) {
		if (child + 1 < o->queued && goes_before(o->queue[child + 1], o->queue[child]))
			child++;
		if (!goes_before(o->queue[child], b))
			break;
		put(o, at, o->queue[child]);
		s->visits++;
	}
	put(o, at, b);
}

void queue_reserve(struct schedule_org *o)
{
	if (o->batches <= o->queue_cap)
		return;
	size_t cap = o->queue_cap == 0 ? QUEUE_LEAST : 2 * o->queue_cap;
	struct schedule_batch **larger = must_calloc(cap, sizeof(struct schedule_batch *));

	assert(o->batches <= cap);
	if (o->queued > 0)
		memcpy(larger, o->queue, o->queued * sizeof(struct schedule_batch *));
	free(o->queue);
	o->queue = larger;
	o->queue_cap = cap;
}

void queue_add(struct schedule *s, struct schedule_org *o, struct schedule_batch *b)
{
	assert(o->queued < o->queue_cap);
	sift_up(s, o, o->queued++, b);
}

void queue_remove(struct schedule *s, struct schedule_org *o, struct schedule_batch *b)
{
	size_t at = b->queued_at;

	assert(at < o->queued && o->queue[at] == b);
	struct schedule_batch *last = o->queue[--o->queued];
	if (last == b)
		return;
	if (at > 0 && goes_before(last, o->queue[(at - 1) / 2]))
		sift_up(s, o, at, last);
	else
		sift_down(s, o, at, last);
}

void queue_renew(struct schedule *s, struct schedule_org *o)
{
	for (size_t i = o->queued / 2; i-- > 0;)
		sift_down(s, o, i, o->queue[i]);
}

struct schedule_batch *queue_first(const struct schedule_org *o)
{
	return o->queued > 0 ? o->queue[0] : NULL;
}
