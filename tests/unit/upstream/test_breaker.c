/* test_breaker.c: when a server counts as down or refusing, and when it is probed (contract
 * 8.3). */
#include "unit.h"

#include "upstream/breaker.h"

static const struct breaker_sign alone = { .sent_ms = 1, .alone = true, .line_new = true };
static const struct breaker_sign beside_others = { .sent_ms = 1, .line_new = true };

static void one_fault_beside_nothing_opens_it(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	bool probe;
	assert_int_equal(breaker_fault(&b, &alone, 1000), BREAKER_OPENED);
	assert_int_equal(b.state, BREAKER_DOWN);
	assert_int_equal(breaker_due_ms(&b, 0, 1000, &probe), 2000);
	assert_true(probe);
	assert_true(breaker_due_ms(&b, 1, 3000, &probe) == UINT64_MAX); /* one is out */
}

static void beside_others_it_takes_three_in_a_row(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	assert_int_equal(breaker_fault(&b, &beside_others, 10), BREAKER_NO_CHANGE);
	assert_int_equal(breaker_fault(&b, &beside_others, 11), BREAKER_NO_CHANGE);
	assert_int_equal(breaker_well(&b, 5, 12), BREAKER_NO_CHANGE); /* a good one between them */
	assert_int_equal(breaker_fault(&b, &beside_others, 13), BREAKER_NO_CHANGE);
	assert_int_equal(breaker_fault(&b, &beside_others, 14), BREAKER_NO_CHANGE);
	assert_int_equal(breaker_fault(&b, &beside_others, 15), BREAKER_OPENED);
	struct breaker sure = { 0 };
	struct breaker_sign s = beside_others;
	s.sure = true; /* it cannot be reached */
	assert_int_equal(breaker_fault(&sure, &s, 10), BREAKER_OPENED);
}

/* Thirty minutes of outage: a probe a second in the first minute, then fewer, at last one in 30
 * s. */
static void probes_become_rare(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	bool probe;
	unsigned first_minute = 0, all = 0;
	uint64_t now = 1000, last_gap = 0, before = 1000;
	(void)breaker_fault(&b, &alone, now);
	while ((now = breaker_due_ms(&b, 0, now, &probe)) < 1000 + 30 * 60 * 1000) {
		assert_true(now - before >= 1000);
		assert_true(now - before <= 30000);
		last_gap = now - before;
		before = now;
		all++;
		first_minute += now <= 61000;
		struct breaker_sign s = { .sent_ms = now, .alone = true };
		assert_int_equal(breaker_fault(&b, &s, now), BREAKER_NO_CHANGE);
	}
	assert_in_range(first_minute, 59, 61);
	assert_in_range(all, 59 + 55, 61 + 65);
	assert_int_equal(last_gap, 30000);
	assert_int_equal(b.trips, 1);
	assert_int_equal(breaker_well(&b, now, now + 5), BREAKER_CAME_BACK);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void hundreds_that_break_together_do_not_put_the_probe_off(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	bool probe;
	(void)breaker_fault(&b, &alone, 1000);
	for (int i = 0; i < 300; i++)
		(void)breaker_fault(&b, &beside_others, 1500);
	assert_int_equal(breaker_due_ms(&b, 0, 1500, &probe), 2000);
}

static void a_late_answer_does_not_open_what_cannot_be_reached(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	struct breaker_sign s = alone;
	s.sure = true;
	(void)breaker_fault(&b, &s, 1000);
	assert_int_equal(breaker_well(&b, 900, 1500), BREAKER_NO_CHANGE);
	assert_int_equal(b.state, BREAKER_DOWN);
	struct breaker faulty = { 0 }; /* but what answers 500 and then 200 is well */
	(void)breaker_fault(&faulty, &alone, 1000);
	assert_int_equal(breaker_well(&faulty, 900, 1500), BREAKER_CAME_BACK);
}

static void who_refuses_us_is_asked_each_minute_and_at_a_reload(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	bool probe;
	assert_int_equal(breaker_refused(&b, &alone, 1000), BREAKER_OPENED);
	assert_int_equal(b.state, BREAKER_REFUSED);
	assert_int_equal(breaker_due_ms(&b, 0, 1000, &probe), 61000);
	breaker_probe_at(&b, 5000);
	assert_int_equal(breaker_due_ms(&b, 0, 5000, &probe), 5000);
	struct breaker_sign again = { .sent_ms = 5000, .alone = true };
	assert_int_equal(breaker_refused(&b, &again, 5001), BREAKER_NO_CHANGE);
	assert_int_equal(breaker_due_ms(&b, 0, 5001, &probe), 65001);
	/* one that was down, is up again, and does not let us in */
	struct breaker down = { 0 };
	(void)breaker_fault(&down, &alone, 1000);
	struct breaker_sign probed = { .sent_ms = 2000, .alone = true };
	assert_int_equal(breaker_refused(&down, &probed, 2001), BREAKER_OPENED);
	assert_int_equal(down.state, BREAKER_REFUSED);
}

static void a_wait_that_it_asks_for_is_kept(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	bool probe;
	struct breaker_sign s = alone;
	s.wait_ms = 7000;
	(void)breaker_fault(&b, &s, 1000);
	assert_int_equal(breaker_due_ms(&b, 0, 1000, &probe), 8000);
}

static void health_turning_good_is_probed_at_once(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	bool probe;
	(void)breaker_fault(&b, &alone, 1000);
	b.probe_at_ms = 30000;
	breaker_health(&b, false, 2000);
	breaker_health(&b, true, 3000);
	assert_int_equal(breaker_due_ms(&b, 0, 3000, &probe), 3000);
	b.probe_at_ms = 30000; /* that it stays good is no news */
	breaker_health(&b, true, 4000);
	assert_int_equal(breaker_due_ms(&b, 0, 4000, &probe), 30000);
	struct breaker unknown = { 0 }; /* nor is the first word of it: a probe a second, no more */
	(void)breaker_fault(&unknown, &alone, 1000);
	breaker_health(&unknown, true, 1010);
	assert_int_equal(breaker_due_ms(&unknown, 0, 1010, &probe), 2000);
}

#define PATIENCE_MS (15u * 60 * 1000)

static void few_lines_are_given_up_after_patience_many_are_an_outage(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	(void)breaker_fault(&b, &alone, 1000);
	breaker_health(&b, true, 2000);
	assert_false(breaker_is_lines(&b, PATIENCE_MS, 2000 + PATIENCE_MS - 1));
	assert_true(breaker_is_lines(&b, PATIENCE_MS, 2000 + PATIENCE_MS));
	breaker_health(&b, false, 3000); /* from anew */
	breaker_health(&b, true, 4000);
	assert_false(breaker_is_lines(&b, PATIENCE_MS, 2000 + PATIENCE_MS));
	for (unsigned i = 1; i < BREAKER_OUTAGE_LINES; i++) {
		assert_true(breaker_is_lines(&b, PATIENCE_MS, 4000 + PATIENCE_MS));
		(void)breaker_fault(&b, &beside_others, 5000);
	}
	assert_false(breaker_is_lines(&b, PATIENCE_MS, 4000 + PATIENCE_MS));
}

/* Whatever fails after its health was good last says that it is not up: until it says so anew. */
static void it_is_up_while_the_last_that_was_seen_is_good(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	assert_true(breaker_is_up(&b));
	(void)breaker_fault(&b, &beside_others, 1000);
	assert_false(breaker_is_up(&b));
	(void)breaker_well(&b, 900, 1100);
	assert_true(breaker_is_up(&b));
	const struct breaker_sign sure = { .sent_ms = 1200, .sure = true };
	(void)breaker_fault(&b, &sure, 1300);
	assert_false(breaker_is_up(&b));
	breaker_health(&b, true, 2000);
	assert_true(breaker_is_up(&b));
	(void)breaker_fault(&b, &beside_others, 2100);
	assert_false(breaker_is_up(&b));
	breaker_health(&b, true, 2200);
	assert_true(breaker_is_up(&b));
	breaker_health(&b, false, 2300);
	assert_false(breaker_is_up(&b));
}

/* A good answer frees the slot of the next line: both bear the same time, and the answer came first. */
static void an_answer_in_the_millisecond_of_sending_came_before(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	assert_false(breaker_well_after(&b, 0));
	(void)breaker_well(&b, 900, 1000);
	assert_true(breaker_well_since(&b, 1000));
	assert_false(breaker_well_after(&b, 1000));
	assert_true(breaker_well_after(&b, 999));
}

static void the_share_of_faults_follows_the_last_answers(void **state)
{
	(void)state;
	struct breaker b = { 0 };
	for (int i = 0; i < 40; i++) {
		(void)breaker_fault(&b, &beside_others, 10);
		(void)breaker_fault(&b, &beside_others, 10);
		(void)breaker_well(&b, 9, 11);
	}
	assert_true(b.fault_share > 0.55 && b.fault_share < 0.75);
	for (int i = 0; i < 30; i++)
		(void)breaker_well(&b, 9, 11);
	assert_true(b.fault_share < 0.2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_fault_beside_nothing_opens_it),
		cmocka_unit_test(beside_others_it_takes_three_in_a_row),
		cmocka_unit_test(probes_become_rare),
		cmocka_unit_test(hundreds_that_break_together_do_not_put_the_probe_off),
		cmocka_unit_test(a_late_answer_does_not_open_what_cannot_be_reached),
		cmocka_unit_test(who_refuses_us_is_asked_each_minute_and_at_a_reload),
		cmocka_unit_test(a_wait_that_it_asks_for_is_kept),
		cmocka_unit_test(health_turning_good_is_probed_at_once),
		cmocka_unit_test(few_lines_are_given_up_after_patience_many_are_an_outage),
		cmocka_unit_test(it_is_up_while_the_last_that_was_seen_is_good),
		cmocka_unit_test(an_answer_in_the_millisecond_of_sending_came_before),
		cmocka_unit_test(the_share_of_faults_follows_the_last_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
