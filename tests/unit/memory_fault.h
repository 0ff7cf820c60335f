/* memory_fault.h: the n-th allocation of our code fails, n from 1 until each has had its turn.
 *
 *	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
 *		memory_fail(&s);
 *		bool ok = ... the work ...;
 *		memory_restore(&s);
 *		... either all was done, or memory was out and nothing is half done ...
 *	}
 *
 * The linker puts our functions in the place of malloc and the like (memory_fault_dep), for the
 * code linked into the executable; shared libraries go on with their own, but for SQLite, which
 * takes part where memory_fault_sqlite() (memory_fault_sqlite.h) was called. A sweep goes twice:
 * once only the n-th fails, once it and all behind it, for what happens on the way back. Threads:
 * the count is one for all of them. ASan tells what leaked. */
#pragma once

#include "unit.h"

struct memory_sweep {
	unsigned nth;    /* the allocation that fails, from 1 */
	unsigned thin;   /* 0: every one; else a step is a `thin`-th of the way so far */
	bool all_after;  /* it and all behind it */
	bool fired;      /* the last run came to it */
	unsigned faults; /* runs that did, so far */
};

#define MEMORY_SWEEP ((struct memory_sweep){ 0 })
/* Where thousands of allocations are of one kind: all of the first ones, then ever fewer. */
#define MEMORY_SWEEP_THIN ((struct memory_sweep){ .thin = 16 })

/* Steps to the next run; false behind the last one. A sweep in which no allocation failed is a
 * mistake of the test: it fails. */
static inline bool memory_sweep_next(struct memory_sweep *s)
{
	if (s->nth == 0 || s->fired) {
		s->nth += 1 + (s->thin > 0 ? s->nth / s->thin : 0);
		return true;
	}
	if (s->faults == 0)
		fail_msg("no allocation was counted: is memory_fault_dep linked?");
	if (s->all_after)
		return false;
	s->all_after = true;
	s->nth = 1;
	return true;
}

/* From here to memory_restore() allocations are counted, and fail as `s` says. */
void memory_fail(struct memory_sweep *s);
void memory_restore(struct memory_sweep *s);

/* For allocators of libraries: whether this allocation is to fail. */
bool memory_fault_now(void);

/* The error of a call that got no memory, or in which SQLite or the system got none. */
static inline void assert_no_memory(const struct error *e)
{
	if (e->sys != ENOMEM && strstr(e->detail, "out of memory") == NULL)
		fail_msg("not for want of memory: kind %d, sys %d: %s (%s)", (int)e->kind, e->sys,
			 e->message, e->detail);
	assert_int_equal(e->kind, ERR_INTERNAL);
}
