/* target.h: an upstream as dispatch sends to it: the headers, addresses and the route that are made
 * once.
 *
 * It embeds the upstream, which knows nothing of the rest; most of dispatch holds a `struct
 * upstream *` and comes back from there by target_of(). */
#pragma once

#include "base/attr.h"
#include "client/client.h"
#include "dispatch/prompt_cache.h"
#include "dispatch/watch.h"
#include "limit/limit.h"
#include "upstream/upstream.h"

struct dispatch;
struct lane;
struct line_transfer;

struct target {
	struct upstream upstream;
	struct headers headers; /* of lines and polls */
	struct client_route *route;
	struct watches watches;
	struct prompt_cache prompt_cache;     /* of its engine */
	struct lane *lanes;                   /* lane.h */
	struct limit *limit;                  /* of all lanes; NULL: each has its own */
	bool gate_shut;                       /* that of `limit`: lane.h */
	struct limit_state limit_told;        /* that the log was told of it; limit 0: nothing */
	struct line_transfer *free_transfers; /* line_transfer.h */
	unsigned online_heard; /* of slots.online, those of other nodes: online_shared.h */
	unsigned online_told;  /* its units, of what others were told of its name last */
};

static inline struct target *target_of(const struct upstream *u)
{
	return container_of(u, struct target, upstream);
}

/* The first of its lanes. */
static inline struct lane *lanes_of(const struct upstream *u)
{
	return target_of(u)->lanes;
}

/* NULL: no memory. */
struct target *target_new(struct dispatch *d, const struct upstream_config *config);
/* Nothing is in flight, and it has neither lanes nor idle transfers. */
void target_free(struct target *t);
