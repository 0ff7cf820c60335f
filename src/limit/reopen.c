/* reopen.c: a slow start is a cap that answers and time lift, until it is no longer the least. */
#include "limit/reopen.h"

#include <assert.h>
#include <math.h>

#include "limit/common.h"

#define DOUBLED_AFTER_US (5 * SECOND)

void reopen_init(struct reopen *r)
{
	*r = (struct reopen){ .cap = INFINITY };
}

void reopen_begin(struct reopen *r, double cap, uint64_t now_us)
{
	assert(cap >= 1);
	*r = (struct reopen){ .cap = cap, .since_us = now_us };
}

static void lift(struct reopen *r, double cap, double limit)
{
	r->cap = cap >= limit ? INFINITY : cap;
}

void reopen_answered(struct reopen *r, double limit)
{
	if (!isinf(r->cap))
		lift(r, r->cap + 1, limit);
}

void reopen_tick(struct reopen *r, double limit, bool in_flight, uint64_t now_us)
{
	if (isinf(r->cap))
		return;
	if (!in_flight) {
		r->since_us = now_us;
	} else if (now_us - r->since_us >= DOUBLED_AFTER_US) {
		r->since_us = now_us;
		lift(r, 2 * r->cap, limit);
	}
}

bool reopen_is_open(const struct reopen *r)
{
	return isinf(r->cap);
}
