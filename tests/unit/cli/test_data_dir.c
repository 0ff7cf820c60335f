/* Making and locking a data directory. */
#include "unit.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "cli/data_dir.h"

static char *scratch;
static char dir[PATH_MAX];

static int scratch_make(void **state)
{
	(void)state;
	scratch = scratch_dir_new();
	snprintf(dir, sizeof(dir), "%s/data", scratch);
	return 0;
}

static int scratch_drop(void **state)
{
	(void)state;
	scratch_dir_remove(scratch);
	return 0;
}

static void it_is_made_for_nobody_else(void **state)
{
	struct error err;
	struct stat st;

	(void)state;
	assert_true(data_dir_make(dir, &err));
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(data_dir_make(dir, &err)); /* it is there: fine */
}

static void what_cannot_be_one_is_named(void **state)
{
	char file[2 * PATH_MAX];
	struct error err;

	(void)state;
	snprintf(file, sizeof(file), "%s/file", scratch);
	close(open(file, O_WRONLY | O_CREAT, 0600));
	assert_false(data_dir_make(file, &err));
	assert_int_equal(err.sys, ENOTDIR);
	assert_non_null(strstr(err.detail, file));
	snprintf(file, sizeof(file), "%s/no/such", scratch);
	assert_false(data_dir_make(file, &err));
	assert_int_equal(err.sys, ENOENT);
}

/* flock belongs to the open file, so a second open of this process is like another process. */
static void one_holds_the_lock(void **state)
{
	struct error err;
	int fd, second, status;
	char pid[32];

	(void)state;
	assert_true(data_dir_make(dir, &err));
	assert_true(data_dir_lock(dir, &fd, &err));
	assert_false(data_dir_lock(dir, &second, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	snprintf(pid, sizeof(pid), "process %d;", (int)getpid());
	assert_non_null(strstr(err.message, dir));
	assert_non_null(strstr(err.message, pid));
	close(fd);

	pid_t child = fork(); /* a holder that is killed lets go */
	if (child == 0)
		_exit(data_dir_lock(dir, &fd, &err) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(data_dir_lock(dir, &fd, &err));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_made_for_nobody_else),
		cmocka_unit_test(what_cannot_be_one_is_named),
		cmocka_unit_test(one_holds_the_lock),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_drop);
}
