/* test_curve.c: the curve of time by requests in flight. */
#include "unit.h"

#include <math.h>

#include "limit/common.h"
#include "limit/curve.h"

static bool near(double a, double b, double by)
{
	return fabs(a - b) <= by;
}

/* The time of a unit with `n` in flight: as fast with `knee` as with one, beyond it a queue. */
static void teach(struct curve *c, double n, double knee, int answers)
{
	for (int i = 0; i < answers; i++)
		curve_learn(c, n, n <= knee ? 0 : log(n / knee), 0.1);
}

static void knows_nothing_at_first(void **state)
{
	struct curve c = { 0 };
	double at;

	(void)state;
	assert_false(curve_at(&c, log(8), &at));
	assert_false(curve_flat(&c, &at));
	assert_true(near(curve_top(&c), LIMIT_START, 1e-9));
	assert_true(near(curve_pays(&c), 1, 1e-9));
}

static void speaks_between_what_it_knows(void **state)
{
	struct curve c = { 0 };
	double at;

	(void)state;
	teach(&c, 8, 8, 5);
	teach(&c, 16, 8, 5);
	assert_true(curve_at(&c, log(8), &at) && near(at, 0, 1e-6));
	assert_true(curve_at(&c, log(8 * M_SQRT2), &at) && near(at, M_LN2 / 2, 1e-6));
	assert_false(curve_at(&c, log(64), &at)); /* too far from what it knows */
	assert_true(near(curve_near(&c, log(64)), M_LN2, 1e-6));
	assert_true(near(curve_top(&c), 16, 1e-6));
}

static void a_bin_begins_at_the_median(void **state)
{
	struct curve c = { 0 };
	double at;

	(void)state;
	curve_learn(&c, 4, 5, 0.1);
	curve_learn(&c, 4, 1, 0.1);
	assert_false(curve_at(&c, log(4), &at)); /* two are too few */
	curve_learn(&c, 4, 1.1, 0.1);
	assert_true(curve_at(&c, log(4), &at) && near(at, 1.1, 1e-6));
	curve_learn(&c, 4, 50, 0.1); /* one that is far off moves it by little */
	assert_true(curve_at(&c, log(4), &at) && at < 1.2);
}

static void a_queue_is_flat(void **state)
{
	struct curve c = { 0 };
	double knee;

	(void)state;
	teach(&c, 4, 16, 10);
	teach(&c, 8, 16, 10);
	assert_false(curve_flat(&c, &knee));
	assert_true(near(curve_pays(&c), 1, 1e-6));
	teach(&c, 32, 16, 10);
	teach(&c, 64, 16, 10);
	assert_true(curve_flat(&c, &knee));
	assert_true(near(knee, 32, 1e-6));
	assert_true(curve_pays(&c) < 0.6);
}

static void it_moves_bends_and_forgets(void **state)
{
	struct curve c = { 0 };
	double low, high;

	(void)state;
	teach(&c, 4, 64, 5);
	teach(&c, 32, 64, 5);
	curve_shift(&c, 0.5);
	assert_true(curve_at(&c, log(4), &low) && near(low, 0.5, 1e-6));
	curve_bend(&c, log(4), 0, log(32), 1);
	assert_true(curve_at(&c, log(4), &low) && near(low, 0.5, 1e-6));
	assert_true(curve_at(&c, log(32), &high) && near(high, 1.5, 1e-6));
	curve_forget_above(&c, log(16));
	assert_false(curve_at(&c, log(32), &high));
	assert_true(curve_at(&c, log(4), &low));
	curve_clear(&c);
	assert_false(curve_at(&c, log(4), &low));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_nothing_at_first),
		cmocka_unit_test(speaks_between_what_it_knows),
		cmocka_unit_test(a_bin_begins_at_the_median),
		cmocka_unit_test(a_queue_is_flat),
		cmocka_unit_test(it_moves_bends_and_forgets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
