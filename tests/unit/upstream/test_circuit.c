/* test_circuit.c: when a probe may go beside one that hangs, and what the log is told and when. */
#include "unit.h"

#include "upstream/circuit.h"

static const struct breaker_sign sure = { .sent_ms = 1, .sure = true };

static void open_at(struct circuit *c, uint64_t now_ms)
{
	*c = (struct circuit){ 0 };
	assert_int_equal(breaker_fault(&c->breaker, &sure, now_ms), BREAKER_OPENED);
}

static void a_closed_one_lets_all_through(void **state)
{
	const struct slots none = { 0 };
	struct circuit c = { 0 };
	bool probe;

	(void)state;
	assert_false(circuit_is_open(&c));
	assert_int_equal(circuit_due_ms(&c, &none, 5000, &probe), 5000);
	assert_false(probe);
}

static void a_probe_that_hangs_is_waited_for_a_while(void **state)
{
	struct slots all = { 0 }, slots = { .of = &all }, batch = { 0 };
	struct slot slot = { .lane = &slots, .batch = &batch, .probe = true, .units = 1 };
	struct circuit c;
	bool probe;

	(void)state;
	open_at(&c, 1000);
	assert_true(circuit_is_open(&c));
	assert_int_equal(circuit_due_ms(&c, &slots, 1500, &probe), 1000 + BREAKER_PROBE_MS);
	assert_true(probe);
	slot_take(&slot, 2000);
	assert_int_equal(circuit_due_ms(&c, &slots, 3000, &probe),
			 2000 + CIRCUIT_PROBE_PATIENCE_MS);
	/* from then on another may go beside it */
	assert_true(circuit_due_ms(&c, &slots, 2000 + CIRCUIT_PROBE_PATIENCE_MS, &probe) <=
		    2000 + CIRCUIT_PROBE_PATIENCE_MS);
	assert_true(probe);
	slot_drop(&slot);
	assert_int_equal(circuit_due_ms(&c, &slots, 3000, &probe), 1000 + BREAKER_PROBE_MS);
}

static void its_breaker_says_what_batches_wait_for(void **state)
{
	struct circuit c = { 0 };

	(void)state;
	assert_int_equal(circuit_breaker_stall(&c), STALL_NONE);
	open_at(&c, 1000);
	assert_int_equal(circuit_breaker_stall(&c), STALL_DOWN);
	c = (struct circuit){ 0 };
	assert_int_equal(breaker_refused(&c.breaker, &sure, 1000), BREAKER_OPENED);
	assert_int_equal(circuit_breaker_stall(&c), STALL_REFUSED);
}

/* What was said last holds since the condition is other than well, through changes of it. */
static void words_are_dated_from_the_first_trouble(void **state)
{
	struct circuit c = { 0 };

	(void)state;
	assert_false(circuit_turn(&c, STALL_NONE, 1, 100));
	assert_true(circuit_turn(&c, STALL_THROTTLED, 2, 101));
	assert_int_equal(c.said.since, 101);
	assert_true(circuit_turn(&c, STALL_DOWN, 3, 102));
	assert_int_equal(c.said.since, 101);
	assert_true(circuit_turn(&c, STALL_NONE, 4, 103));
	assert_true(circuit_turn(&c, STALL_DOWN, 5, 104));
	assert_int_equal(c.said.since, 104);
	assert_int_equal(c.changed_ms, 5);
}

static void the_log_is_told_at_once_when_it_was_quiet(void **state)
{
	struct circuit c = { 0 };

	(void)state;
	assert_false(circuit_tell(&c, 1000)); /* nothing is new */
	circuit_turn(&c, STALL_THROTTLED, 1000, 1);
	assert_true(circuit_tell(&c, 1000));
	assert_false(circuit_tell(&c, 1000)); /* it has been */
}

static void what_comes_and_goes_is_told_once_in_ten_seconds(void **state)
{
	struct circuit c = { 0 };
	unsigned told = 0;

	(void)state;
	for (uint64_t now = 1000; now < 21000; now += 100) {
		circuit_turn(&c, c.stall == STALL_NONE ? STALL_THROTTLED : STALL_NONE, now, 1);
		told += circuit_tell(&c, now);
	}
	assert_in_range(told, 2, 3);
}

static void what_lasts_is_told_within_a_second(void **state)
{
	struct circuit c = { 0 };

	(void)state;
	circuit_turn(&c, STALL_DOWN, 1000, 1);
	assert_true(circuit_tell(&c, 1000));
	circuit_turn(&c, STALL_NONE, 1500, 1);
	assert_false(circuit_tell(&c, 1500));
	assert_false(circuit_tell(&c, 2499));
	assert_true(circuit_tell(&c, 2500));
	assert_int_equal(c.told, STALL_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_closed_one_lets_all_through),
		cmocka_unit_test(a_probe_that_hangs_is_waited_for_a_while),
		cmocka_unit_test(its_breaker_says_what_batches_wait_for),
		cmocka_unit_test(words_are_dated_from_the_first_trouble),
		cmocka_unit_test(the_log_is_told_at_once_when_it_was_quiet),
		cmocka_unit_test(what_comes_and_goes_is_told_once_in_ten_seconds),
		cmocka_unit_test(what_lasts_is_told_within_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
