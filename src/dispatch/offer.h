/* offer.h: what a lane takes, worked out once a turn of the loop (offers_renew()) and kept in the
 * lane; all questions read it. A line that is sent changes the offers of its upstream's lanes,
 * which share the load, the rate limit, the probes and being alone, and no others: these are worked
 * out again (offers_change()). What an offer says of other upstreams, whether they answer well, no
 * sending changes.
 *
 * Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOOK_AGAIN_MS 250 /* time alone may widen a lane (limit/limit.h) */

struct lane;
struct upstream;

struct moment {
	uint64_t ms, us;
};

struct moment moment_now(void);

/* At the beginning of a turn, of all upstreams from `first` on: what time alone moves, and then
 * what is offered. `busy`: this thread is (load.h). */
void offers_renew(struct upstream *first, bool busy, struct moment now);
/* After anything has changed on the upstream within a turn. */
void offers_change(struct upstream *u, struct moment now);
void offer_renew(struct lane *lane, struct moment now);

/* Whether there is a line that the lane may take. */
bool lane_wants(const struct lane *lane, struct moment now);
/* Nothing else is left to be sent there. Lines that wait for their time, for the operator or for
 * the return of their organization do not count: that may be long. */
bool lane_is_empty(const struct lane *lane, struct moment now);
/* The upstream that a line of this lane must not have failed on last: this one, if the line can go
 * to another. RETRY_AVOIDS_NONE: any line will do. */
unsigned lane_avoids(const struct lane *lane);
/* The time by which a line must be due for the lane. */
uint64_t lane_now_ms(const struct lane *lane, struct moment now);
