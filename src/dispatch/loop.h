/* loop.h: dispatch turned by hand, in the caller's thread: for tests. */
#pragma once

#include "dispatch/dispatch.h"

/* dispatch_open() without the thread: the caller's is the dispatch thread, and calls
 * dispatch_turn(). */
MUST_USE bool dispatch_new(const struct dispatch_config *config,
			   const struct upstream_config *upstreams, size_t upstream_count,
			   const struct dispatch_ops *ops, void *ctx, struct dispatch **ret,
			   struct error *err);
/* One turn of the loop. The calling thread is dispatch's from now on. */
void dispatch_turn(struct dispatch *d);
