/* gather.h: whether answered lines of a node may wait for others, to become durable together. What is in
 * flight or not durable is bounded (offer.h): they may, until that begins to hold up what is sent. */
#pragma once

#include "batch/outcome.h"

struct upstream;

/* Of the list that begins with `first`: what the one in the most need of it wants. The dispatch thread. */
enum outcome_gather gather_wanted(const struct upstream *first);
