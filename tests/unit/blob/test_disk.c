/* Blobs on disk: whole or not there, whatever call fails and wherever the process is killed. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/id.h"
#include "base/log.h"
#include "blob/blob.h"
#include "blob/lost.h"
#include "redo/redo.h"

static char *dir;
static struct blobs *blobs;

static void open_blobs(void)
{
	struct error err;

	if (!blobs_open(dir, NULL, &blobs, &err))
		fail_msg("%s (%s)", err.message, err.detail);
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	dir = scratch_dir_new();
	open_blobs();
	return 0;
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int teardown(void **state)
{
	(void)state;
	blobs_close(blobs);
	scratch_dir_remove(dir);
	return 0;
}

/* A blob of two writes, all the way to its durable name; stops at the first error. */
static bool put(const char *id, struct slice first, struct slice second, struct error *err)
{
	struct blob_writer *w;

	if (!blob_create(blobs, &w, err))
		return false;
	if (!blob_write(w, first, err) || !blob_write(w, second, err) || !blob_sync(w, err)) {
		blob_abort(w);
		return false;
	}
	return blob_commit(w, id, BLOB_DATA, err) && blobs_sync(blobs, err);
}

static void put_text(const char *id, const char *text)
{
	struct error err;

	assert_true(put(id, slice_of(text), SLICE(""), &err));
}

static void assert_blob(const char *id, const char *expected)
{
	char text[64] = "";
	struct blob_reader *r;
	struct error err;

	assert_true(blob_open(blobs, id, BLOB_DATA, &r, &err));
	assert_int_equal(blob_bytes(r), strlen(expected));
	assert_true(blob_read_at(r, 0, text, blob_bytes(r), &err));
	assert_string_equal(text, expected);
	blob_reader_close(r);
}

static void assert_no_blob(const char *id)
{
	struct blob_reader *r = NULL;
	struct error err;

	assert_false(blob_open(blobs, id, BLOB_DATA, &r, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_string_equal(err.param, "id");
	assert_null(r);
}

/* ---- one blob's life ---- */

static void an_aborted_blob_never_was(void **state)
{
	struct blob_writer *w;
	struct error err;

	(void)state;
	assert_true(blob_create(blobs, &w, &err));
	assert_true(blob_write(w, SLICE("x"), &err));
	assert_int_equal(scratch_count(dir, "tmp"), 1);
	blob_abort(w);
	assert_int_equal(scratch_count(dir, "tmp"), 0);
	assert_int_equal(scratch_count(dir, "files"), 0);
	blob_abort(NULL);
}

static void blobs_are_for_the_owner_alone(void **state)
{
	char path[PATH_MAX];
	struct stat st;

	(void)state;
	put_text("file-a", "prompt");
	snprintf(path, sizeof(path), "%s/files/file-a.jsonl", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(path, sizeof(path), "%s/files", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

/* ---- ids come from strangers ---- */

static void ids_that_are_no_plain_names_are_not_found(void **state)
{
	static const char *const bad[] = {
		"",
		".",
		"..",
		"../meta",
		"a/b",
		"/etc/passwd",
		"a.jsonl",
		"a b",
		"a\nb",
		"é",
		"file-0123456789012345678901234567890123456789012345678901234567890123456789",
	};
	char target[PATH_MAX];
	struct error err;
	int fd;

	(void)state;
	snprintf(target, sizeof(target), "%s/secret.jsonl", dir);
	fd = open(target, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_no_blob("../secret");
	assert_true(blob_remove(blobs, "../secret", &err));
	assert_true(scratch_exists(dir, "secret.jsonl"));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct blob_appender *a;
		struct blob_writer *w;
		assert_no_blob(bad[i]);
		assert_false(blob_append_open(blobs, bad[i], 0, &a, &err));
		assert_int_equal(err.kind, ERR_NOT_FOUND);
		assert_true(blob_create(blobs, &w, &err));
		assert_false(blob_commit(w, bad[i], BLOB_DATA, &err));
		assert_int_equal(err.kind, ERR_NOT_FOUND);
	}
	assert_int_equal(scratch_count(dir, "tmp"), 0);
	assert_int_equal(scratch_count(dir, "files"), 0);
}

/* ---- start: tmp and sweep ---- */

static void opening_clears_tmp_and_keeps_files(void **state)
{
	struct blob_writer *w;
	struct error err;

	(void)state;
	put_text("file-a", "kept");
	assert_true(blob_create(blobs, &w, &err)); /* of a server that is killed now */
	blobs_close(blobs);
	open_blobs();
	assert_int_equal(scratch_count(dir, "tmp"), 0);
	assert_blob("file-a", "kept");
	blob_abort(w);
}

/* What the database says, and how often it was asked. */
static enum blob_standing standing(void *ctx, const char *id)
{
	++*(int *)ctx;
	return strcmp(id, "file-known") == 0     ? BLOB_KNOWN
	       : strcmp(id, "file-deleted") == 0 ? BLOB_DELETED
						 : BLOB_UNKNOWN;
}

#define SWEPT_AT INT64_C(1764427274)
#define SWEPT_DIR "lost/20251129T144114Z"

static void empty_put(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/files/%s", dir, name);
	close(open(path, O_WRONLY | O_CREAT, 0600));
}

/* D1: what was deleted goes; what the database does not know is kept where people can find it. */
static void the_sweep_removes_by_decision_alone(void **state)
{
	struct error err;
	int asked = 0;

	(void)state;
	put_text("file-known", "k");
	put_text("file-deleted", "d");
	put_text("file-orphan", "o");
	empty_put("file-orphan.index");
	empty_put("file-empty.jsonl"); /* a result file without lines, of a batch that ended */
	empty_put("notes.txt");
	assert_true(blobs_sweep(blobs, standing, &asked, SWEPT_AT, &err));
	assert_int_equal(asked, 5);
	assert_blob("file-known", "k");
	assert_no_blob("file-deleted");
	assert_no_blob("file-orphan");
	assert_no_blob("file-empty");
	assert_true(scratch_exists(dir, SWEPT_DIR "/file-orphan.jsonl"));
	assert_true(scratch_exists(dir, SWEPT_DIR "/file-orphan.index"));
	assert_int_equal(scratch_count(dir, SWEPT_DIR), 2);
	assert_true(scratch_exists(dir, "files/notes.txt")); /* not of our making */
}

/* A second sweep never puts a file over one that is there. */
static void what_is_lost_twice_is_there_twice(void **state)
{
	struct error err;
	int asked = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		put_text("file-orphan", "o");
		assert_true(blobs_sweep(blobs, standing, &asked, SWEPT_AT, &err));
	}
	assert_true(scratch_exists(dir, SWEPT_DIR "/file-orphan.jsonl"));
	assert_true(scratch_exists(dir, "lost/20251129T144115Z/file-orphan.jsonl"));
	put_text("file-a", "a");
	assert_true(blob_lose(blobs, "file-a", SWEPT_AT + 9, &err));
	assert_true(blob_lose(blobs, "file-a", SWEPT_AT + 9, &err)); /* is not there any more */
	assert_no_blob("file-a");
	assert_true(scratch_exists(dir, "lost/20251129T144123Z/file-a.jsonl"));
}

struct count {
	const char *name;
	int n;
};

static void count_one(void *ctx, const struct lost_file *file)
{
	struct count *c = ctx;

	c->n += strcmp(strrchr(file->path, '/') + 1, c->name) == 0;
}

/* How many of that name are in lost/. */
static int lost_with(const char *name)
{
	struct count c = { name, 0 };
	struct error err;

	assert_true(lost_each(dir, count_one, &c, &err));
	return c.n;
}

/* What would be cut off, and nothing can bring back, is kept aside whole. */
static void a_tail_is_lost_with_a_copy_of_the_rest_in_its_place(void **state)
{
	struct error err;

	(void)state;
	put_text("file-a", "kept and not");
	assert_true(blob_lose_tail(blobs, "file-none", 4, SWEPT_AT, &err));
	assert_true(blob_lose_tail(blobs, "file-a", 12, SWEPT_AT, &err));
	assert_false(scratch_exists(dir, "lost"));
	assert_true(blob_lose_tail(blobs, "file-a", 4, SWEPT_AT, &err));
	assert_blob("file-a", "kept");
	assert_true(scratch_exists(dir, SWEPT_DIR "/file-a.jsonl"));
	assert_int_equal(scratch_count(dir, "tmp"), 0);
	bool fired = true;
	for (int nth = 1; fired; nth++) { /* the whole is in one place or in the other */
		int lost_before = lost_with("file-b.jsonl");
		put_text("file-b", "kept and not");
		sys_fail_nth(nth, ENOSPC);
		bool ok = blob_lose_tail(blobs, "file-b", 4, SWEPT_AT + 100 + nth, &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		int kept = lost_with("file-b.jsonl") - lost_before;
		if (kept == 0)
			assert_blob("file-b", "kept and not");
		assert_int_equal(scratch_count(dir, "tmp"), 0);
	}
}

static void a_sweep_that_fails_goes_on_at_the_next(void **state)
{
	bool fired = true;

	(void)state;
	for (int nth = 1; fired; nth++) {
		struct error err;
		int asked = 0;
		put_text("file-orphan", "o");
		sys_fail_nth(nth, ENOSPC);
		bool ok = blobs_sweep(blobs, standing, &asked, SWEPT_AT + nth, &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		assert_true(blobs_sweep(blobs, standing, &asked, SWEPT_AT + nth, &err));
		assert_no_blob("file-orphan");
	}
}

static void a_directory_that_cannot_be_is_an_error(void **state)
{
	struct blobs *other = NULL;
	char path[PATH_MAX];
	struct error err;

	(void)state;
	assert_false(blobs_open("/nonexistent/lowtide", NULL, &other, &err));
	assert_int_equal(err.sys, ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_false(blobs_open(path, NULL, &other, &err));
	assert_int_equal(err.sys, ENAMETOOLONG);
	sys_fail_nth(1, EIO);
	assert_false(blobs_open(dir, NULL, &other, &err));
	assert_true(sys_restore());
	assert_null(other);
}

/* ---- faults ---- */

static void nothing_half_made_becomes_visible(int error, enum error_kind kind)
{
	bool fired = true;
	int nth;

	for (nth = 1; fired; nth++) { /* until every call has had its turn */
		struct error err;
		sys_fail_nth(nth, error);
		bool ok = put("file-a", SLICE("first half, "), SLICE("second half"), &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		if (!ok) {
			assert_int_equal(err.kind, kind);
			assert_int_equal(err.sys, error);
			assert_true(strstr(err.message, dir) == NULL); /* no paths for the client */
		}
		assert_int_equal(scratch_count(dir, "tmp"), 0);
		/* The last call is the sync of the directory: the blob is whole already then. */
		if (scratch_count(dir, "files") > 0)
			assert_blob("file-a", "first half, second half");
		assert_true(blob_remove(blobs, "file-a", &err));
	}
	assert_int_equal(nth - 2, 5); /* two writes, fsync, rename, fsync of the directory */
}

static void a_full_disk_at_any_call_leaves_nothing(void **state)
{
	(void)state;
	nothing_half_made_becomes_visible(ENOSPC, ERR_NO_SPACE);
	nothing_half_made_becomes_visible(EDQUOT, ERR_NO_SPACE);
}

static void a_failing_disk_at_any_call_leaves_nothing(void **state)
{
	(void)state;
	nothing_half_made_becomes_visible(EIO, ERR_INTERNAL);
}

static void a_failed_write_can_be_tried_again(void **state)
{
	struct blob_writer *w;
	struct error err;

	(void)state;
	assert_true(blob_create(blobs, &w, &err));
	assert_true(blob_write(w, SLICE("one "), &err));
	sys_fail_nth(1, ENOSPC); /* leaves half of it */
	assert_false(blob_write(w, SLICE("XXXX"), &err));
	assert_true(sys_restore());
	assert_true(blob_write(w, SLICE("two"), &err));
	assert_true(blob_commit(w, "file-a", BLOB_DATA, &err)); /* syncs: no call has before */
	assert_blob("file-a", "one two");
}

static void after_a_failed_fsync_there_is_no_second_chance(void **state)
{
	struct blob_writer *w;
	struct error err;

	(void)state;
	assert_true(blob_create(blobs, &w, &err));
	assert_true(blob_write(w, SLICE("x"), &err));
	sys_fail_nth(1, EIO);
	assert_false(blob_sync(w, &err));
	assert_true(sys_restore());
	assert_false(blob_sync(w, &err));
	assert_false(blob_commit(w, "file-a", BLOB_DATA, &err));
	assert_no_blob("file-a");
	assert_int_equal(scratch_count(dir, "tmp"), 0);
}

/* ---- kill -9 at the failpoints ---- */

#ifdef LOWTIDE_FAILPOINTS

/* Puts file-a in a child that the failpoint kills. */
static void put_and_be_killed(const char *setting)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct error err;
		setenv("LOWTIDE_FAILPOINTS", setting, 1);
		failpoints_init();
		(void)!put("file-a", SLICE("first, "), SLICE("second"), &err);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void killed_before_the_name_only_tmp_is_left(void **state)
{
	static const char *const settings[] = { "blob.write=kill", "blob.write=kill@2",
						"ingest.before_rename=kill" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		put_and_be_killed(settings[i]);
		assert_int_equal(scratch_count(dir, "tmp"), 1);
		assert_int_equal(scratch_count(dir, "files"), 0);
		blobs_close(blobs);
		open_blobs();
		assert_int_equal(scratch_count(dir, "tmp"), 0);
	}
}

static void killed_after_the_name_the_blob_is_whole_and_swept(void **state)
{
	struct error err;
	int asked = 0;

	(void)state;
	put_and_be_killed("ingest.after_rename=kill");
	assert_int_equal(scratch_count(dir, "tmp"), 0);
	assert_blob("file-a", "first, second");
	assert_true(blobs_sweep(blobs, standing, &asked, SWEPT_AT, &err));
	assert_no_blob("file-a");
	assert_true(scratch_exists(dir, SWEPT_DIR "/file-a.jsonl"));
}

static void a_full_disk_by_failpoint_is_no_space(void **state)
{
	char setting[PATH_MAX];
	struct error err;

	(void)state;
	snprintf(setting, sizeof(setting), "blob.write=enospc:%s", dir); /* which is there */
	setenv("LOWTIDE_FAILPOINTS", setting, 1);
	failpoints_init();
	assert_false(put("file-a", SLICE("x"), SLICE("y"), &err));
	assert_int_equal(err.kind, ERR_NO_SPACE);
	unsetenv("LOWTIDE_FAILPOINTS");
	failpoints_init();
	assert_true(put("file-a", SLICE("x"), SLICE("y"), &err));
}

#endif

/* ---- small blobs, with a redo log ---- */

static unsigned data_syncs, dir_syncs;

static int counted_fdatasync(int fd)
{
	(void)fd;
	data_syncs++;
	return 0;
}

static int counted_fsync(int fd)
{
	(void)fd;
	dir_syncs++;
	return 0;
}

/* Up to `most` bytes in three pieces, one of them changed; false: it does not read back. */
static bool small_write(const char *id, size_t n, const char *bytes)
{
	struct error err;
	struct blob_writer *w;
	char back[64 << 10];

	assert_true(n >= 30 && n <= sizeof(back));
	assert_true(blob_create(blobs, &w, &err));
	assert_true(blob_write(w, (struct slice){ "0123456789", 10 }, &err));
	assert_true(blob_write(w, (struct slice){ bytes + 10, n - 20 }, &err));
	assert_true(blob_overwrite(w, 0, (struct slice){ bytes, 12 }, &err));
	assert_true(blob_write(w, (struct slice){ bytes + n - 10, 10 }, &err));
	assert_true(blob_read_at(blob_writer_reader(w), 0, back, n, &err));
	bool same = memcmp(back, bytes, n) == 0;
	assert_true(blob_sync(w, &err) && blob_commit(w, id, BLOB_DATA, &err));
	assert_true(blobs_sync(blobs, &err));
	return same;
}

static void a_small_blob_is_durable_by_the_redo_log(void **state)
{
	static const size_t sizes[] = { 30, 4096, 32 << 10, (32 << 10) + 1, 60 << 10 };
	struct error err;
	struct redo *redo;
	char bytes[64 << 10], back[64 << 10], id[ID_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 251);
	blobs_close(blobs);
	assert_true(redo_open(dir, &redo, &err));
	assert_true(blobs_open(dir, redo, &blobs, &err));
	assert_true(blobs_sync(blobs, &err)); /* names of the process before */
	sys.fdatasync = counted_fdatasync;
	sys.fsync = counted_fsync;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct blob_reader *r;
		bool small = sizes[i] <= 32 << 10;
		data_syncs = dir_syncs = 0;
		id_file(id);
		assert_true(small_write(id, sizes[i], bytes));
		assert_int_equal(dir_syncs, small ? 0 : 2); /* of the file, and of its directory */
		assert_int_equal(data_syncs, small ? 1 : 0);
		assert_true(blob_open(blobs, id, BLOB_DATA, &r, &err));
		assert_int_equal(blob_bytes(r), sizes[i]);
		assert_true(blob_read_at(r, 0, back, sizes[i], &err));
		assert_memory_equal(back, bytes, sizes[i]);
		blob_reader_close(r);
	}
	assert_true(blob_put(blobs, id, BLOB_INDEX, (struct slice){ bytes, 100 }, &err));
	assert_true(blobs_sync(blobs, &err) && blob_remove(blobs, id, &err));
	blobs_close(blobs);
	redo_close(redo);
	sys.fdatasync = fdatasync;
	sys.fsync = fsync;
	assert_true(blobs_open(dir, NULL, &blobs, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DISK(a_small_blob_is_durable_by_the_redo_log),
		ON_DISK(an_aborted_blob_never_was),
		ON_DISK(blobs_are_for_the_owner_alone),
		ON_DISK(ids_that_are_no_plain_names_are_not_found),
		ON_DISK(opening_clears_tmp_and_keeps_files),
		ON_DISK(the_sweep_removes_by_decision_alone),
		ON_DISK(what_is_lost_twice_is_there_twice),
		ON_DISK(a_tail_is_lost_with_a_copy_of_the_rest_in_its_place),
		ON_DISK(a_sweep_that_fails_goes_on_at_the_next),
		ON_DISK(a_directory_that_cannot_be_is_an_error),
		ON_DISK(a_full_disk_at_any_call_leaves_nothing),
		ON_DISK(a_failing_disk_at_any_call_leaves_nothing),
		ON_DISK(a_failed_write_can_be_tried_again),
		ON_DISK(after_a_failed_fsync_there_is_no_second_chance),
#ifdef LOWTIDE_FAILPOINTS
		ON_DISK(killed_before_the_name_only_tmp_is_left),
		ON_DISK(killed_after_the_name_the_blob_is_whole_and_swept),
		ON_DISK(a_full_disk_by_failpoint_is_no_space),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
