/* Arrays that grow by one: there is room for each element, also after some were taken away. */
#include "unit.h"

#include "base/array.h"

static int *grow(int *array, int from, int to)
{
	for (int n = from; n < to; n++) {
		array = array_room(array, (size_t)n, sizeof(*array));
		assert_non_null(array);
		array[n] = n; /* ASan tells if there is no room */
	}
	return array;
}

static void has_all(const int *array, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(array[i], i);
}

static void room_grows_by_doubling(void **state)
{
	int *array = grow(NULL, 0, 1000);

	(void)state;
	has_all(array, 1000);
	free(array);
}

static void room_for_those_that_stay(void **state)
{
	(void)state;
	for (int left = 0; left < 40; left++) {
		int *array = grow(NULL, 0, 40);
		array = grow(array, left, 100);
		has_all(array, 100);
		free(array);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_grows_by_doubling),
		cmocka_unit_test(room_for_those_that_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
