/* Where lines of result files begin, for `skip` (contract 11.3). */
#include "unit.h"

#include "api/skip_marks.h"

static void put(struct skip_marks *m, const char *file, uint64_t lines)
{
	struct skip_mark mark = { .lines = lines, .at = lines * 10 };

	snprintf(mark.file, sizeof(mark.file), "%s", file);
	skip_marks_put(m, &mark);
}

static void the_nearest_before(void **state)
{
	struct skip_marks m = { .next = 0 };

	(void)state;
	skip_marks_open(&m);
	assert_int_equal(skip_marks_find(&m, "a", 100).at, 0);
	put(&m, "a", 50);
	put(&m, "a", 20);
	put(&m, "b", 90);
	assert_int_equal(skip_marks_find(&m, "a", 100).lines, 50);
	assert_int_equal(skip_marks_find(&m, "a", 50).at, 500);
	assert_int_equal(skip_marks_find(&m, "a", 49).at, 200);
	assert_int_equal(skip_marks_find(&m, "a", 19).at, 0);
	assert_string_equal(skip_marks_find(&m, "a", 19).file, "a");
	assert_int_equal(skip_marks_find(&m, "c", 99).at, 0);
	skip_marks_close(&m);
}

static void the_oldest_goes_first(void **state)
{
	struct skip_marks m = { .next = 0 };

	(void)state;
	skip_marks_open(&m);
	for (uint64_t i = 1; i <= SKIP_MARKS + 1; i++)
		put(&m, i % 2 ? "odd" : "even", i);
	assert_int_equal(skip_marks_find(&m, "odd", 1).lines, 0);
	assert_int_equal(skip_marks_find(&m, "even", 2).lines, 2);
	assert_int_equal(skip_marks_find(&m, "odd", SKIP_MARKS + 1).lines, SKIP_MARKS + 1);
	skip_marks_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nearest_before),
		cmocka_unit_test(the_oldest_goes_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
