/* When lines of a batch may be sent (contract 11.1, not_before and hours), also where clocks are put
 * forward or back. */
#include "unit.h"

#include "base/zone.h"
#include "batch/opening.h"

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)

static bool opening(const char *hours, int64_t not_before, struct opening *ret)
{
	struct batch_options o = { .not_before = not_before };
	struct error err;
	bool known;

	snprintf(o.hours, sizeof(o.hours), "%s", hours);
	assert_true(opening_read(&o, ret, &known, &err));
	return known;
}

static void not_before_opens_once(void **state)
{
	struct opening o;

	(void)state;
	assert_true(opening("", 1000, &o));
	assert_true(opening_closes(&o));
	assert_false(opening_is_open(&o, 999));
	assert_true(opening_is_open(&o, 1000));
	assert_int_equal(opening_next(&o, 10), 1000);
	assert_int_equal(opening_next(&o, 2000), 2000);
	assert_int_equal(opening_after(&o, 10, 50), 1050);
	assert_int_equal(opening_between(&o, 10, 900), 0);
	assert_int_equal(opening_between(&o, 10, 1100), 100);
	assert_true(opening("", 0, &o));
	assert_false(opening_closes(&o));
	assert_int_equal(opening_between(&o, 10, 30), 20);
}

static void hours_of_a_day_and_over_midnight(void **state)
{
	struct opening day, night;
	const int64_t noon = 1767268800; /* 2026-01-01T12:00:00Z */

	(void)state;
	if (!opening("09:00-17:30 Etc/UTC", 0, &day) || !opening("22:00-06:00 Etc/UTC", 0, &night))
		skip();
	assert_true(opening_is_open(&day, noon) && !opening_is_open(&night, noon));
	assert_int_equal(opening_next(&night, noon), noon + 10 * HOUR);
	assert_true(opening_is_open(&night, noon + 10 * HOUR));
	assert_true(opening_is_open(&night, noon + 18 * HOUR - 1));
	assert_false(opening_is_open(&night, noon + 18 * HOUR));
	assert_false(opening_is_open(&day, noon + 5 * HOUR + 1800));
	/* three nights of eight hours, and an hour */
	assert_int_equal(opening_after(&night, noon, 25 * HOUR), noon + 3 * DAY + 11 * HOUR);
	assert_int_equal(opening_between(&night, noon, noon + 3 * DAY + 11 * HOUR), 25 * HOUR);
	assert_int_equal(opening_after(&night, noon, 0), noon + 10 * HOUR);
	assert_true(opening_after(&night, noon, INT64_C(1) << 60) == OPENING_NEVER);
	night.not_before = noon + DAY + 12 * HOUR; /* in the middle of a night */
	assert_int_equal(opening_next(&night, noon), noon + DAY + 12 * HOUR);
	assert_int_equal(opening_after(&night, noon, 7 * HOUR), noon + 2 * DAY + 11 * HOUR);
}

/* Berlin: at 2026-03-29T01:00:00Z 02:00 becomes 03:00, at 2026-10-25T01:00:00Z 03:00 becomes 02:00. */
static void clocks_are_put_forward_and_back(void **state)
{
	const int64_t spring = 1774746000, autumn = 1792890000;
	struct opening o;

	(void)state;
	if (!opening("22:00-06:00 Europe/Berlin", 0, &o))
		skip();
	assert_int_equal(opening_between(&o, spring - 12 * HOUR, spring + 12 * HOUR), 7 * HOUR);
	assert_int_equal(opening_between(&o, autumn - 12 * HOUR, autumn + 12 * HOUR), 9 * HOUR);
	assert_int_equal(opening_next(&o, spring + 5 * HOUR), spring + 19 * HOUR); /* 22:00 CEST */
	/* hours that begin, end, or lie in the hour that there is not */
	assert_true(opening("02:30-05:00 Europe/Berlin", 0, &o));
	assert_int_equal(opening_next(&o, spring - HOUR), spring);
	assert_int_equal(opening_between(&o, spring - HOUR, spring + 12 * HOUR), 2 * HOUR);
	assert_true(opening("01:00-02:30 Europe/Berlin", 0, &o));
	assert_int_equal(opening_between(&o, spring - 12 * HOUR, spring + 12 * HOUR), HOUR);
	assert_false(opening_is_open(&o, spring));
	assert_true(opening("02:10-02:50 Europe/Berlin", 0, &o));
	assert_int_equal(opening_between(&o, spring - 12 * HOUR, spring + 11 * HOUR), 0);
	assert_int_equal(opening_next(&o, spring - HOUR), spring + 23 * HOUR + 600);
	/* and in the hour that there is twice: open twice */
	assert_int_equal(opening_between(&o, autumn - 12 * HOUR, autumn + 12 * HOUR), 2 * 2400);
	assert_true(opening_is_open(&o, autumn - HOUR + 600) && opening_is_open(&o, autumn + 600));
	assert_false(opening_is_open(&o, autumn + 100));
}

static uint64_t seed = 7;

static uint32_t any(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(((seed >> 33) * below) >> 31);
}

/* Second by second is another way to the same. */
static void minutes_add_up(void **state)
{
	static const char *const zones[] = { "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata",
					     "America/St_Johns" };

	(void)state;
	for (int round = 0; round < 200; round++) {
		char text[HOURS_BYTES];
		struct opening o;
		unsigned from = any(1440), to = (from + 1 + any(1438)) % 1440;
		snprintf(text, sizeof(text), "%02u:%02u-%02u:%02u %s", from / 60, from % 60,
			 to / 60, to % 60, zones[any(ARRAY_LEN(zones))]);
		if (!opening(text, 0, &o))
			skip();
		int64_t begin = 1767225600 + (int64_t)any(366) * DAY + any(86400) / 60 * 60;
		int64_t end = begin + (int64_t)any(40) * DAY + any(1440) * 60, sum = 0;
		for (int64_t at = begin; at < end; at += 60)
			sum += opening_is_open(&o, at) ? 60 : 0;
		bool exact = end - begin < 21 * DAY;
		int64_t got = opening_between(&o, begin, end);
		if (exact ? got != sum : llabs(got - sum) > 4 * HOUR)
			fail_msg("%s from %lld to %lld: %lld, not %lld", text, (long long)begin,
				 (long long)end, (long long)got, (long long)sum);
		if (!exact || sum == 0)
			continue;
		int64_t after = opening_after(&o, begin, sum);
		assert_true(after <= end && opening_between(&o, begin, after) == sum);
		assert_int_equal(opening_between(&o, begin, after - 60), sum - 60);
	}
}

/* Asked second by second, and now and then further on or back, as a clock that is set goes. */
static void what_is_remembered_is_the_same(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		char text[HOURS_BYTES] = "";
		struct opening_memo memo = { 0 };
		struct opening o;
		unsigned from = any(1440), to = (from + 1 + any(1438)) % 1440;
		int64_t at = 1767225600 + (int64_t)any(366) * DAY + any(86400);
		if (any(8) > 0)
			snprintf(text, sizeof(text), "%02u:%02u-%02u:%02u Europe/Berlin", from / 60,
				 from % 60, to / 60, to % 60);
		if (!opening(text, any(2) * (at + any(200000)), &o))
			skip();
		uint32_t days15_s = 15 * 60 * ((to + 1440 - from) % 1440); /* of its hours */
		int64_t window_s = any(20 * 86400), open_s = any(days15_s);
		for (int n = 0; n < 500; n++) {
			int64_t end = at + (any(3) > 0 ? window_s : any(86400));
			int64_t some_s = any(2) > 0 ? open_s + any(60) : any(days15_s);
			bool is_open = opening_is_open(&o, at);
			assert_int_equal(opening_memo_is_open(&memo, &o, at), is_open);
			assert_true(opening_memo_next(&memo, &o, at) == opening_next(&o, at));
			assert_true(opening_memo_between(&memo, &o, at, end) ==
				    opening_between(&o, at, end));
			assert_true(opening_memo_after(&memo, &o, at, some_s) ==
				    opening_after(&o, at, some_s));
			at += any(50) > 0 ? any(120) : (int64_t)any(100000) - 20000;
			open_s -= open_s > 0 && is_open;
		}
	}
}

/* Until the hours change next no zone is looked at: as if it were another's by now. */
static void until_the_next_change_nothing_is_looked_up(void **state)
{
	struct opening_memo memo = { 0 };
	struct opening o, other;
	const int64_t noon = 1767268800; /* 2026-01-01T12:00:00Z */
	const int64_t end = noon + 5 * DAY;

	(void)state;
	if (!opening("09:00-17:00 Etc/UTC", 0, &o) ||
	    !opening("00:00-00:01 Asia/Kolkata", 0, &other))
		skip();
	assert_true(opening_memo_is_open(&memo, &o, noon));
	assert_int_equal(opening_memo_between(&memo, &o, noon, end), 40 * HOUR);
	assert_int_equal(opening_memo_after(&memo, &o, noon, 8 * HOUR), noon + DAY);
	for (int64_t at = noon; at < noon + 5 * HOUR; at++) {
		assert_true(opening_memo_is_open(&memo, &other, at));
		assert_int_equal(opening_memo_next(&memo, &other, at), at);
		assert_int_equal(opening_memo_between(&memo, &other, at, end),
				 40 * HOUR - (at - noon));
		assert_int_equal(opening_memo_after(&memo, &other, at, 8 * HOUR), at + 24 * HOUR);
	}
	assert_false(opening_memo_is_open(&memo, &other, noon + 5 * HOUR));
}

static void zones_that_there_are_not(void **state)
{
	struct opening o;

	(void)state;
	assert_false(opening("22:00-06:00 Europe/Atlantis", 0, &o));
	assert_true(opening("22:00-06:00", 0, &o)); /* the server's */
	assert_null(o.zone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_before_opens_once),
		cmocka_unit_test(hours_of_a_day_and_over_midnight),
		cmocka_unit_test(clocks_are_put_forward_and_back),
		cmocka_unit_test(minutes_add_up),
		cmocka_unit_test(what_is_remembered_is_the_same),
		cmocka_unit_test(until_the_next_change_nothing_is_looked_up),
		cmocka_unit_test(zones_that_there_are_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
