/* gather.h: whether answered lines of a node may wait for others, to become durable together. What is in
 * flight or not durable is bounded (offer.h): they may, until that begins to hold up what is sent. */
#pragma once

#include "batch/outcome.h"

struct slots;
struct upstream;

/* What is in the most need of it wants: `all`, the account of dispatch, or one of the list that begins with
 * `first`. The dispatch thread. */
enum outcome_gather gather_wanted(const struct slots *all, const struct upstream *first);
