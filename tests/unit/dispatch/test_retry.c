/* test_retry.c: lines that wait to be sent again. */
#include "unit.h"

#include "dispatch/retry.h"

#define MANY 300u

static void put_all(struct retry *r, struct retry_entry *e, size_t n, const uint64_t *due_ms)
{
	for (size_t i = 0; i < n; i++) {
		retry_reserve(r);
		retry_put(r, &e[i], due_ms[i]);
	}
}

static void take_all(struct retry *r, struct retry_entry *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (e[i].place != RETRY_OUT)
			retry_take(r, &e[i]);
		retry_release(r);
	}
	retry_done(r);
}

static void comes_in_order_of_time(void **state)
{
	(void)state;
	static const uint64_t due_ms[] = { 50, 20, 90, 10, 70, 30 };
	static const size_t order[] = { 3, 1, 5, 0, 4, 2 };
	struct retry r = { 0 };
	struct retry_entry e[6] = { 0 };

	put_all(&r, e, 6, due_ms);
	assert_int_equal(retry_first_ms(&r), 10);
	assert_null(retry_due(&r, 9, RETRY_AVOIDS_NONE));
	for (size_t i = 0; i < 6; i++) {
		assert_ptr_equal(retry_due(&r, 100, RETRY_AVOIDS_NONE), &e[order[i]]);
		retry_take(&r, &e[order[i]]);
	}
	assert_false(retry_has_any(&r));
	assert_int_equal(retry_first_ms(&r), RETRY_PARKED);
	take_all(&r, e, 6);
}

static void avoids_an_upstream(void **state)
{
	(void)state;
	static const uint64_t due_ms[] = { 1, 2, 3 };
	struct retry r = { 0 };
	struct retry_entry e[3] = { { .avoid = 7 },
				    { .avoid = 8 },
				    { .avoid = RETRY_AVOIDS_NONE } };

	put_all(&r, e, 3, due_ms);
	assert_ptr_equal(retry_due(&r, 5, RETRY_AVOIDS_NONE), &e[0]);
	assert_ptr_equal(retry_due(&r, 5, 7), &e[1]);
	assert_ptr_equal(retry_due(&r, 5, 8), &e[0]);
	retry_take(&r, &e[0]);
	assert_ptr_equal(retry_due(&r, 5, 8), &e[2]);
	assert_null(retry_due(&r, 2, 8));
	take_all(&r, e, 3);
}

static void parked_is_never_due(void **state)
{
	(void)state;
	static const uint64_t due_ms[] = { RETRY_PARKED, 5 };
	struct retry r = { 0 };
	struct retry_entry e[3] = { { .for_operator = true }, { 0 }, { .goes_alone = true } };

	put_all(&r, e, 2, due_ms);
	retry_reserve(&r);
	retry_put(&r, &e[2], RETRY_PARKED);
	retry_operator_now(&r, 1);
	assert_ptr_equal(retry_due(&r, RETRY_ANY_TIME, RETRY_AVOIDS_NONE), &e[1]);
	assert_null(retry_alone_due(&r, RETRY_ANY_TIME));
	retry_move(&r, &e[1], RETRY_PARKED);
	assert_null(retry_due(&r, RETRY_ANY_TIME, RETRY_AVOIDS_NONE));
	retry_move(&r, &e[0], 3);
	retry_move(&r, &e[2], 4);
	assert_ptr_equal(retry_due(&r, 3, RETRY_AVOIDS_NONE), &e[0]);
	assert_null(retry_alone_due(&r, 3));
	assert_ptr_equal(retry_alone_due(&r, 4), &e[2]);
	take_all(&r, e, 3);
}

static void some_go_alone(void **state)
{
	(void)state;
	static const uint64_t due_ms[] = { 10, 20, 30, 5 };
	struct retry r = { 0 };
	struct retry_entry e[4] = {
		{ .goes_alone = true }, { .goes_alone = true }, { .goes_alone = true }, { 0 }
	};

	put_all(&r, e, 4, due_ms);
	assert_int_equal(r.waiting, 1);
	assert_ptr_equal(retry_due(&r, 40, RETRY_AVOIDS_NONE), &e[3]);
	assert_ptr_equal(retry_alone_due(&r, 15), &e[0]);
	assert_null(retry_alone_due(&r, 9));
	retry_take(&r, &e[1]); /* from the middle */
	retry_take(&r, &e[3]);
	assert_true(retry_has_any(&r));
	assert_ptr_equal(retry_alone_due(&r, 40), &e[2]);
	retry_take(&r, &e[2]);
	assert_ptr_equal(retry_alone_due(&r, 40), &e[0]);
	take_all(&r, e, 4);
}

static void the_operator_mends_it(void **state)
{
	(void)state;
	static const uint64_t due_ms[] = { 500, 100, 60000, 60001, 60002 };
	struct retry r = { 0 };
	struct retry_entry e[5] = {
		{ 0 }, { 0 }, { .for_operator = true }, { 0 }, { .for_operator = true }
	};

	put_all(&r, e, 5, due_ms);
	assert_int_equal(r.for_operator, 2);
	retry_operator_now(&r, 50);
	for (unsigned i = 0; i < 2; i++) {
		struct retry_entry *due = retry_due(&r, 50, RETRY_AVOIDS_NONE);

		assert_non_null(due);
		assert_true(due->for_operator);
		retry_take(&r, due);
		assert_false(due->for_operator);
	}
	assert_int_equal(r.for_operator, 0);
	assert_int_equal(retry_first_ms(&r), 100);
	take_all(&r, e, 5);
}

/* ---- against an array ---- */

static uint64_t least_ms(const struct retry_entry *e)
{
	uint64_t least = RETRY_PARKED;

	for (unsigned i = 0; i < MANY; i++)
		if (e[i].place == RETRY_IN_HEAP && e[i].due_ms < least)
			least = e[i].due_ms;
	return least;
}

static unsigned any(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 16) % below;
}

static void is_as_an_array_would_be(void **state)
{
	(void)state;
	struct retry r = { 0 };
	static struct retry_entry e[MANY];
	unsigned seed = 1;

	for (unsigned i = 0; i < MANY; i++)
		retry_reserve(&r);
	for (unsigned step = 0; step < 20000; step++) {
		struct retry_entry *one = &e[any(&seed, MANY)];
		uint64_t due_ms = any(&seed, 1000);

		if (one->place == RETRY_OUT) {
			one->for_operator = any(&seed, 8) == 0;
			retry_put(&r, one, due_ms);
		} else if (any(&seed, 2) == 0) {
			retry_move(&r, one, due_ms);
		} else {
			retry_take(&r, one);
		}
		if (any(&seed, 50) == 0)
			retry_operator_now(&r, any(&seed, 1000));
		assert_int_equal(retry_first_ms(&r), least_ms(e));
	}
	take_all(&r, e, MANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_in_order_of_time), cmocka_unit_test(avoids_an_upstream),
		cmocka_unit_test(parked_is_never_due),    cmocka_unit_test(some_go_alone),
		cmocka_unit_test(the_operator_mends_it),  cmocka_unit_test(is_as_an_array_would_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
