/* When a delivery is tried again (12): growing waits with jitter, up to 72 hours. */
#include "unit.h"

#include "webhook/attempts.h"

static void waits_grow_and_vary(void **state)
{
	static const int64_t about[] = { 5, 30, 120, 600, 1800, 3600, 10800, 21600, 43200, 43200 };

	(void)state;
	for (unsigned n = 1; n <= 10; n++) {
		int64_t least = INT64_MAX, most = 0;
		for (uint32_t random = 0; random < 40000; random++) {
			int64_t wait_s = attempts_wait_s(n, random);
			least = wait_s < least ? wait_s : least;
			most = wait_s > most ? wait_s : most;
		}
		assert_int_equal(least, about[n - 1] - about[n - 1] / 5);
		assert_int_equal(most, least + 2 * about[n - 1] / 5);
		assert_true(most <= ATTEMPTS_WAIT_MAX_S);
	}
	assert_int_equal(attempts_wait_s(0, 0), attempts_wait_s(1, 0));
	assert_int_equal(attempts_wait_s(UINT64_MAX, 0), attempts_wait_s(9, 0));
}

/* The last attempt is at the end of the 72 hours. */
static void it_ends_after_72_hours(void **state)
{
	int64_t began_at = 1750000000, now = began_at;
	unsigned attempts = 1;

	(void)state;
	for (int64_t next; (next = attempts_next(began_at, attempts, now, attempts * 7919)) != 0;) {
		assert_true(next > now);
		now = next;
		attempts++;
	}
	assert_int_equal(now, began_at + 72 * 3600);
	assert_in_range(attempts, 13, 17);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_grow_and_vary),
		cmocka_unit_test(it_ends_after_72_hours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
