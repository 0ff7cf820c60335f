/* test_first.c: an online answer that is late tells how many slots there are. */
#include "unit.h"

#include <math.h>

#include "limit/first.h"

struct world {
	struct first f;
	uint64_t now_us, ended;
};

/* Sent with so many in flight; its answer begins when `ended` have. */
static unsigned answer(struct world *w, double in_flight, unsigned ended)
{
	uint64_t sent_us = w->now_us;

	first_sent(&w->f, in_flight, w->ended, sent_us + 3);
	w->ended += ended;
	w->now_us += 1000;
	return first_came(&w->f, sent_us, w->ended, 0, w->now_us);
}

/* An engine of 64 slots, first come, first served; three requests end in two steps. */
static unsigned came(struct world *w, unsigned in_flight)
{
	return answer(w, in_flight, in_flight > 64 ? 3 + in_flight - 64 : 3);
}

static void what_is_ahead_of_one_that_waits_is_beyond_the_slots(void **state)
{
	struct world w = { .now_us = 1 };

	(void)state;
	for (unsigned n = 10; n <= 60; n += 10)
		assert_int_equal(came(&w, n), 0);
	assert_int_equal(came(&w, 100), 1);
	assert_int_equal(came(&w, 120), 2);
	assert_true(fabs(w.f.slots - 64) < 1e-9);
}

static void a_long_prompt_says_little(void **state)
{
	struct world w = { .now_us = 1 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(came(&w, 60), 0);
	assert_int_equal(answer(&w, 60, 30), 1); /* 27 ended while its prompt was read */
	assert_int_equal(came(&w, 60), 0);
	assert_int_equal(answer(&w, 60, 30), 1);
	assert_int_equal(answer(&w, 60, 13), 2); /* the least late of them counts */
	assert_true(fabs(w.f.slots - 50) < 1e-9);
}

static void a_step_more_is_not_late(void **state)
{
	struct world w = { .now_us = 1 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(came(&w, 60), 0);
	assert_int_equal(answer(&w, 60, 7), 0);
}

/* Those of one moment wait for each other's prompts: of these two count. */
static void those_that_come_together_are_no_proof(void **state)
{
	struct world w = { .now_us = 1 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(came(&w, 60), 0);
	for (unsigned i = 0; i < 4; i++)
		first_sent(&w.f, 60, w.ended, w.now_us + i);
	w.ended += 20;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(first_came(&w.f, w.now_us + i, w.ended, 64, w.now_us + 100),
				 i == 0 ? 1 : 2);
	w.now_us += 200;
	assert_int_equal(answer(&w, 60, 20), 3);
}

static void with_little_in_flight_nothing_is_told(void **state)
{
	struct world w = { .now_us = 1 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(came(&w, 60), 0);
	first_sent(&w.f, 40, w.ended, w.now_us);
	assert_int_equal(first_came(&w.f, w.now_us, w.ended + 30, 64, w.now_us), 0);
}

static void one_that_was_sent_long_ago_is_not_known(void **state)
{
	struct world w = { .now_us = 1 };

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(came(&w, 60), 0);
	assert_int_equal(first_came(&w.f, 1, w.ended, 64, w.now_us), 0);
	assert_int_equal(first_came(&w.f, w.now_us, w.ended, 64, w.now_us),
			 0); /* nor one that was not */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_ahead_of_one_that_waits_is_beyond_the_slots),
		cmocka_unit_test(a_long_prompt_says_little),
		cmocka_unit_test(a_step_more_is_not_late),
		cmocka_unit_test(those_that_come_together_are_no_proof),
		cmocka_unit_test(with_little_in_flight_nothing_is_told),
		cmocka_unit_test(one_that_was_sent_long_ago_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
