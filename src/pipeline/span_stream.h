/* span_stream.h: what a page of a batch's lines is read from while nodes run it: the parts of the spans that are
 * finished. Numbers are those that the batch's order will have (span_order.h). Private to pipeline/. */
#pragma once

#include "results/stream.h"

struct blobs;
struct cluster;

/* Opens the parts of the span that has the number `after` + 1; a page ends with its span. Nothing, if none
 * that is finished has it. *ret_again: the batch has no spans any more, or its parts are gone. Waits for
 * database and bucket. What is in *ret is the caller's, also on failure. */
MUST_USE bool span_stream_open(struct cluster *cl, struct blobs *blobs, const char *batch_id,
			       uint64_t after, struct stream_sources *ret, bool *ret_again,
			       struct error *err);
