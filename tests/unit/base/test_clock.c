/* Waits end by the monotonic clock, neither early nor at the wall clock's word. */
#include "unit.h"

#include <pthread.h>

#include "base/clock.h"

static uint64_t milliseconds(struct timespec at)
{
	assert_in_range(at.tv_nsec, 0, 999999999);
	return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static void an_end_is_as_far_away_as_asked(void **state)
{
	(void)state;
	for (uint64_t ms = 0; ms < 3000; ms += 250) {
		uint64_t before_ms = clock_ms(), end_ms = milliseconds(clock_after_ms(ms));

		assert_in_range(end_ms, before_ms + ms, clock_ms() + ms);
	}
}

static void an_instant_is_split_into_seconds_and_the_rest(void **state)
{
	struct timespec at = clock_at_ms(12345);

	(void)state;
	assert_int_equal(at.tv_sec, 12);
	assert_int_equal(at.tv_nsec, 345000000);
}

static void a_condition_variable_waits_by_that_clock(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t never;
	uint64_t began_ms = clock_ms();
	struct timespec end = clock_after_ms(30);

	(void)state;
	clock_cond_init(&never);
	pthread_mutex_lock(&lock);
	/* By the wall clock this end passed decades ago: it would return at once. */
	while (pthread_cond_timedwait(&never, &lock, &end) == 0)
		;
	pthread_mutex_unlock(&lock);
	assert_in_range(clock_ms() - began_ms, 29, 20000);
	pthread_cond_destroy(&never);
}

static void what_is_due_is_waited_for_a_minute_at_most(void **state)
{
	(void)state;
	assert_int_equal(clock_wait_ms(UINT64_MAX, 5), -1);
	assert_int_equal(clock_wait_ms(4, 5), 0);
	assert_int_equal(clock_wait_ms(5, 5), 0);
	assert_int_equal(clock_wait_ms(6, 5), 1);
	assert_int_equal(clock_wait_ms(60005, 5), 60000);
	assert_int_equal(clock_wait_ms(60006, 5), 60000);
	assert_int_equal(clock_wait_ms(UINT64_MAX - 1, 5), 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_as_far_away_as_asked),
		cmocka_unit_test(an_instant_is_split_into_seconds_and_the_rest),
		cmocka_unit_test(a_condition_variable_waits_by_that_clock),
		cmocka_unit_test(what_is_due_is_waited_for_a_minute_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
