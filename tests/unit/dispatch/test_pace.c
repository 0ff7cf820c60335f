/* The lines a second of a model of which more always wait. */
#include "unit.h"

#include "dispatch/pace.h"

static void look(struct pace *p, unsigned seconds, unsigned lines, bool full)
{
	for (unsigned i = 0; i < seconds; i++)
		pace_look(p, 1, p->ended + lines, full);
}

static void of_lines_while_more_wait(void **state)
{
	struct pace p = { 0 };

	(void)state;
	look(&p, 10, 0, true); /* the first answers take long */
	look(&p, 1, 3, true);
	look(&p, 5, 4, true);
	assert_true(pace_lines_per_s(&p) > 3.99 && pace_lines_per_s(&p) < 4.01);
	look(&p, 30, 1, false); /* the last ones come as they like */
	assert_true(pace_lines_per_s(&p) > 3.99 && pace_lines_per_s(&p) < 4.01);
}

static void few_lines_say_nothing(void **state)
{
	struct pace p = { 0 };

	(void)state;
	look(&p, 2, 5, true);
	look(&p, 3, 5, true); /* 15 that count */
	assert_true(pace_lines_per_s(&p) == 0);
	look(&p, 1, 5, true);
	assert_true(pace_lines_per_s(&p) > 0);
}

static void each_time_from_its_first_answer(void **state)
{
	struct pace p = { 0 };

	(void)state;
	look(&p, 20, 10, true);
	for (unsigned i = 0; i < 5; i++) {
		look(&p, 60, 0, false);
		look(&p, 30, 0, true);
		look(&p, 20, 10, true);
	}
	assert_true(pace_lines_per_s(&p) > 9.99);
}

static void what_was_long_ago_fades(void **state)
{
	struct pace p = { 0 };

	(void)state;
	look(&p, 600, 100, true);
	look(&p, 3 * (unsigned)PACE_OVER_S, 10, true);
	assert_true(pace_lines_per_s(&p) < 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_lines_while_more_wait),
		cmocka_unit_test(few_lines_say_nothing),
		cmocka_unit_test(each_time_from_its_first_answer),
		cmocka_unit_test(what_was_long_ago_fades),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
