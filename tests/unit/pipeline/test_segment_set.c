/* test_segment_set.c: lines end in any order; what is left, where its records stand, what is
 * merged. */
#include "unit.h"

#include "pipeline/segment_set.h"

#define LAST_LINES 10u
#define LINES (2 * SEGMENT_LINES + LAST_LINES)

static struct segment_set *set_of(uint64_t merged, uint64_t journal_end)
{
	struct segment_set *set;
	struct error err;

	assert_true(segment_set_new(LINES, merged, journal_end, &set, &err));
	return set;
}

static void test_a_new_set_lends_every_line(void **state)
{
	(void)state;
	struct segment_set *set = set_of(0, 16);
	struct segment_cursor cursor;

	assert_int_equal(segment_set_count(set), 3);
	assert_int_equal(segment_set_ended(set), 0);
	assert_true(segment_set_cursor(set, 2, &cursor));
	assert_int_equal(cursor.first, 2 * SEGMENT_LINES);
	assert_int_equal(cursor.lines, LAST_LINES);
	assert_int_equal(cursor.next, 0);
	segment_set_free(set);
}

static void test_a_line_ends_once(void **state)
{
	(void)state;
	struct segment_set *set = set_of(0, 16);

	assert_true(segment_set_end_line(set, 5, 16, 100));
	assert_false(segment_set_end_line(set, 5, 116, 100));
	assert_int_equal(segment_set_ended(set), 1);
	assert_int_equal(segment_set_bounds(set, 0).journal_end, 116);
	segment_set_free(set);
}

static void test_a_cursor_leaves_out_what_has_ended(void **state)
{
	(void)state;
	struct segment_set *set = set_of(0, 16);
	struct segment_cursor cursor;

	assert_true(segment_set_end_line(set, SEGMENT_LINES + 3, 16, 10));
	assert_true(segment_set_cursor(set, 1, &cursor));
	assert_true(bit_get(cursor.done, 3));
	assert_false(bit_get(cursor.done, 2));
	segment_set_free(set);
}

static void test_the_last_segment_is_finished_with_its_last_line(void **state)
{
	(void)state;
	struct segment_set *set = set_of(0, 16);
	struct segment_cursor cursor;

	for (uint32_t i = 0; i < LAST_LINES; i++) {
		assert_false(segment_set_bounds(set, 2).finished);
		assert_true(segment_set_end_line(set, 2 * SEGMENT_LINES + i, 16 + i * 10u, 10));
	}
	assert_true(segment_set_bounds(set, 2).finished);
	assert_false(segment_set_cursor(set, 2, &cursor));
	assert_int_equal(segment_set_bounds(set, 2).journal_at, 16);
	assert_int_equal(segment_set_bounds(set, 2).journal_end, 16 + LAST_LINES * 10);
	segment_set_free(set);
}

static void test_the_journal_is_read_from_the_earliest_unmerged_record(void **state)
{
	(void)state;
	struct segment_set *set = set_of(0, 16);

	assert_int_equal(segment_set_journal_from(set, 0), 16);
	assert_true(segment_set_end_line(set, 0, 16, 10));
	assert_true(segment_set_end_line(set, SEGMENT_LINES, 26, 10));
	assert_true(segment_set_end_line(set, 1, 36, 10));
	assert_int_equal(segment_set_journal_from(set, 0), 16);
	assert_int_equal(segment_set_journal_from(set, 1), 26);
	assert_int_equal(segment_set_journal_from(set, 2), 46); /* behind all that is there */
	segment_set_free(set);
}

static void test_merged_segments_are_ended_and_lent_no_more(void **state)
{
	(void)state;
	struct segment_set *set = set_of(1, 500);
	struct segment_cursor cursor;

	assert_int_equal(segment_set_ended(set), SEGMENT_LINES);
	assert_false(segment_set_has(set, SEGMENT_LINES - 1));
	assert_true(segment_set_has(set, SEGMENT_LINES));
	assert_false(segment_set_has(set, LINES));
	assert_false(segment_set_cursor(set, 0, &cursor));
	assert_true(segment_set_end_line(set, SEGMENT_LINES, 500, 10));
	segment_set_merge(set, 2);
	assert_false(segment_set_has(set, SEGMENT_LINES));
	assert_int_equal(segment_set_bounds(set, 1).journal_end, 0);
	assert_int_equal(segment_set_journal_from(set, 2), 510);
	segment_set_free(set);
}

static void test_all_merged_is_all_ended(void **state)
{
	(void)state;
	struct segment_set *set = set_of(3, 16);

	assert_int_equal(segment_set_ended(set), LINES);
	segment_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_set_lends_every_line),
		cmocka_unit_test(test_a_line_ends_once),
		cmocka_unit_test(test_a_cursor_leaves_out_what_has_ended),
		cmocka_unit_test(test_the_last_segment_is_finished_with_its_last_line),
		cmocka_unit_test(test_the_journal_is_read_from_the_earliest_unmerged_record),
		cmocka_unit_test(test_merged_segments_are_ended_and_lent_no_more),
		cmocka_unit_test(test_all_merged_is_all_ended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
