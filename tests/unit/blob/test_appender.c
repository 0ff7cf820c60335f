/* Growing by appending: what was kept stays, what was not can be taken back, on disk and
 * elsewhere. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "blob_fake.h"
#include "place.h"

#define ID "file-out"

static int fake_setup(void **state)
{
	(void)state;
	blobs = blob_fake_new();
	return 0;
}

static int fake_teardown(void **state)
{
	(void)state;
	blobs_close(blobs);
	return 0;
}

static void assert_blob(const char *expected)
{
	char text[64] = "";
	struct blob_reader *r;
	struct error err;
	size_t n;

	assert_true(blob_open(blobs, ID, BLOB_DATA, &r, &err));
	assert_true(blob_read_upto(r, 0, text, sizeof(text) - 1, &n, &err));
	assert_string_equal(text, expected);
	blob_reader_close(r);
}

static struct blob_appender *opened(uint64_t keep_bytes)
{
	struct blob_appender *a;
	struct error err;

	if (!blob_append_open(blobs, ID, keep_bytes, &a, &err))
		fail_msg("%s (%s)", err.message, err.detail);
	assert_int_equal(blob_appended_bytes(a), keep_bytes);
	return a;
}

static void append(struct blob_appender *a, const char *text)
{
	struct error err;

	assert_true(blob_append(a, slice_of(text), &err));
}

static void opening_cuts_what_was_never_acknowledged(void **state)
{
	struct blob_appender *a = opened(0);
	struct error err;

	(void)state;
	append(a, "one\ntwo\nthr");
	assert_true(blob_append_sync(a, &err));
	blob_append_close(a);
	a = opened(8);
	append(a, "three\n");
	assert_int_equal(blob_appended_bytes(a), 14);
	assert_true(blob_append_sync(a, &err));
	blob_append_close(a);
	assert_blob("one\ntwo\nthree\n");
	blob_append_close(NULL);
}

static void what_is_rewound_is_gone_with_the_next_sync(void **state)
{
	struct blob_appender *a = opened(0);
	struct error err;

	(void)state;
	append(a, "one\n");
	assert_true(blob_append_sync(a, &err));
	blob_append_keep(a, 4);
	append(a, "a long line that comes to nothing\n");
	assert_true(blob_append_sync(a, &err));
	blob_append_rewind_to(a, 4);
	append(a, "two\n");
	assert_int_equal(blob_appended_bytes(a), 8);
	assert_true(blob_append_sync(a, &err));
	assert_blob("one\ntwo\n");
	blob_append_rewind_to(a, 4);
	assert_true(blob_append_sync(a, &err)); /* nothing was appended: it is cut all the same */
	assert_blob("one\n");
	blob_append_close(a);
}

/* So a store whose written parts cannot be changed may finish what is kept. */
static void dies_of(void (*mistake)(struct blob_appender *a))
{
	struct blob_appender *a = opened(0);
	struct error err;
	int status;

	append(a, "one\n");
	assert_true(blob_append_sync(a, &err));
	blob_append_keep(a, 4);
	append(a, "two\n");
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		mistake(a);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	blob_append_close(a);
}

static void rewind_below_what_is_kept(struct blob_appender *a)
{
	blob_append_rewind_to(a, 3);
}

static void rewind_behind_the_end(struct blob_appender *a)
{
	blob_append_rewind_to(a, 9);
}

static void keep_what_is_not_synced(struct blob_appender *a)
{
	blob_append_keep(a, 8);
}

static void keep_less(struct blob_appender *a)
{
	struct error err;

	if (blob_append_sync(a, &err))
		blob_append_keep(a, 3);
}

static void mistakes_end_the_process(void **state)
{
	(void)state;
	dies_of(rewind_below_what_is_kept);
	dies_of(rewind_behind_the_end);
	dies_of(keep_what_is_not_synced);
	dies_of(keep_less);
}

static void lost_results_are_an_error_and_not_made_anew(void **state)
{
	struct blob_appender *a = opened(0);
	struct blob_reader *r;
	struct error err;

	(void)state;
	append(a, "one\n");
	assert_true(blob_append_sync(a, &err));
	blob_append_close(a);
	assert_false(blob_append_open(blobs, ID, 5, &a, &err)); /* shorter than it was */
	assert_int_equal(err.sys, EBADMSG);
	assert_blob("one\n");
	assert_false(blob_append_open(blobs, "file-gone", 5, &a, &err));
	assert_int_equal(err.sys, ENOENT);
	assert_false(blob_open(blobs, "file-gone", BLOB_DATA, &r, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

/* ---- faults: what failed does not count, and doing it again heals it ---- */

static bool two_lines(struct blob_appender *a, struct error *err)
{
	return blob_append(a, SLICE("two\n"), err) && blob_append(a, SLICE("three\n"), err) &&
	       blob_append_sync(a, err);
}

/* `arm` makes the n-th call fail; `disarm` says whether one did. */
static void any_fault(void (*arm)(int nth), bool (*disarm)(void))
{
	bool fired = true;
	int nth;

	for (nth = 1; fired; nth++) {
		struct blob_appender *a = opened(0);
		struct error err;
		append(a, "one\n");
		append(a, "something longer than two and three");
		assert_true(blob_append_sync(a, &err));
		blob_append_rewind_to(a, 4);
		arm(nth);
		bool ok = two_lines(a, &err);
		fired = disarm();
		assert_int_equal(ok, !fired);
		if (!ok) {
			blob_append_rewind_to(a, 4);
			assert_true(two_lines(a, &err));
		}
		blob_append_close(a);
		assert_blob("one\ntwo\nthree\n");
		assert_true(blob_remove(blobs, ID, &err));
	}
	assert_true(nth > 3);
}

static void arm_disk(int nth)
{
	sys_fail_nth(nth, ENOSPC);
}

static void arm_fake(int nth)
{
	blob_fake_fail_nth(blobs, (unsigned)nth, ENOSPC);
}

static bool disarm_fake(void)
{
	return blob_fake_restore(blobs);
}

/* The n-th call is refused, or done and its answer is lost. */
static void any_fault_of_the_bucket(void)
{
	struct blob_appender *a;
	struct error err;
	bool fired = true;

	any_fault(world_fail_nth, world_restore);
	for (int nth = 1; fired; nth++) { /* an opening that cuts */
		a = opened(0);
		for (int i = 0; i < 4; i++) {
			append(a, "1234567\n");
			assert_true(blob_append_sync(a, &err));
		}
		blob_append_close(a);
		world_fail_nth(nth);
		bool ok = blob_append_open(blobs, ID, 12, &a, &err);
		fired = world_restore();
		assert_int_equal(ok, !fired);
		if (ok)
			blob_append_close(a);
		a = opened(12);
		append(a, "end\n");
		assert_true(blob_append_sync(a, &err));
		blob_append_close(a);
		assert_blob("1234567\n1234end\n");
	}
}

/* An object whose put had no answer stands where the row ends once more. */
static void what_was_put_without_an_answer_does_not_come_back(void **state)
{
	struct blob_appender *a;
	struct error err;

	(void)state;
	if (!place_is("bucket"))
		return;
	a = opened(0);
	for (int i = 0; i < 2; i++) {
		append(a, "12345");
		assert_true(blob_append_sync(a, &err));
	}
	append(a, "stale");
	world_fail_nth(2); /* the first call is done, and its answer lost */
	assert_false(blob_append_sync(a, &err));
	assert_true(world_restore());
	blob_append_rewind_to(a, 5);
	append(a, "67890");
	assert_true(blob_append_sync(a, &err));
	blob_append_close(a);
	assert_blob("1234567890");
}

static void any_fault_of_the_store(void **state)
{
	struct blob_appender *a;
	struct error err;

	(void)state;
	if (place_is("bucket"))
		any_fault_of_the_bucket();
	if (!place_is(""))
		return;
	any_fault(arm_disk, sys_restore);
	a = opened(0);
	append(a, "one\n");
	blob_append_close(a);
	sys_fail_nth(1, EIO); /* the cut at the opening */
	assert_false(blob_append_open(blobs, ID, 2, &a, &err));
	assert_true(sys_restore());
	assert_blob("one\n");
}

static void any_fault_elsewhere(void **state)
{
	(void)state;
	any_fault(arm_fake, disarm_fake);
}

int main(void)
{
#define ON_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		ON_PLACE(opening_cuts_what_was_never_acknowledged),
		ON_FAKE(opening_cuts_what_was_never_acknowledged),
		ON_PLACE(what_is_rewound_is_gone_with_the_next_sync),
		ON_FAKE(what_is_rewound_is_gone_with_the_next_sync),
		ON_PLACE(mistakes_end_the_process),
		ON_PLACE(lost_results_are_an_error_and_not_made_anew),
		ON_FAKE(lost_results_are_an_error_and_not_made_anew),
		ON_PLACE(what_was_put_without_an_answer_does_not_come_back),
		ON_PLACE(any_fault_of_the_store),
		ON_FAKE(any_fault_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
