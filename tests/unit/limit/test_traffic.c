/* test_traffic.c: what is counted of what is in flight, and how often online requests come. */
#include "unit.h"

#include "limit/common.h"
#include "limit/traffic.h"

#define MS (SECOND / 1000)

/* Online requests, each gone at once, so many a second. */
static uint64_t come(struct traffic *t, unsigned per_s, unsigned seconds, uint64_t now_us)
{
	for (unsigned i = 0; i < per_s * seconds; i++) {
		now_us += SECOND / per_s;
		traffic_advance(t, now_us);
		traffic_online_sent(t, 1, now_us);
		traffic_online_gone(t, 1, now_us);
	}
	return now_us;
}

static void what_was_in_flight_is_known_for_a_while(void **state)
{
	struct traffic t;
	double low, high;

	(void)state;
	traffic_init(&t, SECOND);
	traffic_advance(&t, SECOND);
	traffic_batch_sent(&t, 4);
	traffic_advance(&t, 2 * SECOND);
	traffic_online_sent(&t, 2, 2 * SECOND);
	traffic_advance(&t, 2 * SECOND + 400 * MS);
	traffic_batch_gone(&t, 4);
	traffic_own(&t, 2 * SECOND + 350 * MS, &low, &high);
	assert_true(low == 2 && high == 6);
	traffic_advance(&t, 3 * SECOND);
	traffic_own(&t, 2 * SECOND + 500 * MS, &low, &high);
	assert_true(low == 2 && high == 2);
	assert_true(t.area == 4.0 * SECOND + 6.0 * 400 * MS + 2.0 * 600 * MS);
}

static void the_most_online_requests_a_second_are_remembered(void **state)
{
	struct traffic t;
	uint64_t now_us = SECOND;

	(void)state;
	traffic_init(&t, now_us);
	now_us = come(&t, 1, 30, now_us);
	assert_true(t.rate_most * SECOND > 0.8 && t.rate_most * SECOND < 1.2);
	now_us = come(&t, 15, 30, now_us);
	assert_true(t.rate_most * SECOND > 13 && t.rate_most * SECOND < 16);
	now_us = come(&t, 1, 9 * 60, now_us);
	assert_true(t.rate_most * SECOND > 13);
	come(&t, 1, 2 * 60, now_us);
	assert_true(t.rate_most * SECOND > 0.8 && t.rate_most * SECOND < 1.2);
}

static void online_requests_are_lately_for_ten_minutes(void **state)
{
	struct traffic t;
	uint64_t now_us = SECOND;

	(void)state;
	traffic_init(&t, now_us);
	assert_false(traffic_online_lately(&t, now_us));
	now_us = come(&t, 1, 1, now_us);
	assert_true(traffic_online_lately(&t, now_us + 9 * MINUTE));
	assert_false(traffic_online_lately(&t, now_us + 11 * MINUTE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_in_flight_is_known_for_a_while),
		cmocka_unit_test(the_most_online_requests_a_second_are_remembered),
		cmocka_unit_test(online_requests_are_lately_for_ten_minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
