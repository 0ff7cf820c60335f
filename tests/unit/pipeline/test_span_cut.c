/* test_span_cut.c: how a batch is cut in spans: all its lines, once, in order. */
#include "unit.h"

#include "batch/segment.h"
#include "pipeline/span_cut.h"

struct cut {
	struct span_plan *plan;
	size_t n;
};

static bool prefixes; /* whether lines share some */

/* Cut, and what holds of each cut. */
static struct cut cut(const struct batch_options *options, uint64_t lines, uint64_t bytes)
{
	struct cut c;
	struct error err;
	uint64_t segment = 0, left = lines;

	const struct span_input input = { lines, bytes, prefixes };
	assert_true(span_cut(options, &input, &c.plan, &c.n, &err));
	assert_true(c.n > 0);
	for (size_t i = 0; i < c.n; i++) {
		const struct span_plan *p = &c.plan[i];
		assert_int_equal(p->first_segment, segment);
		assert_true(p->segments > 0 && p->lines > 0 && p->lines <= left);
		segment += p->segments;
		left -= p->lines;
		if (i + 1 < c.n)
			assert_int_equal(p->lines, p->segments * SEGMENT_LINES);
	}
	assert_int_equal(left, 0);
	assert_int_equal(segment, (lines + SEGMENT_LINES - 1) / SEGMENT_LINES);
	return c;
}

static size_t spans(const struct batch_options *options, uint64_t lines, uint64_t bytes)
{
	struct cut c = cut(options, lines, bytes);

	free(c.plan);
	return c.n;
}

static uint64_t segments_most(uint64_t lines, uint64_t bytes)
{
	struct cut c = cut(&(struct batch_options){ 0 }, lines, bytes);
	uint64_t most = 0;

	for (size_t i = 0; i < c.n; i++)
		most = c.plan[i].segments > most ? c.plan[i].segments : most;
	free(c.plan);
	return most;
}

static void around_the_ends_of_segments(void **state)
{
	static const uint64_t lines[] = { 1,
					  SEGMENT_LINES - 1,
					  SEGMENT_LINES,
					  SEGMENT_LINES + 1,
					  SPANS_WANTED * SEGMENT_LINES - 1,
					  SPANS_WANTED * SEGMENT_LINES,
					  SPANS_WANTED * SEGMENT_LINES + 1,
					  UINT64_C(16) * SPANS_WANTED * SEGMENT_LINES + 1,
					  1000000,
					  50000001 };
	const struct batch_options whole[] = { { .canary = 1 },
					       { .token_budget = 1 },
					       { .by_completion = true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		for (uint64_t each = 1; each < 3000000; each = each * 7 + 1)
			(void)spans(&(struct batch_options){ 0 }, lines[i], lines[i] * each);
		for (size_t k = 0; k < ARRAY_LEN(whole); k++)
			assert_int_equal(spans(&whole[k], lines[i], lines[i] * 100), 1);
	}
}

static void a_small_batch_is_cut_for_many(void **state)
{
	const struct batch_options none = { 0 };

	(void)state;
	assert_int_equal(spans(&none, 1, 100), 1);
	assert_int_equal(spans(&none, 3 * SEGMENT_LINES, 1000000), 3);
	assert_int_equal(spans(&none, SPANS_WANTED * SEGMENT_LINES, 1000000), SPANS_WANTED);
	for (uint64_t k = SPANS_WANTED + 1; k < 16 * SPANS_WANTED; k += 13)
		assert_in_range(spans(&none, k * SEGMENT_LINES, k << 20), SPANS_WANTED / 2 + 1,
				SPANS_WANTED);
}

static void lines_that_share_prefixes_stay_together(void **state)
{
	const struct batch_options none = { 0 };
	uint64_t most = SPAN_SEGMENTS_MAX * (uint64_t)SEGMENT_LINES;

	(void)state;
	prefixes = true;
	assert_int_equal(spans(&none, 2 * SEGMENT_LINES, 1000000), 1);
	assert_int_equal(spans(&none, most, 1000000), 1);
	assert_int_equal(spans(&none, 10 * most, 1000000), 10);
	assert_int_equal(segments_most(most, 4 * (uint64_t)SPAN_BYTES_MAX), 3);
	prefixes = false;
}

static void a_span_is_bounded(void **state)
{
	(void)state;
	uint64_t many = UINT64_C(64) * SPANS_WANTED * SEGMENT_LINES;
	assert_int_equal(segments_most(many, many * 100), SPAN_SEGMENTS_MAX);
	/* long lines: by bytes, and a segment is the least there is */
	assert_int_equal(segments_most(many, many * (SPAN_BYTES_MAX / SEGMENT_LINES / 4 - 1)), 4);
	assert_int_equal(segments_most(many, many * (SPAN_BYTES_MAX / SEGMENT_LINES * 2)), 1);
	for (uint64_t each = 100; each < SPAN_BYTES_MAX / SEGMENT_LINES; each = each * 3 / 2) {
		uint64_t bytes = segments_most(many, many * each) * SEGMENT_LINES * each;
		assert_true(bytes <= SPAN_BYTES_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(around_the_ends_of_segments),
		cmocka_unit_test(a_small_batch_is_cut_for_many),
		cmocka_unit_test(lines_that_share_prefixes_stay_together),
		cmocka_unit_test(a_span_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
