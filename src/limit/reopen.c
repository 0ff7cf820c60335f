/* reopen.c: a slow start is a cap that each answer lifts by one, until it is no longer the
 * least. */
#include "limit/reopen.h"

#include <assert.h>
#include <math.h>

void reopen_init(struct reopen *r)
{
	r->cap = INFINITY;
}

void reopen_begin(struct reopen *r, double cap)
{
	assert(cap >= 1);
	r->cap = cap;
}

void reopen_answered(struct reopen *r, double limit)
{
	if (!isinf(r->cap) && ++r->cap >= limit)
		r->cap = INFINITY;
}

bool reopen_is_open(const struct reopen *r)
{
	return isinf(r->cap);
}
