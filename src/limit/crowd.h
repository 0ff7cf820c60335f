/* crowd.h: whether the others that an engine's metrics tell of are there: while they are said to
 * leave us next to nothing, some more of ours are let through for a moment, a few times. In an
 * engine that is full as many more have to wait; in figures of another engine, or figures that
 * stand still, they do not. Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct crowd {
	enum { CROWD_WATCHES, CROWD_LETS_THROUGH, CROWD_DRAINS } phase;
	unsigned polls;  /* in this phase */
	unsigned agreed; /* polls at which all that is there was ours: then it is to be believed */
	unsigned rounds; /* of the test that were made */
	double own, queue;   /* when this round began */
	double more, waited; /* ours that were let through in all rounds; and what waited then */
	uint64_t next_us, wait_us; /* the next test; between tests */
};

/* A poll: `crowded`: others are said to fill the engine; `own` of ours are in flight, `seen` are
 * said to be there in all, and `queue` of them wait. True: the test is over, and nobody was
 * there. */
bool crowd_poll(struct crowd *c, bool crowded, double own, double seen, double queue,
		uint64_t now_us);
/* Whether more of ours are to be let through now. */
bool crowd_lets_through(const struct crowd *c);
