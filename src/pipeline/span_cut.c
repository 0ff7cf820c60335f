/* span_cut.c: see span_cut.h. */
#include "pipeline/span_cut.h"

#include <stdlib.h>

#include "batch/segment.h"
#include "pipeline/segment_set.h"

static bool is_whole(const struct batch_options *o)
{
	return o->token_budget > 0 || o->canary > 0 || o->by_completion;
}

static uint64_t segments_each(uint64_t segments, const struct span_input *input)
{
	uint64_t each = (segments + SPANS_WANTED - 1) / SPANS_WANTED;
	uint64_t segment_bytes = input->bytes / segments + 1;

	if (each > SPAN_SEGMENTS_MAX || input->prefixes)
		each = SPAN_SEGMENTS_MAX;
	if (each > SPAN_BYTES_MAX / segment_bytes)
		each = SPAN_BYTES_MAX / segment_bytes;
	return each > 0 ? each : 1;
}

bool span_cut(const struct batch_options *options, const struct span_input *input,
	      struct span_plan **ret, size_t *ret_n, struct error *err)
{
	uint64_t lines = input->lines, segments = segments_of(lines);
	uint64_t each = is_whole(options) ? segments : segments_each(segments, input);
	size_t n = (size_t)((segments + each - 1) / each);
	struct span_plan *plan = calloc(n, sizeof(*plan));

	if (plan == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < n; i++) {
		uint64_t first = i * each, rest = segments - first;
		uint64_t first_line = first * SEGMENT_LINES;
		plan[i].first_segment = first;
		plan[i].segments = rest < each ? rest : each;
		uint64_t end_line = (first + plan[i].segments) * SEGMENT_LINES;
		plan[i].lines = (end_line < lines ? end_line : lines) - first_line;
	}
	*ret = plan;
	*ret_n = n;
	return true;
}
