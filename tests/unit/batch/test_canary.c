/* The lines of a batch that run before it is held (contract 11.1, canary): N of them, spread evenly. */
#include "unit.h"

#include "batch/canary.h"

static void so_many_lines_spread_evenly(void **state)
{
	static const struct {
		uint64_t n, lines;
	} rows[] = { { 1, 2 },    { 1, 1000 },    { 2, 3 },
		     { 3, 10 },   { 10, 11 },     { 100, 200001 },
		     { 7, 2048 }, { 1023, 1024 }, { 65537, 4294967295 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t n = rows[i].n, lines = rows[i].lines, before = 0;
		assert_true(canary_holds(n, lines));
		for (uint64_t k = 0; k < n; k++) {
			uint64_t record = canary_record(k, n, lines);
			assert_true(record < lines);
			uint64_t apart = record - before;
			if (k > 0)
				assert_in_range(apart, lines / n, lines / n + 1);
			before = record;
		}
	}
}

static void fewer_lines_are_not_held(void **state)
{
	(void)state;
	assert_false(canary_holds(0, 10));
	assert_false(canary_holds(10, 10));
	assert_false(canary_holds(11, 10));
	assert_true(canary_holds(9, 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_lines_spread_evenly),
		cmocka_unit_test(fewer_lines_are_not_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
