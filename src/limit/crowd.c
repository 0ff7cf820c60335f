/* crowd.c: rounds of letting more through and letting that drain. */
#include "limit/crowd.h"

#include <math.h>

#include "limit/common.h"

#define CROWDED_POLLS 4u         /* before it is tested */
#define CROWDED_POLLS_AGREED 32u /* ... where the figures were right for AGREED_POLLS */
#define UNCROWDED 4u             /* polls that one without a crowd takes away */
#define AGREED_POLLS 40u
#define AGREED_PART 0.2
#define AGREED_LEAST 8.0 /* of ours */
#define THROUGH_POLLS 4u /* an engine may count a poll late */
#define DRAIN_POLLS 6u   /* at most */
#define ROUNDS 4u
#define MORE_LEAST 4.0 /* of ours in all: else nothing can be told */
#define WAITED_PART 0.5
#define AGAIN_MIN (30 * SECOND)
#define AGAIN_MAX (10 * MINUTE)

static void phase_set(struct crowd *c, int phase)
{
	c->phase = phase;
	c->polls = 0;
}

static bool test_end(struct crowd *c, uint64_t now_us)
{
	bool told = c->more >= MORE_LEAST;
	bool nobody = told && c->waited < WAITED_PART * c->more;

	if (told)
		c->wait_us = (uint64_t)clamp(2 * (double)c->wait_us, AGAIN_MIN, AGAIN_MAX);
	c->next_us = now_us + (told ? c->wait_us : AGAIN_MIN);
	c->rounds = 0;
	c->more = c->waited = 0;
	phase_set(c, CROWD_WATCHES);
	return nobody;
}

static bool is_due(const struct crowd *c, uint64_t now_us)
{
	unsigned need = c->agreed >= AGREED_POLLS ? CROWDED_POLLS_AGREED : CROWDED_POLLS;

	return c->polls >= need && now_us >= c->next_us;
}

bool crowd_poll(struct crowd *c, bool crowded, double own, double seen, double queue,
		uint64_t now_us)
{
	c->polls++;
	c->agreed += own >= AGREED_LEAST && fabs(seen - own) <= AGREED_PART * own;
	switch (c->phase) {
	case CROWD_WATCHES:
		if (!crowded) /* a poll or two between are no end of it */
			c->polls -= c->polls < UNCROWDED ? c->polls : UNCROWDED;
		if (!is_due(c, now_us))
			return false;
		break;
	case CROWD_LETS_THROUGH:
		if (c->polls < THROUGH_POLLS)
			return false;
		c->more += own - c->own;
		c->waited += queue - c->queue;
		c->rounds++;
		phase_set(c, CROWD_DRAINS);
		return c->rounds == ROUNDS && test_end(c, now_us);
	case CROWD_DRAINS:
		if (own > c->own + 1 && c->polls < DRAIN_POLLS)
			return false;
		break;
	}
	c->own = own;
	c->queue = queue;
	phase_set(c, CROWD_LETS_THROUGH);
	return false;
}

bool crowd_lets_through(const struct crowd *c)
{
	return c->phase == CROWD_LETS_THROUGH;
}
