/* The floor: all below it are decided, in whichever order that comes. */
#include "unit.h"

#include "node/objects.h"

static void the_floor_is_the_smallest_that_is_not_decided(void **state)
{
	struct objects o = { 0 };

	(void)state;
	assert_int_equal(objects_floor(&o), 1);
	for (uint64_t i = 1; i <= 1000; i++)
		assert_int_equal(objects_take(&o), i);
	assert_int_equal(objects_floor(&o), 1);
	objects_decided(&o, 2);
	objects_decided(&o, 2000);
	assert_int_equal(objects_floor(&o), 1);
	objects_decided(&o, 1);
	objects_decided(&o, 1);
	assert_int_equal(objects_floor(&o), 3);
	for (uint64_t i = 1000; i > 3; i--)
		objects_decided(&o, i);
	assert_int_equal(objects_floor(&o), 3);
	objects_decided(&o, 3);
	assert_int_equal(objects_floor(&o), 1001);
	assert_int_equal(objects_take(&o), 1001);
	assert_int_equal(objects_floor(&o), 1001);
	objects_done(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_floor_is_the_smallest_that_is_not_decided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
