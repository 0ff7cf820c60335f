/* What a line takes: by its size at first, by what lines like it took later. */
#include "unit.h"

#include "schedule/estimate.h"

static void tokens_come_from_the_size_of_what_is_left(void **state)
{
	struct schedule_batch b = { .rest_lines = 10, .rest_bytes = 4000 };

	(void)state;
	assert_float_equal(estimate_input_tokens(&b), 100, 1e-9);
	b.rest_lines = 0;
	assert_float_equal(estimate_input_tokens(&b), 0, 1e-9);
}

static void the_first_line_stands_for_all_and_later_ones_move_it_less(void **state)
{
	struct schedule s = { 0 };
	struct schedule_batch b = { .rest_lines = 10, .rest_bytes = 4000 };
	struct schedule_line l = { .batch = &b, .tokens = 150, .input_tokens = 100 };

	(void)state;
	b.ended = s.ended = 1;
	estimate_learn(&s, &l, 1000, 300);
	assert_float_equal(b.line_ms, 1000, 1e-9);
	assert_float_equal(s.output_tokens, 200, 1e-9);
	b.ended = s.ended = 2;
	estimate_learn(&s, &l, 2000, 500);
	assert_float_equal(b.line_ms, 1500, 1e-9);
	assert_float_equal(estimate_output_tokens(&s, &b), 300, 1e-9);
}

static void what_is_not_known_teaches_nothing_but_the_charge(void **state)
{
	struct schedule s = { .ended = 1 };
	struct schedule_batch b = { .ended = 1 };
	struct schedule_line l = { .batch = &b, .tokens = 150, .input_tokens = 100 };

	(void)state;
	estimate_learn(&s, &l, 0, 0);
	assert_float_equal(b.line_ms, 0, 1e-9);
	assert_float_equal(b.output_tokens, 0, 1e-9);
	assert_float_equal(s.line_tokens, 150, 1e-9);
}

static void one_enormous_line_counts_as_sixteen(void **state)
{
	struct schedule s = { .ended = 2, .line_tokens = 100 };
	struct schedule_batch b = { .ended = 2 };
	struct schedule_line l = { .batch = &b, .tokens = 100, .input_tokens = 50 };

	(void)state;
	estimate_learn(&s, &l, 0, 1e6);
	assert_float_equal(s.line_tokens, (100 + 1600) / 2.0, 1e-9);
}

static void a_new_batch_borrows_the_models_times_by_tokens(void **state)
{
	struct schedule s = { .line_ms = 1000, .line_tokens = 200, .output_tokens = 100 };
	struct schedule_batch b = { .rest_lines = 1, .rest_bytes = 1200 };

	(void)state;
	assert_float_equal(estimate_line_ms(&s, &b), 2000, 1e-9); /* 300 + 100 of 200 tokens */
	b.ended = 8;                                              /* as many as are borrowed */
	b.line_ms = 1000;
	assert_float_equal(estimate_line_ms(&s, &b), 1500, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_come_from_the_size_of_what_is_left),
		cmocka_unit_test(the_first_line_stands_for_all_and_later_ones_move_it_less),
		cmocka_unit_test(what_is_not_known_teaches_nothing_but_the_charge),
		cmocka_unit_test(one_enormous_line_counts_as_sixteen),
		cmocka_unit_test(a_new_batch_borrows_the_models_times_by_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
