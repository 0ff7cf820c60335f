/* span_order.h: where each line of a batch stands in its result files (results/order.h), where these are made of
 * spans' parts: each span has an order of its parts, and the batch's is made of those. Lines are numbered
 * span after span as these were finished, and within one as they were appended: what nodes have ended beside
 * each other has no order of ending that all of them know. Private to pipeline/. */
#pragma once

#include "blob/blob.h"
#include "results/order.h"
#include "store/spans.h"

/* The spans as their lines are numbered; those of which it is not known when they were finished, or which
 * are open, come last. A malloc'ed array; NULL: no memory. */
const struct span_seen **span_order_of(const struct span_seen *spans, size_t n);
/* The part beside which the order of both is; NULL: they have no lines. */
const char *span_order_home(const struct span_end *end);

/* Puts the order of a span's parts, which is the file at `path`, beside the first of them that has lines.
 * The file goes; where it has gone before, that was done. */
MUST_USE bool span_order_put(struct blobs *blobs, const struct span_end *end, const char *path,
			     struct error *err);
/* Puts the order of the whole, `spans` by number, at its homes. *ret_known false: that of a span is gone, and so
 * there is none, or another node has joined the batch meanwhile. The result files have all lines either way. */
MUST_USE bool span_order_join(struct blobs *blobs, const struct span_seen *spans, size_t n,
			      const struct order_homes *homes, bool *ret_known, struct error *err);
