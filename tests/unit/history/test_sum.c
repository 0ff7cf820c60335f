#include "unit.h"

#include <math.h>

#include "history/history_sum.h"

static struct history_page page;

static void steps_of_the_hour(void **state)
{
	const int64_t now = 1000000005, newest = now / 10 - 1;
	const struct history_step rows[] = { { newest - 400, 7, 7, 7, 7 },
					     { newest - 359, 10, 20, 0, 0 },
					     { newest - 1, 30, 40, 90, 3 } };

	(void)state;
	assert_int_equal(history_from(RINGS_HOUR, now), newest - 359);
	history_steps_page(rows, ARRAY_LEN(rows), RINGS_HOUR, now, (newest - 2) * 10 + 5, &page);
	assert_true(page.steps == 360 && page.step_s == 10);
	assert_int_equal(page.from, (newest - 359) * 10);
	assert_true(page.rates[0].lines_per_s == 1 && page.rates[0].tokens_per_s == 2);
	assert_true(isnan(page.rates[0].first_ms));
	assert_true(isnan(page.rates[1].lines_per_s)); /* nobody was there, or did anything */
	assert_true(isnan(page.rates[356].lines_per_s));
	assert_true(page.rates[357].lines_per_s == 0); /* in it the first came */
	assert_true(page.rates[358].lines_per_s == 3 && page.rates[358].first_ms == 30);
	assert_true(page.rates[359].lines_per_s == 0);
}

static void the_newest_step_of_the_day_is_not_over(void **state)
{
	const int64_t now = 300 * 1000 + 49; /* four ticks of it have ended */
	const struct history_step row = { 1000, 80, 0, 0, 0 };

	(void)state;
	assert_int_equal(history_from(RINGS_DAY, now), (1000 - 287) * 30);
	history_steps_page(&row, 1, RINGS_DAY, now, 0, &page);
	assert_true(page.steps == 288 && page.step_s == 300);
	assert_int_equal(page.from, (1000 - 287) * 300);
	assert_true(page.rates[287].lines_per_s == 2);
	assert_true(page.rates[286].lines_per_s == 0);
	assert_int_equal(history_from(RINGS_DAY, 300 * 1000 + 9), (1000 - 288) * 30); /* none has */
}

static void paces_of_nodes(void **state)
{
	static const struct pace_row rows[] = { { 1000, 1, 4, { 1, 2, 3, 4 } },
						{ 998, 2, 3, { 10, 20, 30 } } };

	(void)state;
	pace_rows_page(rows, 1, 1006, &page);
	assert_true(page.from == 1000 && page.step_s == 1 && page.steps == 6);
	assert_true(page.rates[3].lines_per_s == 4 && page.rates[5].lines_per_s == 0);
	pace_rows_page(rows, 2, 1006, &page);
	assert_true(page.from == 998 && page.step_s == 2 && page.steps == 4);
	assert_true(page.rates[0].lines_per_s == 5);
	assert_true(page.rates[1].lines_per_s == 11.5); /* 20, and 1 and 2 */
	assert_true(page.rates[2].lines_per_s == 18.5);
	assert_true(page.rates[3].lines_per_s == 0);
	pace_rows_page(rows, 2, 998 + 4 * 239 + 3, &page);
	assert_true(page.step_s == 4 && page.steps == 239);
	assert_true(page.rates[0].lines_per_s == 33 / 4.0);
	pace_rows_page(NULL, 0, 1006, &page);
	assert_int_equal(page.steps, 0);
	pace_rows_page(rows, 1, 990, &page); /* a clock that is behind */
	assert_int_equal(page.steps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_of_the_hour),
		cmocka_unit_test(the_newest_step_of_the_day_is_not_over),
		cmocka_unit_test(paces_of_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
