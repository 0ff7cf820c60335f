/* test_journal_marks.c: where to begin to look for the n-th line that ended. */
#include "unit.h"

#include "pipeline/journal_marks.h"

/* The record of number n stands at 1000 * n; each tenth number is a hole. */
static void fill(struct journal_marks *m, uint32_t from, uint32_t to)
{
	for (uint32_t n = from; n <= to; n++)
		if (n % 10 != 0)
			journal_marks_add(m, (struct journal_mark){ n, 1000u * n });
}

static void a_mark_is_near_and_not_behind(void **state)
{
	(void)state;
	struct journal_marks m = { 0 };

	assert_int_equal(journal_marks_find(&m, 1).at, 0);
	fill(&m, 1, 20000);
	for (uint32_t n = 1; n <= 20000; n++) {
		struct journal_mark mark = journal_marks_find(&m, n);
		assert_true(mark.number <= n && n - mark.number < MARK_LINES + 10);
		assert_int_equal(mark.at, 1000u * mark.number);
	}
	assert_true(m.n <= 20000 / MARK_LINES + 1);
	journal_marks_clear(&m);
	assert_int_equal(journal_marks_find(&m, 1).at, 0);
}

static void what_is_merged_is_forgotten(void **state)
{
	(void)state;
	struct journal_marks m = { 0 };

	journal_marks_forget(&m, 5000);
	fill(&m, 1, 5000);
	size_t before = m.n;
	journal_marks_forget(&m, 1000u * 3000);
	assert_true(m.n < before / 2 + 2);
	/* what is not merged is found as before */
	for (uint32_t n = 3000; n <= 5000; n++) {
		struct journal_mark mark = journal_marks_find(&m, n);
		assert_true(mark.number <= n && n - mark.number < MARK_LINES + 10);
	}
	fill(&m, 5001, 9000);
	assert_true(journal_marks_find(&m, 9000).number > 9000 - MARK_LINES - 10);
	journal_marks_forget(&m, UINT64_MAX);
	assert_int_equal(m.n, 1);
	journal_marks_clear(&m);
}

/* After a restart the journal is read from somewhere in it on. */
static void before_the_first_mark_the_first_is_found(void **state)
{
	(void)state;
	struct journal_marks m = { 0 };

	fill(&m, 701, 900);
	assert_int_equal(journal_marks_find(&m, 3).number, 701);
	journal_marks_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mark_is_near_and_not_behind),
		cmocka_unit_test(what_is_merged_is_forgotten),
		cmocka_unit_test(before_the_first_mark_the_first_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
