/* test_throttle.c: pauses that refusals ask for, told and untold, and the rate learnt from them
 * (contract 8.3: 429 and the like). In virtual time. */
#include "unit.h"

#include "upstream/throttle.h"

static void refuse(struct throttle *t, uint64_t sent_ms, int64_t wait_ms, unsigned others,
		   uint64_t now_ms)
{
	throttle_refused(t, &(struct throttle_sign){ sent_ms, wait_ms, others, true }, now_ms);
}

static void a_told_wait_is_kept(void **state)
{
	(void)state;
	struct throttle t = { 0 };
	throttle_sent(&t, 1000);
	refuse(&t, 1000, 3000, 0, 1010);
	assert_true(throttle_pauses(&t));
	assert_int_equal(throttle_due_ms(&t, 1010), 4010 + THROTTLE_MORE_MS);
	throttle_taken(&t, 500, 2000); /* what was sent before does not end it */
	assert_int_equal(throttle_due_ms(&t, 2000), 4010 + THROTTLE_MORE_MS);
	assert_true(throttle_due_ms(&t, 5000) <= 5000);
	throttle_sent(&t, 5000);
	throttle_taken(&t, 5000, 5100);
	assert_false(throttle_pauses(&t));
	assert_int_equal(t.rate, 0);
	refuse(&t, 5200, INT64_C(86400000), 0, 5300); /* a day is a minute */
	assert_true(throttle_due_ms(&t, 5300) <= 5300 + THROTTLE_WAIT_MOST_MS + THROTTLE_MORE_MS);
}

/* Told once, and then refused without a word: not again and again at once. */
static void an_untold_refusal_after_a_told_one_pauses(void **state)
{
	(void)state;
	struct throttle t = { 0 };
	refuse(&t, 900, 1000, 3, 1000);
	uint64_t now = throttle_due_ms(&t, 1000);
	throttle_sent(&t, now);
	throttle_sent(&t, now);
	refuse(&t, now, 0, 1, now + 10);
	refuse(&t, now, 0, 0, now + 10); /* of the same burst */
	assert_int_equal(throttle_due_ms(&t, now + 10), now + 10 + 1000 + THROTTLE_MORE_MS);
	now = throttle_due_ms(&t, now + 10);
	throttle_sent(&t, now);
	refuse(&t, now, 0, 0, now + 10);
	assert_int_equal(throttle_due_ms(&t, now + 10), now + 10 + 2000 + THROTTLE_MORE_MS);
}

/* One request, then after 1, 2, 4 … 60 s, until one is taken. */
static void untold_waits_double(void **state)
{
	(void)state;
	struct throttle t = { 0 };
	static const uint64_t waits_s[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
	uint64_t now = 1000;
	refuse(&t, 900, 0, 0, now);
	for (size_t i = 0; i < ARRAY_LEN(waits_s); i++) {
		uint64_t due = throttle_due_ms(&t, now);
		assert_int_equal(due, now + waits_s[i] * 1000 + THROTTLE_MORE_MS);
		assert_true(throttle_due_ms(&t, due) <= due);
		throttle_sent(&t, due);
		/* the others wait for what becomes of it */
		assert_true(throttle_due_ms(&t, due) > due);
		now = due + 10;
		refuse(&t, due, 0, 0, now);
	}
	uint64_t due = throttle_due_ms(&t, now);
	throttle_sent(&t, due);
	throttle_taken(&t, due, due + 5);
	assert_false(throttle_pauses(&t));
}

static void refusals_of_one_burst_are_one(void **state)
{
	(void)state;
	struct throttle t = { 0 };
	for (int i = 0; i < 64; i++)
		refuse(&t, 900, 0, 63 - (unsigned)i, 1000);
	assert_int_equal(throttle_due_ms(&t, 1000), 2000 + THROTTLE_MORE_MS);
}

/* A server with a bounded queue: a place is free as soon as one of the others is done. */
static void where_others_run_the_next_answer_ends_it(void **state)
{
	(void)state;
	struct throttle t = { 0 };
	refuse(&t, 900, 0, 12, 1000);
	throttle_taken(&t, 100, 1040);
	assert_false(throttle_pauses(&t));
	assert_true(throttle_due_ms(&t, 1040) <= 1040);
}

/* A place was free, and not for all that were refused: the next ones go one by one. */
static void after_it_each_answer_lets_one_through(void **state)
{
	(void)state;
	struct throttle t = { 0 };
	refuse(&t, 900, 0, 12, 1000);
	assert_true(throttle_is_full(&t));
	throttle_taken(&t, 100, 1040);
	assert_false(throttle_is_full(&t));
	throttle_sent(&t, 1040);
	assert_int_equal(throttle_due_ms(&t, 1040), 1040 + THROTTLE_STEP_MS);
	throttle_taken(&t, 110, 1100);
	throttle_taken(&t, 120, 1100);
	assert_true(throttle_due_ms(&t, 1100) <= 1100);
	throttle_sent(&t, 1100);
	assert_true(throttle_due_ms(&t, 1100) <= 1100);
	throttle_sent(&t, 1100);
	assert_true(throttle_due_ms(&t, 1100) > 1100);
	/* one more each second */
	throttle_tick(&t, 2039);
	assert_true(throttle_due_ms(&t, 2039) > 2039);
	throttle_tick(&t, 2040);
	assert_true(throttle_due_ms(&t, 2040) <= 2040);
	throttle_sent(&t, 2040);
	assert_int_equal(throttle_due_ms(&t, 2040), 2040 + THROTTLE_STEP_MS);
	/* it is refused: the next answer is waited for again */
	refuse(&t, 2040, 0, 12, 2045);
	throttle_tick(&t, 3042);
	assert_true(throttle_due_ms(&t, 2050) > 2050);
	throttle_taken(&t, 200, 3000);
	throttle_sent(&t, 3000);
	assert_true(throttle_due_ms(&t, 3000) > 3000);
	/* five seconds without a refusal */
	assert_true(throttle_due_ms(&t, 3000 + THROTTLE_STEPS_MS) <= 3000 + THROTTLE_STEPS_MS);
}

static void a_told_or_lone_refusal_is_no_full_queue(void **state)
{
	(void)state;
	struct throttle told = { 0 }, lone = { 0 };
	refuse(&told, 900, 3000, 12, 1000);
	assert_false(throttle_is_full(&told));
	refuse(&lone, 900, 0, 0, 1000);
	assert_false(throttle_is_full(&lone));
	assert_false(throttle_finds_out(&lone, 900));
	uint64_t due = throttle_due_ms(&lone, 1000);
	throttle_sent(&lone, due);
	assert_true(throttle_finds_out(&lone, due));
	throttle_taken(&lone, due, due + 10);
	/* all may go */
	throttle_sent(&lone, due + 10);
	assert_true(throttle_due_ms(&lone, due + 10) <= due + 10);
}

static void the_one_that_finds_out_may_take_long_or_vanish(void **state)
{
	(void)state;
	struct throttle t = { 0 };
	refuse(&t, 900, 0, 0, 1000);
	uint64_t due = throttle_due_ms(&t, 1000);
	throttle_sent(&t, due);
	throttle_gone(&t, due); /* cancelled */
	assert_true(throttle_due_ms(&t, due) <= due);
	throttle_sent(&t, due);
	/* refusals come at once: what is out for two seconds was taken */
	assert_true(throttle_due_ms(&t, due + 1999) > due + 1999);
	assert_true(throttle_due_ms(&t, due + 2000) <= due + 2000);
	throttle_tick(&t, due + 1999);
	assert_true(throttle_pauses(&t));
	throttle_tick(&t, due + 2000);
	assert_false(throttle_pauses(&t));
}

/* U7: an account of 20 requests a minute that says nothing but no: 60 lines. */
static void a_rate_is_learnt_and_kept_to(void **state)
{
	(void)state;
	struct throttle t = { 0 };
	unsigned taken = 0, refused = 0, in_minute = 0;
	uint64_t minute = 0, now = 0;
	while (taken < 60 && now < 600000) {
		uint64_t due = throttle_due_ms(&t, now);
		if (due > now) {
			now = due;
			continue;
		}
		if (now / 60000 != minute) {
			minute = now / 60000;
			in_minute = 0;
		}
		throttle_sent(&t, now);
		if (in_minute < 20) {
			in_minute++;
			taken++;
			throttle_taken(&t, now, now + 5);
		} else {
			refused++;
			refuse(&t, now, 0, 0, now + 5);
		}
		now += 10;
	}
	assert_int_equal(taken, 60);
	assert_in_range(t.rate, 14, 41);
	assert_true(refused <= 15);    /* not 2 in 3 */
	assert_true(now <= 5 * 60000); /* 3 minutes are the least */
}

/* An outage that is told by 503, or begins before anything was taken, is no rate. */
static void a_pause_alone_is_no_rate(void **state)
{
	(void)state;
	struct throttle busy = { 0 }, cold = { 0 };
	for (uint64_t now = 1000; now < 1500; now += 100)
		throttle_taken(&busy, now, now);
	throttle_refused(&busy, &(struct throttle_sign){ .sent_ms = 1500 }, 1600);
	throttle_refused(&cold, &(struct throttle_sign){ .sent_ms = 1500, .rate = true }, 1600);
	throttle_sent(&busy, 20000);
	throttle_taken(&busy, 20000, 20100);
	throttle_sent(&cold, 20000);
	throttle_taken(&cold, 20000, 20100);
	assert_int_equal(busy.rate + cold.rate, 0);
}

static void a_rate_rises_and_is_forgotten(void **state)
{
	(void)state;
	struct throttle t = { .rate = 20, .rate_at_ms = 1 };
	uint64_t now = 1000;
	for (; now < 70000; now += 3000)
		throttle_taken(&t, now, now);
	assert_int_equal(t.rate, 40);
	for (; now < 300000; now += 3000) /* no more is sent: it limits nothing */
		throttle_taken(&t, now, now);
	assert_int_equal(t.rate, 0);
	struct throttle idle = { .rate = 20, .rate_at_ms = 1 };
	throttle_taken(&idle, 100000, 100000);
	assert_int_equal(idle.rate, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_told_wait_is_kept),
		cmocka_unit_test(an_untold_refusal_after_a_told_one_pauses),
		cmocka_unit_test(untold_waits_double),
		cmocka_unit_test(refusals_of_one_burst_are_one),
		cmocka_unit_test(where_others_run_the_next_answer_ends_it),
		cmocka_unit_test(after_it_each_answer_lets_one_through),
		cmocka_unit_test(a_told_or_lone_refusal_is_no_full_queue),
		cmocka_unit_test(the_one_that_finds_out_may_take_long_or_vanish),
		cmocka_unit_test(a_rate_is_learnt_and_kept_to),
		cmocka_unit_test(a_pause_alone_is_no_rate),
		cmocka_unit_test(a_rate_rises_and_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
