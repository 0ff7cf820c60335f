/* span_cut.h: how a batch is cut in spans (store/spans.h). Pure. */
#pragma once

#include "base/error.h"
#include "batch/options.h"
#include "store/spans.h"

/* What is cut. */
struct span_input {
	uint64_t lines, bytes;
	bool prefixes; /* lines share their beginnings, and not in this order (index_summary) */
};

/* Spans of up to SPAN_SEGMENTS_MAX segments, fewer of long lines, so that a span is at most
 * SPAN_BYTES_MAX of input, about; and fewer of a small batch, of which there are up to SPANS_WANTED
 * then: so that nodes get even shares of it. Where lines share prefixes spans stay large, since those of
 * one prefix are sent one behind the other within a span. A batch whose options are about all its lines together
 * (token_budget, canary, output_order by completion) is one span: one node drives it at a time.
 * `*ret` is malloc'ed. */
#define SPAN_SEGMENTS_MAX 16u
#define SPAN_BYTES_MAX (256u << 20)
#define SPANS_WANTED 64u
MUST_USE bool span_cut(const struct batch_options *options, const struct span_input *input,
		       struct span_plan **ret, size_t *ret_n, struct error *err);
