/* test_first.c: an online answer that is late tells how many slots there are. */
#include "unit.h"

#include <math.h>

#include "limit/first.h"

/* An engine of 64 slots, first come, first served; three requests end in two steps. */
static unsigned came(struct first *f, double in_flight)
{
	return first_came(f, in_flight, 3 + fmax(0, in_flight - 64));
}

static void what_is_ahead_of_one_that_waits_is_beyond_the_slots(void **state)
{
	struct first f = { 0 };

	(void)state;
	for (unsigned n = 10; n <= 60; n += 10)
		assert_int_equal(came(&f, n), 0);
	assert_int_equal(came(&f, 100), 1);
	assert_int_equal(came(&f, 120), 2);
	assert_true(fabs(f.slots - 64) < 1e-9);
}

static void a_long_prompt_says_little(void **state)
{
	struct first f = { 0 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(came(&f, 60), 0);
	assert_int_equal(first_came(&f, 60, 30), 1); /* 27 ended while its prompt was read */
	assert_int_equal(came(&f, 60), 0);
	assert_int_equal(first_came(&f, 60, 30), 1);
	assert_int_equal(first_came(&f, 60, 13), 2); /* the least late of them counts */
	assert_true(fabs(f.slots - 50) < 1e-9);
}

static void a_step_more_is_not_late(void **state)
{
	struct first f = { 0 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(came(&f, 60), 0);
	assert_int_equal(first_came(&f, 60, 7), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_ahead_of_one_that_waits_is_beyond_the_slots),
		cmocka_unit_test(a_long_prompt_says_little),
		cmocka_unit_test(a_step_more_is_not_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
