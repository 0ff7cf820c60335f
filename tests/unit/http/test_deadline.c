/* Clients that send slowly, in virtual time (row E11). */
#include "unit.h"

#include "http/deadline.h"

static const struct deadline_limits limits = { .head_ms = 30000,
					       .body_ms = 60000,
					       .body_bytes_min = 61440 };

/* Looks every 250 ms at a client that sends `per_s` bytes a second, for `s` seconds; returns when
 * it was cut, 0: never. */
static uint64_t cut_after_ms(const struct deadline_limits *l, enum awaited awaited, uint64_t per_s,
			     uint64_t s)
{
	struct deadline d = { 0 };

	for (uint64_t ms = 0; ms <= s * 1000; ms += 250) {
		struct deadline_seen seen = { awaited, 1, per_s * ms / 1000 };
		if (deadline_passed(&d, l, seen, 1000000 + ms))
			return ms;
	}
	return 0;
}

static void heads(void **state)
{
	static const struct deadline_limits none = { 0 };

	(void)state;
	/* however fast: a head is short */
	assert_int_equal(cut_after_ms(&limits, AWAITS_HEAD, 1, 100), 30000);
	assert_int_equal(cut_after_ms(&limits, AWAITS_HEAD, 10000, 100), 30000);
	assert_int_equal(cut_after_ms(&limits, AWAITS_HEAD, 1, 29), 0);
	assert_int_equal(cut_after_ms(&none, AWAITS_HEAD, 0, 86400), 0);
	assert_int_equal(cut_after_ms(&limits, AWAITS_NOTHING, 0, 86400), 0);
	assert_int_equal(cut_after_ms(&none, AWAITS_CLOSE, 1000000, 100), DEADLINE_CLOSE_MS);
}

static void bodies(void **state)
{
	static const struct deadline_limits none = { .body_ms = 60000 };

	(void)state;
	assert_int_equal(cut_after_ms(&limits, AWAITS_BODY, 1, 100), 60000);
	assert_int_equal(cut_after_ms(&limits, AWAITS_BODY, 1000, 100), 60000);
	assert_int_equal(cut_after_ms(&limits, AWAITS_BODY, 1024, 86400), 0);
	assert_int_equal(cut_after_ms(&none, AWAITS_BODY, 0, 86400), 0);
}

static void a_bad_link_lives(void **state)
{
	struct deadline d = { 0 };
	uint64_t bytes = 0;

	(void)state;
	/* nothing for 50 seconds, then 2 MB in ten, over and over */
	for (uint64_t ms = 0; ms < 3600000; ms += 250) {
		bytes += ms % 60000 >= 50000 ? 50000 : 0;
		assert_false(deadline_passed(&d, &limits,
					     (struct deadline_seen){ AWAITS_BODY, 1, bytes }, ms));
	}
}

/* Each request has its own time, and what the server itself holds up does not count. */
static void new_requests_and_renewals(void **state)
{
	struct deadline d = { 0 };

	(void)state;
	for (uint64_t request = 1; request < 100; request++)
		for (uint64_t ms = 0; ms < 29000; ms += 250)
			assert_false(deadline_passed(
				&d, &limits, (struct deadline_seen){ AWAITS_HEAD, request, 0 },
				request * 29000 + ms));
	d = (struct deadline){ 0 };
	struct deadline_seen head = { AWAITS_HEAD, 1, 0 }, nothing = { AWAITS_NOTHING, 1, 0 };
	assert_false(deadline_passed(&d, &limits, head, 0));
	assert_false(deadline_passed(&d, &limits, nothing, 20000));
	assert_false(deadline_passed(&d, &limits, head, 40000));
	assert_false(deadline_passed(&d, &limits, head, 69000));
	assert_true(deadline_passed(&d, &limits, head, 70000));
	deadline_renew(&d, 70000);
	assert_false(deadline_passed(&d, &limits, head, 99000));
	assert_true(deadline_passed(&d, &limits, head, 100000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads),
		cmocka_unit_test(bodies),
		cmocka_unit_test(a_bad_link_lives),
		cmocka_unit_test(new_requests_and_renewals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
