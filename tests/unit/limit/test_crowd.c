/* test_crowd.c: whether others are there is told by what waits when more of ours are let through. */
#include "unit.h"

#include "limit/common.h"
#include "limit/crowd.h"

/* An engine that is said to be crowded: `part` of what is let through waits in it. Returns whether
 * nobody was found to be there. */
static bool poll(struct crowd *c, double part, unsigned polls, uint64_t *now_us)
{
	bool nobody = false;

	for (unsigned i = 0; i < polls && !nobody; i++) {
		double more = crowd_lets_through(c) ? 8 : 0;

		*now_us += SECOND / 4;
		nobody = crowd_poll(c, true, 2 + more, 160, 100 + part * more, *now_us);
	}
	return nobody;
}

static void where_nobody_waits_nobody_is(void **state)
{
	struct crowd c = { 0 };
	uint64_t now_us = SECOND;

	(void)state;
	assert_true(poll(&c, 0, 60, &now_us));
	assert_true(now_us <= 11 * SECOND);
}

static void others_that_are_there_are_believed(void **state)
{
	struct crowd c = { 0 };
	uint64_t now_us = SECOND;
	unsigned tests = 0;

	(void)state;
	for (unsigned i = 0; i < 4 * 600; i++) {
		unsigned before = c.rounds;

		assert_false(poll(&c, 1, 1, &now_us));
		tests += before > 0 && c.rounds == 0;
	}
	assert_true(tests >= 2 && tests <= 6); /* ever less often */
}

/* A burst of others is no reason to doubt an engine whose figures were ours for long. */
static void figures_that_were_right_are_believed_for_a_while(void **state)
{
	struct crowd c = { 0 };
	uint64_t now_us = SECOND;

	(void)state;
	for (unsigned i = 0; i < 60; i++)
		assert_false(crowd_poll(&c, false, 60, 62, 0, now_us += SECOND / 4));
	for (unsigned i = 0; i < 31; i++) { /* a poll without a crowd does not begin it anew */
		assert_false(i == 10 ? crowd_poll(&c, false, 1, 1, 0, now_us += SECOND / 4)
				     : poll(&c, 0, 1, &now_us));
		assert_false(crowd_lets_through(&c));
	}
	assert_true(poll(&c, 0, 60, &now_us));
}

static void it_is_not_tested_while_there_is_room(void **state)
{
	struct crowd c = { 0 };

	(void)state;
	for (unsigned i = 1; i < 100; i++) {
		assert_false(crowd_poll(&c, i % 4 != 0, 2, 160, 100, i * SECOND));
		assert_false(crowd_lets_through(&c));
	}
}

static void nothing_is_told_by_next_to_none(void **state)
{
	struct crowd c = { 0 };

	(void)state;
	for (unsigned i = 1; i < 200; i++)
		assert_false(crowd_poll(&c, true, 1, 160, 100, i * SECOND / 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_nobody_waits_nobody_is),
		cmocka_unit_test(others_that_are_there_are_believed),
		cmocka_unit_test(figures_that_were_right_are_believed_for_a_while),
		cmocka_unit_test(it_is_not_tested_while_there_is_room),
		cmocka_unit_test(nothing_is_told_by_next_to_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
