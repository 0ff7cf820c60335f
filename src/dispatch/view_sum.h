/* view_sum.h: one view of those of several nodes. Pure. */
#pragma once

#include "dispatch/view.h"

/* Of `n` views, VIEW_ALL with flows, the asking node's first, what may be seen by `asked` (VIEW_ALL or
 * VIEW_ORG). What is in flight is the sum; what an upstream is like its driver says, if there is one: of
 * two, the first. Upstreams are in the order of the first view, lanes in that of the driver's, models by
 * name; a batch counts once, however many nodes have spans of it.
 *
 * *ret borrows texts and decisions of `views`; scheduling_view_done() releases the rest. */
MUST_USE bool view_sum(const struct scheduling_view *const *views, size_t n,
		       const struct view_asked *asked, struct scheduling_view *ret,
		       struct error *err);
