/* wall.h: whether the wall clock can be believed when it says that something is over.
 *
 * Windows, files and what stands in lost/ end by the wall clock, and a wall clock can be wrong for
 * a while: a machine starts with the time of 1970, an operator sets a wrong date and corrects it, a
 * virtual machine is resumed after a night. What was ended or deleted meanwhile does not come back.
 * So nothing expires and nothing is deleted while the clock is in doubt:
 *
 *	it stepped      between two looks it moved by WALL_STEP_S more or less than the monotonic
 *	                clock
 *	it is behind    at the start it stands before a time that the database has seen
 *
 * and for WALL_HOLD_MS of the monotonic clock after that. A clock that is slewed moves by
 * milliseconds between two looks and is believed all the time.
 *
 * Pure: no clock is read here. The struct is guarded by its owner's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WALL_STEP_S 10
#define WALL_HOLD_MS UINT64_C(300000)

struct wall {
	int64_t wall_s; /* at the last look */
	uint64_t monotonic_ms;
	bool doubted;
	uint64_t since_ms; /* monotonic, of the last doubt */
	int64_t off_s;     /* how far it was off then: ahead is positive */
};

enum wall_look {
	WALL_GOOD,
	WALL_DOUBTED, /* from this look on; also when it steps once more while it is in doubt */
	WALL_HELD,    /* still in doubt */
	WALL_GOOD_AGAIN,
};

/* The first look. `newest_s`: the latest time that the database has seen, 0: none. */
enum wall_look wall_begin(struct wall *w, int64_t newest_s, int64_t wall_s, uint64_t monotonic_ms);
/* A further look, before anything is ended or deleted because of the time. */
enum wall_look wall_look(struct wall *w, int64_t wall_s, uint64_t monotonic_ms);

/* Whether the time may end something after that look. */
static inline bool wall_is_good(enum wall_look look)
{
	return look == WALL_GOOD || look == WALL_GOOD_AGAIN;
}
