/* test_protocol.c: the edges of each decision. Whether the decisions together are enough is for
 * tests/simulation. */
#include "unit.h"

#include "cluster/protocol.h"

#define S PROTOCOL_S

static void test_a_deadline_is_before_the_lease_ends(void **state)
{
	int64_t deadline_us = lease_deadline_us(100 * S);
	(void)state;

	assert_int_equal(deadline_us, 100 * S + LEASE_US - LEASE_MARGIN_US);
	assert_true(lease_may_send(deadline_us, deadline_us - 1));
	assert_false(lease_may_send(deadline_us, deadline_us));
	assert_false(lease_may_send(LEASE_NONE, 0));
	/* Three renewals fail, and the fourth is still in time. */
	assert_true(LEASE_RENEW_US + 3 * (LEASE_RENEW_TIMEOUT_US + LEASE_RENEW_AGAIN_US) <
		    LEASE_US - LEASE_MARGIN_US);
	assert_true(LEASE_STALE_US > 400 * PROTOCOL_MS);
}

static void test_answers_stay_under_twice_the_limit(void **state)
{
	struct upstream_account a = { .limit = 4 };
	unsigned most = 0;
	(void)state;

	for (unsigned turn = 0; turn < 10; turn++) { /* nothing is ever acknowledged */
		while (account_may_send(&a))
			a.in_flight++;
		assert_true(a.in_flight <= 4);
		a.answered += a.in_flight;
		a.in_flight = 0;
		most = a.answered > most ? a.answered : most;
	}
	assert_int_equal(most, 8);
}

static void test_a_free_upstream_falls_to_the_least(void **state)
{
	struct upstream_candidate c[] = {
		{ .node = 5, .driven = 1, .is_able = true },
		{ .node = 7, .driven = 0, .is_able = true },
		{ .node = 9, .driven = 0, .is_able = true },
		{ .node = 3, .driven = 0, .is_able = false },
	};
	(void)state;

	assert_false(upstream_falls_to(5, c, 4, 0));
	assert_true(upstream_falls_to(7, c, 4, 0));
	assert_false(upstream_falls_to(9, c, 4, UPSTREAM_FREE_US - 1));
	assert_true(upstream_falls_to(9, c, 4, UPSTREAM_FREE_US));
	assert_false(upstream_falls_to(3, c, 4, UPSTREAM_FREE_US));

	c[0].driven = 2;
	assert_true(upstream_is_to_move(5, c, 4));
	assert_false(upstream_is_to_move(7, c, 4));
	c[1].driven = c[2].driven = 1;
	assert_false(upstream_is_to_move(5, c, 4)); /* the idle one cannot have it */
}

static void test_a_span_waits_for_its_answers(void **state)
{
	struct span_account a = { .lines = 4, .done = 3, .answered = 1, .has_ended = true };
	(void)state;

	assert_int_equal(span_next_step(&a), SPAN_WAITS);
	a.answered = 0;
	assert_int_equal(span_next_step(&a), SPAN_IS_WRITTEN); /* the rest is filled */
	a.has_ended = false;
	assert_int_equal(span_next_step(&a), SPAN_GOES_ON);
	a.is_unwanted = true;
	assert_int_equal(span_next_step(&a), SPAN_IS_GIVEN_BACK);
	a.in_flight = 1;
	assert_int_equal(span_next_step(&a), SPAN_WAITS);
	a.in_flight = 0;
	a.done = 4;
	assert_int_equal(span_next_step(&a), SPAN_IS_WRITTEN);
}

static void test_a_node_is_buried_once_by_a_steady_one(void **state)
{
	struct node_row mine = { 0 }, other = { 0 };
	int64_t now_us = 1000 * S;
	(void)state;

	assert_false(node_bury(&other, now_us)); /* there is no row */
	assert_true(node_enter(&mine, now_us));
	assert_false(node_enter(&mine, now_us + S));
	assert_true(node_enter(&other, now_us));
	now_us += LEASE_US;
	assert_false(node_bury(&other, now_us)); /* to the last moment */
	assert_true(node_bury(&other, now_us + 1));
	assert_int_equal(other.epoch, 2);
	assert_false(node_bury(&other, now_us + 2));
	assert_false(node_renew(&other, 1, 0, false, now_us + 2));
	assert_true(node_renew(&other, 2, 0, false, now_us + 2));

	/* The burier was late itself: first it renews, then it waits. */
	assert_false(node_may_bury(&mine, 1, now_us));
	assert_true(node_renew(&mine, 1, 0, false, now_us));
	assert_false(node_may_bury(&mine, 1, now_us + LEASE_GRACE_US));
	assert_true(node_renew(&mine, 1, 0, false, now_us + LEASE_RENEW_US));
	assert_true(node_may_bury(&mine, 1, now_us + LEASE_GRACE_US + 1));
	assert_false(node_may_bury(&mine, 1, now_us + LEASE_RENEW_US + LEASE_GAP_US));
	assert_false(node_may_bury(&mine, 2, now_us + LEASE_GRACE_US + 1));
}

static void test_what_is_late_changes_nothing(void **state)
{
	struct node_row a = { 0 }, b = { 0 }, nobody = { 0 };
	struct owner me = { 1, 1 }, other = { 2, 1 };
	struct upstream_row u = { .owner = { NOBODY, 0 } };
	struct span_row s = { .owner = { NOBODY, 0 } };
	(void)state;

	assert_true(node_enter(&a, 0) && node_enter(&b, 0));
	assert_true(upstream_take(&u, me, &a, &nobody, S));
	assert_true(upstream_take(&u, me, &a, &a, S)); /* asked again: as it stands */
	assert_int_equal(u.epoch, 1);
	assert_false(upstream_take(&u, other, &b, &a, S));
	assert_true(upstream_release(&u, me, 1));
	assert_true(upstream_take(&u, me, &a, &nobody, S));
	assert_false(upstream_release(&u, me, 1)); /* of the time before */

	assert_true(ticket_take(&a, 1, 5, S));
	assert_false(ticket_take(&a, 1, 5, S));
	assert_false(ticket_take(&a, 1, 6, LEASE_US));
	assert_true(span_claim(&s, me, &nobody, false));
	assert_false(span_claim(&s, me, &a, true));
	assert_true(span_claim(&s, me, &a, false)); /* the answer was lost */
	assert_false(span_is_held(&s, me, 1, &a));
	assert_true(span_is_held(&s, me, 2, &a));
	assert_false(span_claim(&s, other, &a, false));
	assert_true(span_give_back(&s, me, 2, &a));
	assert_false(span_give_back(&s, me, 2, &a));
	assert_true(span_claim(&s, other, &nobody, false));
	assert_false(span_finish(&s, me, 2, &a));
	assert_true(node_leave(&b, 1));
	assert_false(span_finish(&s, other, 3, &b)); /* its own node is over */
	assert_true(span_claim(&s, me, &b, false));
	assert_true(span_finish(&s, me, 4, &a));
	assert_false(span_finish(&s, me, 4, &a));
}

static void test_garbage_goes_an_hour_after_it_was_seen(void **state)
{
	struct node_row row = { .epoch = 3, .floor = 10 };
	struct object_name name = { .owner = { 1, 3 }, .number = 10 };
	int64_t now_us = 2 * GARBAGE_US;
	(void)state;

	assert_int_equal(object_fate(&name, &row, false, LEASE_NONE, now_us, GARBAGE_US),
			 OBJECT_STAYS); /* it may yet be named */
	name.number = 9;
	assert_int_equal(object_fate(&name, &row, true, LEASE_NONE, now_us, GARBAGE_US),
			 OBJECT_STAYS);
	assert_int_equal(object_fate(&name, &row, false, LEASE_NONE, now_us, GARBAGE_US),
			 OBJECT_IS_MARKED);
	assert_int_equal(object_fate(&name, &row, false, GARBAGE_US, now_us, GARBAGE_US),
			 OBJECT_STAYS);
	assert_int_equal(object_fate(&name, &row, false, GARBAGE_US - 1, now_us, GARBAGE_US),
			 OBJECT_GOES);
	name = (struct object_name){ .owner = { 1, 2 }, .number = 99 };
	assert_true(object_is_out_of_reach(&name, &row));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_deadline_is_before_the_lease_ends),
		cmocka_unit_test(test_answers_stay_under_twice_the_limit),
		cmocka_unit_test(test_a_free_upstream_falls_to_the_least),
		cmocka_unit_test(test_a_span_waits_for_its_answers),
		cmocka_unit_test(test_a_node_is_buried_once_by_a_steady_one),
		cmocka_unit_test(test_what_is_late_changes_nothing),
		cmocka_unit_test(test_garbage_goes_an_hour_after_it_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
