/* test_backoff.c: refusals, in virtual time: cut once, back soon, slowly beyond where it was
 * refused. */
#include "unit.h"

#include <math.h>

#include "limit/backoff.h"
#include "limit/common.h"

static void refuse(struct backoff *b, uint64_t sent_us, double in_flight, double goal,
		   uint64_t now_us)
{
	backoff_refused(b,
			&(struct backoff_refusal){ .sent_us = sent_us,
						   .in_flight = in_flight,
						   .limit = fmin(b->cap, goal),
						   .goal = goal },
			now_us);
}

static void a_burst_of_refusals_cuts_once(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b);
	assert_true(isinf(b.cap));
	for (int i = 0; i < 20; i++)
		refuse(&b, SECOND + 1, 40, 40, 2 * SECOND);
	assert_true(fabs(b.cap - 32) < 1e-9);
	assert_false(b.load_independent);
	refuse(&b, 3 * SECOND, 30, 40, 4 * SECOND);
	assert_true(b.cap < 30);
}

static void it_grows_back_below_the_ceiling_and_waits_there(void **state)
{
	struct backoff b;
	uint64_t now_us = 2 * SECOND;

	(void)state;
	backoff_init(&b);
	refuse(&b, SECOND, 40, 70, now_us);
	for (int i = 0; i < 7; i++)
		assert_false(backoff_grow(&b, 70, true, now_us));
	double at = b.cap;
	assert_true(at > 38 && at < 40); /* next to where it was refused */
	for (int i = 0; i < 100; i++)
		assert_false(backoff_grow(&b, 70, true, now_us + SECOND));
	assert_true(fabs(b.cap - at) < 1e-9);
	now_us += 200 * SECOND;
	assert_false(backoff_grow(&b, 70, false, now_us)); /* not while less is in flight */
	assert_true(fabs(b.cap - at) < 1e-9);
	assert_false(backoff_grow(&b, 70, true, now_us));
	assert_true(b.cap > at);
}

static void at_the_goal_it_is_over(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b);
	refuse(&b, SECOND, 10, 10, 2 * SECOND);
	unsigned answers = 0;
	for (uint64_t now_us = 2 * SECOND; !backoff_grow(&b, 10, true, now_us); now_us += SECOND)
		assert_true(++answers < 600);
	assert_true(answers > 1);
	assert_true(isinf(b.cap));
	assert_false(backoff_grow(&b, 10, true, 1000 * SECOND)); /* said once */
}

static void refusals_by_chance_cut_no_further(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b);
	for (int i = 0; i < 100; i++) {
		double in_flight = i % 2 == 0 ? 4 : 40;
		backoff_answered(&b, in_flight);
		refuse(&b, (unsigned)(i + 2) * SECOND, in_flight, 50, (unsigned)(i + 3) * SECOND);
	}
	assert_true(b.load_independent);
	assert_true(fabs(b.cap - 40) < 1e-9); /* of the goal, however little is sent */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_of_refusals_cuts_once),
		cmocka_unit_test(it_grows_back_below_the_ceiling_and_waits_there),
		cmocka_unit_test(at_the_goal_it_is_over),
		cmocka_unit_test(refusals_by_chance_cut_no_further),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
