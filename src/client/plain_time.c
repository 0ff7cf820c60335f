/* plain_time.c: one timer an exchange, in a heap by the time at which it is looked at. That may be
 * earlier than anything of the exchange can be late: so a request that begins or ends touches
 * nothing while the timer of one before it stands, and an exchange costs the heap one turn in a
 * time-out, not two a request. */
#include <stdlib.h>

#include "client/plain_impl.h"

bool timers_reserve(struct plain *p)
{
	if (p->timers.open == p->timers.cap) {
		size_t cap = p->timers.cap == 0 ? 64 : 2 * p->timers.cap;
		struct plain_exchange **list = reallocarray(p->timers.list, cap,
							    sizeof(struct plain_exchange *));
		if (list == NULL)
			return false;
		p->timers.list = list;
		p->timers.cap = cap;
	}
	p->timers.open++;
	return true;
}

/* ---- the heap: places from 1 ---- */

static struct plain_exchange **place(struct plain *p, size_t at)
{
	return &p->timers.list[at - 1];
}

static void stand(struct plain *p, struct plain_exchange *x, size_t at)
{
	*place(p, at) = x;
	x->timer = at;
}

/* Finds the place of `x`, which may stand anywhere above or below `at`, whose place is free. */
static void settle(struct plain *p, struct plain_exchange *x, size_t at)
{
	while (at > 1 && (*place(p, at / 2))->timer_ms > x->timer_ms) {
		stand(p, *place(p, at / 2), at);
		at /= 2;
	}
	for (size_t below = 2 * at; below <= p->timers.n; below = 2 * at) {
		if (below < p->timers.n &&
		    (*place(p, below + 1))->timer_ms < (*place(p, below))->timer_ms)
			below++;
		if ((*place(p, below))->timer_ms >= x->timer_ms)
			break;
		stand(p, *place(p, below), at);
		at = below;
	}
	stand(p, x, at);
}

static void take_out(struct plain *p, struct plain_exchange *x)
{
	size_t at = x->timer;
	struct plain_exchange *last = *place(p, p->timers.n--);

	x->timer = 0;
	if (last != x)
		settle(p, last, at);
}

void timers_remove(struct plain_exchange *x)
{
	if (x->timer > 0)
		take_out(x->plain, x);
	x->plain->timers.open--;
}

/* ---- what it is for ---- */

void timer_set(struct plain_exchange *x, uint64_t due_ms)
{
	struct plain *p = x->plain;

	if (due_ms == UINT64_MAX || (x->timer > 0 && x->timer_ms <= due_ms))
		return;
	x->timer_ms = due_ms;
	settle(p, x, x->timer > 0 ? x->timer : ++p->timers.n);
}

struct plain_exchange *timers_next(struct plain *p)
{
	struct plain_exchange *x = p->timers.n > 0 ? *place(p, 1) : NULL;

	if (x == NULL || x->timer_ms > p->loop->now_ms)
		return NULL;
	take_out(p, x);
	return x;
}

uint64_t timers_due_ms(const struct plain *p)
{
	return p->timers.n > 0 ? p->timers.list[0]->timer_ms : UINT64_MAX;
}
