/* Built with -Dconsole=disabled there is nothing, and it says so. */
#include "unit.h"

#include "console/console.h"

static void nothing_is_there(void **state)
{
	struct console_file file;

	(void)state;
	assert_false(console_is_built());
	assert_false(console_list(0, &file));
	assert_false(console_find("", &file));
	assert_false(console_find("index.html", &file));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
