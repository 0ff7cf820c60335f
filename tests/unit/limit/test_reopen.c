/* test_reopen.c: the slow start after a pause. */
#include "unit.h"

#include <math.h>

#include "limit/reopen.h"

static void begins_open(void **state)
{
	struct reopen r;

	(void)state;
	reopen_init(&r);
	assert_true(reopen_is_open(&r));
	reopen_answered(&r, 10);
	assert_true(isinf(r.cap));
}

static void each_answer_lets_one_more_through(void **state)
{
	struct reopen r;

	(void)state;
	reopen_init(&r);
	reopen_begin(&r, 4);
	for (int n = 5; n < 10; n++) {
		reopen_answered(&r, 10);
		assert_false(reopen_is_open(&r));
		assert_true(fabs(r.cap - n) < 1e-9);
	}
	reopen_answered(&r, 10);
	assert_true(reopen_is_open(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_open),
		cmocka_unit_test(each_answer_lets_one_more_through),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
