/* test_others.c: others count late while nobody was there, and at once after that. */
#include "unit.h"

#include <math.h>

#include "limit/common.h"
#include "limit/others.h"

static bool is(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

/* One reading may be of a moment when ours had not been counted off yet. */
static void at_first_two_polls_have_to_say_so(void **state)
{
	struct others o;

	(void)state;
	others_init(&o);
	others_poll(&o, 11, 10, 10, 1 * SECOND);
	others_poll(&o, 13, 10, 10, 2 * SECOND);
	assert_true(o.now <= 0);
	others_poll(&o, 10, 10, 10, 3 * SECOND);
	others_poll(&o, 16, 10, 10, 4 * SECOND); /* so many cannot be that */
	assert_true(is(o.now, 6));
}

static void once_somebody_was_there_each_poll_counts(void **state)
{
	struct others o;

	(void)state;
	others_init(&o);
	others_poll(&o, 13, 10, 10, 1 * SECOND);
	others_poll(&o, 13, 10, 10, 2 * SECOND);
	assert_true(is(o.now, 3));
	others_poll(&o, 10, 10, 10, 3 * SECOND);
	assert_true(o.now <= 0);
	others_poll(&o, 12, 20, 10, 4 * SECOND); /* ours fell from 20 to 10 meanwhile */
	assert_true(is(o.now, 2));
	others_poll(&o, 12, 12, 10, 4 * SECOND + 11 * MINUTE);
	assert_true(o.now <= 0);
}

static void the_most_is_a_mean_and_kept_for_ten_minutes(void **state)
{
	struct others o;
	uint64_t now_us = SECOND;

	(void)state;
	others_init(&o);
	others_poll(&o, 50, 10, 10, now_us);
	assert_true(o.most < 2); /* one poll is nothing yet */
	for (unsigned i = 0; i < 120; i++)
		others_poll(&o, 50, 10, 10, now_us += SECOND / 4);
	assert_true(o.most > 38 && o.most <= 40);
	for (unsigned i = 0; i < 9 * 60; i++)
		others_poll(&o, 10, 10, 10, now_us += SECOND);
	assert_true(o.most > 38);
	for (unsigned i = 0; i < 2 * 60; i++)
		others_poll(&o, 10, 10, 10, now_us += SECOND);
	assert_true(o.most < 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_first_two_polls_have_to_say_so),
		cmocka_unit_test(once_somebody_was_there_each_poll_counts),
		cmocka_unit_test(the_most_is_a_mean_and_kept_for_ten_minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
