/* test_samples.c: statistics that a few outliers do not move. */
#include "unit.h"

#include <math.h>

#include "limit/samples.h"

static bool near(double a, double b, double by)
{
	return fabs(a - b) <= by;
}

static void one_in_fifty_moves_the_mean_little(void **state)
{
	struct sample s = { 0 };
	double error;

	(void)state;
	for (int i = 0; i < 200; i++)
		sample_add(&s, i % 50 == 0 ? log(60) : 0);
	assert_true(near(sample_robust_mean(&s, &error), 0.5 / 50, 1e-6));
	assert_true(error > 0 && error < 0.01);
}

static void the_newest_are_kept(void **state)
{
	struct sample s = { 0 };
	double error;

	(void)state;
	for (int i = 0; i < 2 * SAMPLES; i++)
		sample_add(&s, i < SAMPLES ? 5 : 1);
	assert_true(near(sample_robust_mean(&s, &error), 1, 1e-6));
	assert_true(near(error, 0, 1e-6));
}

static void recent_values_in_order(void **state)
{
	struct recent r = { 0 };

	(void)state;
	recent_add(&r, 3);
	recent_add(&r, 1);
	recent_add(&r, 2);
	assert_true(near(recent_median(&r), 2, 1e-6));
	for (int i = 20; i > 20 - RECENT; i--)
		recent_add(&r, i);
	assert_true(near(recent_least(&r, 0), 20 - RECENT + 1, 1e-6));
	assert_true(near(recent_least(&r, 3), 20 - RECENT + 4, 1e-6));
}

/* Output is three times as dear as it is counted: corrected, answers of all kinds take the same. */
static void the_mix_is_taken_out(void **state)
{
	struct mix m = { 0 };
	double least = INFINITY, most = -INFINITY;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		double share = 0.2 + 0.6 * ((i * 7) % 10) / 10.0;
		double corrected = mix_corrected(&m, 1.5 * share, share * 100, 100);
		if (i > 1000) {
			least = fmin(least, corrected);
			most = fmax(most, corrected);
		}
	}
	assert_true(most - least < 0.15);                       /* 0.81 as they are */
	assert_true(near(mix_corrected(&m, 7, 0, 0), 7, 1e-9)); /* its work is not known */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_in_fifty_moves_the_mean_little),
		cmocka_unit_test(the_newest_are_kept),
		cmocka_unit_test(recent_values_in_order),
		cmocka_unit_test(the_mix_is_taken_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
