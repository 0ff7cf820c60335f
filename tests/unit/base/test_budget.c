/* The account of memory: limits, shares, what buffers charge, and the waiter that is told of
 * room. */
#include "unit.h"

#include <pthread.h>

#include "base/budget.h"
#include "base/buf.h"

#define KB ((uint64_t)1 << 10)

static void lines_leave_a_quarter(void **state)
{
	struct budget b;
	budget_init(&b, 1000 * KB);
	struct budget_use *answers = budget_use(&b, BUDGET_ANSWERS);
	struct budget_use *online = budget_use(&b, BUDGET_ONLINE);

	(void)state;
	assert_true(budget_try(answers, 700 * KB));
	assert_true(budget_has(answers, 50 * KB, 0));
	assert_false(budget_has(answers, 51 * KB, 0));
	assert_false(budget_has(answers, 1, 50 * KB)); /* promised is spoken for */
	assert_false(budget_try(answers, 60 * KB));
	assert_true(budget_try(online, 300 * KB));
	assert_false(budget_try(online, 1));
	budget_give(answers, 700 * KB);
	budget_give(online, 300 * KB);
	assert_int_equal(b.bytes, 0);
}

/* Else nothing would ever go on where one answer is larger than the budget. */
static void a_use_that_holds_nothing_may_take_one(void **state)
{
	struct budget b;
	budget_init(&b, 10 * KB);
	struct budget_use *answers = budget_use(&b, BUDGET_ANSWERS);

	(void)state;
	budget_charge(budget_use(&b, BUDGET_ONLINE), 20 * KB);
	assert_false(budget_has(answers, 64 * KB, 1));
	assert_true(budget_try(answers, 64 * KB));
	assert_false(budget_try(answers, 1));
	budget_give(answers, 64 * KB);
	budget_give(budget_use(&b, BUDGET_ONLINE), 20 * KB);
	assert_int_equal(b.bytes, 0);
}

static void without_a_limit_there_is_always_room(void **state)
{
	struct budget b;
	budget_init(&b, 0);

	(void)state;
	assert_true(budget_try(budget_use(&b, BUDGET_CALLS), UINT64_MAX / 2));
	assert_true(budget_try(budget_use(&b, BUDGET_CALLS), 1));
	assert_null(budget_use(NULL, BUDGET_CALLS));
	assert_true(budget_has(NULL, 1, 1));
	budget_charge(NULL, 1);
	budget_give(NULL, 1);
	budget_await(NULL);
}

static void a_buffer_is_charged_until_it_is_freed(void **state)
{
	struct budget b;
	budget_init(&b, 1000 * KB);
	struct budget_use *use = budget_use(&b, BUDGET_ANSWERS);
	struct buf one = BUF_OF(900 * KB, use);

	(void)state;
	assert_true(buf_reserve(&one, 100 * KB));
	assert_int_equal(use->bytes, 100 * KB);
	buf_append(&one, "text", 4);
	assert_int_equal(use->bytes, 100 * KB);
	struct buf moved = one; /* its owner does not matter */
	buf_clear(&moved);
	assert_int_equal(b.bytes, 100 * KB);
	assert_true(buf_reserve(&moved, 150 * KB));
	assert_int_equal(b.bytes, moved.cap);
	buf_free(&moved);
	assert_int_equal(b.bytes, 0);
	assert_ptr_equal(moved.use, use);
}

static void a_buffer_that_asks_first(void **state)
{
	struct budget b;
	budget_init(&b, 1000 * KB);
	struct budget_use *use = budget_use(&b, BUDGET_ANSWERS);
	struct buf one = BUF_OF(2000 * KB, use), other = BUF_OF(2000 * KB, use);

	(void)state;
	assert_true(buf_try_reserve(&one, 500 * KB));
	assert_false(buf_try_reserve(&other, 500 * KB));
	assert_false(other.failed);
	assert_int_equal(other.cap, 0);
	assert_true(buf_try_reserve(&other, 200 * KB));
	assert_true(buf_try_reserve(&one, 1)); /* it is allocated already */
	assert_false(buf_try_reserve(&one, 900 * KB));
	buf_free(&other);
	assert_true(buf_try_reserve(&one, 900 * KB)); /* alone */
	assert_true(buf_try_reserve(&one, 5000 * KB));
	assert_true(one.failed); /* over its own largest size, room or none */
	buf_free(&one);
	buf_free(&other);
	assert_int_equal(b.bytes, 0);
}

static void note_room(void *ctx)
{
	++*(unsigned *)ctx;
}

static void the_waiter_is_told_once(void **state)
{
	struct budget b;
	unsigned told = 0;
	budget_init(&b, 10 * KB);
	struct budget_use *use = budget_use(&b, BUDGET_CALLS);

	(void)state;
	budget_waiter(&b, note_room, &told);
	budget_charge(use, 10 * KB);
	budget_give(use, KB);
	assert_int_equal(told, 0);
	budget_await(&b);
	budget_give(use, KB);
	budget_give(use, KB);
	assert_int_equal(told, 1);
	budget_await(&b);
	budget_give(use, KB);
	assert_int_equal(told, 2);
	budget_give(use, 6 * KB);
}

/* ---- from many threads ---- */

static void *charge_and_give(void *arg)
{
	struct budget *b = arg;
	for (int i = 0; i < 20000; i++) {
		struct budget_use *use = budget_use(b, (enum budget_kind)(i % BUDGET_KINDS));
		if (budget_try(use, 100))
			budget_give(use, 100);
	}
	return NULL;
}

static void counts_are_exact(void **state)
{
	struct budget b;
	pthread_t threads[4];
	budget_init(&b, 250);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, charge_and_give, &b), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(b.bytes, 0);
	for (unsigned i = 0; i < BUDGET_KINDS; i++)
		assert_int_equal(b.uses[i].bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_leave_a_quarter),
		cmocka_unit_test(a_use_that_holds_nothing_may_take_one),
		cmocka_unit_test(without_a_limit_there_is_always_room),
		cmocka_unit_test(a_buffer_is_charged_until_it_is_freed),
		cmocka_unit_test(a_buffer_that_asks_first),
		cmocka_unit_test(the_waiter_is_told_once),
		cmocka_unit_test(counts_are_exact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
