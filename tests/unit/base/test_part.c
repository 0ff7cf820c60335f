/* Parts: one writer at a time, what a killed one has left is taken over, and a name that is another
 * file's by now is left alone. */
#include "unit.h"

#include <fcntl.h>

#include "base/part.h"

static char *scratch;
static char part[PATH_MAX], whole[PATH_MAX];

static int setup(void **state)
{
	(void)state;
	scratch = scratch_dir_new();
	snprintf(part, sizeof(part), "%s/out.new", scratch);
	snprintf(whole, sizeof(whole), "%s/out", scratch);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(scratch);
	return 0;
}

static void assert_size(const char *path, off_t bytes)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, bytes);
}

static void one_writes_at_a_time(void **state)
{
	(void)state;
	struct error err;
	int first, second;
	assert_true(part_open(part, &first, &err));
	assert_false(part_open(part, &second, &err));
	assert_int_equal(err.kind, ERR_CONFLICT);
	assert_int_equal(second, -1);
	assert_true(sys_write_all(first, "first", 5));
	close(first); /* as a kill does */
	assert_true(part_open(part, &second, &err));
	assert_true(sys_write_all(second, "+", 1));
	assert_true(part_finish(second, part, whole, &err));
	close(second);
	assert_int_equal(access(part, F_OK), -1);
	assert_size(whole, 6);
}

static void another_s_name_is_left_alone(void **state)
{
	(void)state;
	struct error err;
	int first, second;
	assert_true(part_open(part, &first, &err));
	assert_true(part_finish(first, part, whole, &err));
	assert_true(part_open(part, &second, &err));
	part_drop(first, part);
	assert_size(part, 0);
	part_drop(second, part);
	assert_int_equal(access(part, F_OK), -1);
	close(first);
	close(second);
}

static void what_cannot_be_finished_stays_a_part(void **state)
{
	(void)state;
	struct error err;
	int fd;
	assert_true(part_open(part, &fd, &err));
	snprintf(whole, sizeof(whole), "%s/none/out", scratch);
	assert_false(part_finish(fd, part, whole, &err));
	assert_int_equal(err.sys, ENOENT);
	assert_size(part, 0);
	close(fd);
	assert_false(part_open(whole, &fd, &err));
	assert_int_equal(err.sys, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_writes_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(another_s_name_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_finished_stays_a_part, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
