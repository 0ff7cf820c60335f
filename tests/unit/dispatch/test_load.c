/* test_load.c: the share of time in which a thread runs. */
#include "unit.h"

#include <math.h>

#include "base/sys.h"
#include "dispatch/load.h"

#define MS 1000u

static double share_of(double part, unsigned looks)
{
	struct load l = { 0 };
	uint64_t now_us = 5 * MS;

	for (unsigned i = 0; i < looks; i++, now_us += 20 * MS)
		load_learn(&l, (uint64_t)(part * (double)now_us), now_us);
	return l.share;
}

static void it_is_told_within_a_fifth_of_a_second(void **state)
{
	(void)state;
	assert_true(share_of(0.9, 1) <= 0); /* nothing to compare with */
	assert_true(share_of(0.9, 11) > 0.8 && share_of(0.9, 11) <= 0.9);
	assert_true(share_of(0.1, 50) < 0.11);
}

/* The clocks of a thread and of the machine are read one after the other. */
static void it_is_never_more_than_all(void **state)
{
	(void)state;
	assert_true(share_of(1.5, 100) <= 1);
}

static void it_is_remembered_for_ten_seconds(void **state)
{
	struct load l = { 0 };
	uint64_t now_us = 5 * MS, ran_us = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++, now_us += 20 * MS, ran_us += 12 * MS)
		load_learn(&l, ran_us, now_us);
	assert_true(load_is_busy(&l, now_us));
	for (unsigned i = 0; i < 400; i++, now_us += 20 * MS)
		load_learn(&l, ran_us, now_us);
	assert_true(load_is_busy(&l, now_us));
	for (unsigned i = 0; i < 120; i++, now_us += 20 * MS)
		load_learn(&l, ran_us, now_us);
	assert_false(load_is_busy(&l, now_us));
}

static void this_thread_is_busy(void **state)
{
	struct load l = { 0 };
	volatile double x = 1;

	(void)state;
	load_look(&l, sys.monotonic_us());
	for (uint64_t until_us = sys.monotonic_us() + 50 * MS; sys.monotonic_us() < until_us;)
		x = sqrt(x + 1);
	load_look(&l, sys.monotonic_us());
	assert_true(l.share > 0);
	double before = l.share;
	load_look(&l, sys.monotonic_us()); /* too soon to count */
	assert_true(l.share >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_told_within_a_fifth_of_a_second),
		cmocka_unit_test(it_is_never_more_than_all),
		cmocka_unit_test(it_is_remembered_for_ten_seconds),
		cmocka_unit_test(this_thread_is_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
