/* retry.c: a binary heap that knows where each entry stands, and a list. */
#include "dispatch/retry.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"

#define CAPACITY_FIRST 64u
#define LOOK_MAX 64u /* entries of the heap that a search looks at */

/* ---- the heap ---- */

static void heap_set(struct retry *r, size_t i, struct retry_entry *e)
{
	assert(i < r->waiting);
	r->heap[i] = e;
	e->at = i;
}

static void heap_up(struct retry *r, size_t i, struct retry_entry *e)
{
	while (i > 0 && r->heap[(i - 1) / 2]->due_ms > e->due_ms) {
		heap_set(r, i, r->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(r, i, e);
}

static void heap_down(struct retry *r, size_t i, struct retry_entry *e)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= r->waiting)
			break;
		if (child + 1 < r->waiting && r->heap[child + 1]->due_ms < r->heap[child]->due_ms)
			child++;
		if (r->heap[child]->due_ms >= e->due_ms)
			break;
		heap_set(r, i, r->heap[child]);
		i = child;
	}
	heap_set(r, i, e);
}

/* Finds the place of `e` from index i on, which is free. */
static void heap_place(struct retry *r, size_t i, struct retry_entry *e)
{
	if (i > 0 && r->heap[(i - 1) / 2]->due_ms > e->due_ms)
		heap_up(r, i, e);
	else
		heap_down(r, i, e);
}

static void heap_remove(struct retry *r, struct retry_entry *e)
{
	size_t i = e->at;
	struct retry_entry *last;

	assert(i < r->waiting && r->heap[i] == e);
	last = r->heap[--r->waiting];
	if (last != e)
		heap_place(r, i, last);
}

/* ---- the list of those that go alone ---- */

static void alone_remove(struct retry *r, struct retry_entry *e)
{
	struct retry_entry **link = &r->alone;

	while (*link != NULL && *link != e)
		link = &(*link)->next_alone;
	assert(*link == e);
	*link = e->next_alone;
	e->next_alone = NULL;
}

/* ---- room ---- */

void retry_done(struct retry *r)
{
	assert(r->reserved == 0 && !retry_has_any(r));
	free(r->heap);
	*r = (struct retry){ 0 };
}

void retry_reserve(struct retry *r)
{
	size_t capacity = r->capacity == 0 ? CAPACITY_FIRST : 2 * r->capacity;
	struct retry_entry **heap;

	if (r->reserved++ < r->capacity)
		return;
	heap = must_calloc(capacity, sizeof(struct retry_entry *));
	if (r->waiting > 0)
		memcpy(heap, r->heap, r->waiting * sizeof(struct retry_entry *));
	free(r->heap);
	r->heap = heap;
	r->capacity = capacity;
}

void retry_release(struct retry *r)
{
	assert(r->reserved > r->waiting);
	r->reserved--;
}

/* ---- in, out ---- */

void retry_put(struct retry *r, struct retry_entry *e, uint64_t due_ms)
{
	assert(e->place == RETRY_OUT);
	e->due_ms = due_ms;
	r->for_operator += e->for_operator;
	if (e->goes_alone) {
		e->place = RETRY_ALONE;
		e->next_alone = r->alone;
		r->alone = e;
		return;
	}
	assert(r->waiting < r->reserved);
	e->place = RETRY_IN_HEAP;
	r->waiting++;
	heap_up(r, r->waiting - 1, e);
}

void retry_take(struct retry *r, struct retry_entry *e)
{
	assert(e->place != RETRY_OUT);
	if (e->place == RETRY_ALONE)
		alone_remove(r, e);
	else
		heap_remove(r, e);
	assert(r->for_operator >= e->for_operator);
	r->for_operator -= e->for_operator;
	e->for_operator = false;
	e->place = RETRY_OUT;
}

void retry_move(struct retry *r, struct retry_entry *e, uint64_t due_ms)
{
	assert(e->place != RETRY_OUT);
	e->due_ms = due_ms;
	if (e->place == RETRY_IN_HEAP)
		heap_place(r, e->at, e);
}

void retry_operator_now(struct retry *r, uint64_t now_ms)
{
	if (r->for_operator == 0)
		return;
	/* an entry that moves up changes places with those before it only: each is looked at
	 * once */
	for (size_t i = 0; i < r->waiting; i++) {
		struct retry_entry *e = r->heap[i];

		if (!e->for_operator || e->due_ms <= now_ms || e->due_ms == RETRY_PARKED)
			continue;
		e->due_ms = now_ms;
		heap_up(r, i, e);
	}
}

/* ---- what is due ---- */

/* The heap's order is near to that of time; what lies deeper comes up when the others are gone. */
struct retry_entry *retry_due(const struct retry *r, uint64_t now_ms, uint32_t upstream)
{
	assert(now_ms < RETRY_PARKED);
	for (size_t i = 0; i < r->waiting && i < LOOK_MAX; i++)
		if (r->heap[i]->due_ms <= now_ms &&
		    (upstream == RETRY_AVOIDS_NONE || r->heap[i]->avoid != upstream))
			return r->heap[i];
	return NULL;
}

struct retry_entry *retry_alone_due(const struct retry *r, uint64_t now_ms)
{
	struct retry_entry *e = r->alone;

	assert(now_ms < RETRY_PARKED);
	while (e != NULL && e->due_ms > now_ms)
		e = e->next_alone;
	return e;
}

uint64_t retry_first_ms(const struct retry *r)
{
	return r->waiting > 0 ? r->heap[0]->due_ms : RETRY_PARKED;
}

bool retry_has_any(const struct retry *r)
{
	return r->waiting > 0 || r->alone != NULL;
}
