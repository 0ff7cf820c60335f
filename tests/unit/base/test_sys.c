/* The helpers over the table of system calls, and the failpoints of test builds. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/sys.h"

static int scratch_file(void)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	int fd = dup(fileno(f));
	fclose(f);
	assert_true(fd >= 0);
	return fd;
}

static void the_table_is_the_real_thing(void **state)
{
	(void)state;
	assert_true(sys.now_s() > 1700000000);
	uint64_t before = sys.monotonic_ms();
	usleep(20000);
	assert_in_range(sys.monotonic_ms() - before, 15, 10000);
}

/* A caller that has seen a second begin never gets the one before. */
static void a_second_has_begun_for_all_at_once(void **state)
{
	struct timespec now;
	time_t last;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &now);
	last = now.tv_sec;
	while (now.tv_sec == last)
		clock_gettime(CLOCK_REALTIME, &now);
	assert_true(sys.now_s() >= now.tv_sec);
}

/* ---- short writes, interruptions ---- */

static int calls;

static ssize_t stuttering_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (calls++ % 2 == 0) {
		errno = EINTR;
		return -1;
	}
	return pwrite(fd, p, n > 3 ? 3 : n, at);
}

static ssize_t stuttering_write(int fd, const void *p, size_t n)
{
	if (calls++ % 2 == 0) {
		errno = EINTR;
		return -1;
	}
	return write(fd, p, n > 3 ? 3 : n);
}

static ssize_t idle_write(int fd, const void *p, size_t n)
{
	(void)fd;
	(void)p;
	(void)n;
	return 0;
}

static ssize_t idle_pwrite(int fd, const void *p, size_t n, off_t at)
{
	(void)at;
	return idle_write(fd, p, n);
}

static int restore(void **state)
{
	static struct sys real;
	static bool saved;

	(void)state;
	if (!saved)
		real = sys;
	saved = true;
	sys = real;
	return 0;
}

static void writes_go_on_until_all_is_written(void **state)
{
	int fd = scratch_file();
	char back[17] = "";

	(void)state;
	sys.write = stuttering_write;
	sys.pwrite = stuttering_pwrite;
	assert_true(sys_write_all(fd, "0123456789abcdef", 16));
	assert_true(sys_pwrite_all(fd, "TIDE", 4, 6));
	assert_true(sys_pwrite_all(fd, NULL, 0, 0));
	assert_true(sys_pread_all(fd, back, 16, 0));
	assert_string_equal(back, "012345TIDEabcdef");
	close(fd);
}

static void a_write_that_does_nothing_is_an_error_and_no_endless_loop(void **state)
{
	(void)state;
	sys.write = idle_write;
	sys.pwrite = idle_pwrite;
	errno = 0;
	assert_false(sys_write_all(1, "x", 1));
	assert_int_equal(errno, EIO);
	errno = 0;
	assert_false(sys_pwrite_all(1, "x", 1, 0));
	assert_int_equal(errno, EIO);
}

static void errors_are_handed_on(void **state)
{
	(void)state;
	assert_false(sys_write_all(-1, "x", 1));
	assert_int_equal(errno, EBADF);
	assert_false(sys_pwrite_all(-1, "x", 1, 0));
	assert_int_equal(errno, EBADF);
	assert_false(sys_sync_dir("/nonexistent"));
	assert_int_equal(errno, ENOENT);
	sys_fail_nth(1, EIO);
	assert_false(sys_sync_dir("/tmp"));
	assert_int_equal(errno, EIO);
	assert_true(sys_restore());
}

static void reading_past_the_end_is_not_eio(void **state)
{
	int fd = scratch_file();
	char back[4];

	(void)state;
	assert_true(sys_write_all(fd, "abc", 3));
	assert_true(sys_pread_all(fd, back, 3, 0));
	assert_false(sys_pread_all(fd, back, 4, 0));
	assert_int_equal(errno, ENODATA); /* the disk is well (D3) */
	close(fd);
}

#ifdef LOWTIDE_FAILPOINTS

static void without_the_variable_nothing_fails(void **state)
{
	(void)state;
	unsetenv("LOWTIDE_FAILPOINTS");
	failpoints_init();
	assert_int_equal(failpoint("journal.write"), 0);
}

static void a_point_fails_while_its_flag_is_there(void **state)
{
	char *dir = scratch_dir_new();
	char flag[PATH_MAX], setting[4 * PATH_MAX];

	(void)state;
	snprintf(flag, sizeof(flag), "%s/flag", dir);
	snprintf(setting, sizeof(setting), "a=enospc:%s,b=eio:%s,d=delay:30:%s", flag, flag, flag);
	setenv("LOWTIDE_FAILPOINTS", setting, 1);
	failpoints_init();
	assert_int_equal(failpoint("a"), 0);
	int fd = open(flag, O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_int_equal(failpoint("a"), ENOSPC);
	assert_int_equal(failpoint("b"), EIO);
	assert_int_equal(failpoint("c"), 0);
	uint64_t began_ms = sys.monotonic_ms();
	assert_int_equal(failpoint("d"), 0);
	assert_true(sys.monotonic_ms() - began_ms >= 30);
	unlink(flag);
	assert_int_equal(failpoint("a"), 0);
	unsetenv("LOWTIDE_FAILPOINTS");
	failpoints_init();
	scratch_dir_remove(dir);
}

/* How a child ends that takes `setting` and passes "p" three times. */
static int child_with(const char *setting)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(99);
		setenv("LOWTIDE_FAILPOINTS", setting, 1);
		failpoints_init();
		for (int i = 1; i <= 3; i++)
			(void)failpoint("p");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void kill_is_at_the_nth_passing(void **state)
{
	(void)state;
	assert_int_equal(child_with("p=kill"), -SIGKILL);
	assert_int_equal(child_with("q=kill,p=kill@3"), -SIGKILL);
	assert_int_equal(child_with("p=kill@4"), 0);
	assert_int_equal(child_with("pp=kill"), 0);
	assert_int_equal(child_with(""), 0);
}

static void a_malformed_setting_ends_the_process(void **state)
{
	static const char *const bad[] = { "p",         "=kill",      "p=killer",  "p=kill@",
					   "p=kill@0",  "p=kill@x",   "p=kill@1x", "p=enospc",
					   "p=enospc:", "p=eio:flag", "p=torn",    "p=" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (child_with(bad[i]) != 2)
			fail_msg("'%s' is taken", bad[i]);
}

#endif

#define RESTORED(test) cmocka_unit_test_setup_teardown(test, restore, restore)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_the_real_thing),
		cmocka_unit_test(a_second_has_begun_for_all_at_once),
		RESTORED(writes_go_on_until_all_is_written),
		RESTORED(a_write_that_does_nothing_is_an_error_and_no_endless_loop),
		RESTORED(errors_are_handed_on),
		cmocka_unit_test(reading_past_the_end_is_not_eio),
#ifdef LOWTIDE_FAILPOINTS
		cmocka_unit_test(without_the_variable_nothing_fails),
		cmocka_unit_test(a_point_fails_while_its_flag_is_there),
		cmocka_unit_test(kill_is_at_the_nth_passing),
		cmocka_unit_test(a_malformed_setting_ends_the_process),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
