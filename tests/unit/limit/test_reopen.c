/* test_reopen.c: the slow start after a pause. */
#include "unit.h"

#include <math.h>

#include "limit/reopen.h"

static void begins_open(void **state)
{
	struct reopen r;

	(void)state;
	reopen_init(&r);
	assert_true(reopen_is_open(&r));
	reopen_answered(&r, 10);
	assert_true(isinf(r.cap));
}

static void each_answer_lets_one_more_through(void **state)
{
	struct reopen r;

	(void)state;
	reopen_init(&r);
	reopen_begin(&r, 4, 0);
	for (int n = 5; n < 10; n++) {
		reopen_answered(&r, 10);
		assert_false(reopen_is_open(&r));
		assert_true(fabs(r.cap - n) < 1e-9);
	}
	reopen_answered(&r, 10);
	assert_true(reopen_is_open(&r));
}

/* Lines that run for ten minutes say nothing for ten minutes. */
static void five_seconds_without_a_pause_double_it(void **state)
{
	struct reopen r;

	(void)state;
	reopen_init(&r);
	reopen_begin(&r, 8, 1000);
	reopen_tick(&r, 32, true, 1000 + 4999999);
	assert_true(r.cap < 9);
	reopen_tick(&r, 32, true, 1000 + 5000000);
	assert_true(fabs(r.cap - 16) < 1e-9);
	reopen_tick(&r, 32, true, 1000 + 9999999);
	assert_true(fabs(r.cap - 16) < 1e-9);
	reopen_tick(&r, 32, true, 1000 + 10000000);
	assert_true(reopen_is_open(&r));
}

static void nothing_in_flight_says_nothing(void **state)
{
	struct reopen r;

	(void)state;
	reopen_init(&r);
	reopen_begin(&r, 8, 0);
	reopen_tick(&r, 32, false, 60000000);
	reopen_tick(&r, 32, true, 64000000);
	assert_true(fabs(r.cap - 8) < 1e-9);
	reopen_tick(&r, 32, true, 65000000);
	assert_true(fabs(r.cap - 16) < 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_open),
		cmocka_unit_test(each_answer_lets_one_more_through),
		cmocka_unit_test(five_seconds_without_a_pause_double_it),
		cmocka_unit_test(nothing_in_flight_says_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
