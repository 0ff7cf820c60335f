/* Files that the database does not know: moved, listed, and removed by age or on request. */
#include "unit.h"

#include <fcntl.h>

#include "blob/lost.h"

#define AT INT64_C(1764427274) /* 20251129T144114Z */
#define DAY INT64_C(86400)

static char *dir;

static int setup(void **state)
{
	(void)state;
	dir = scratch_dir_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(dir);
	return 0;
}

static void file_put(const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, folder);
	assert_true(sys_make_dir(path));
	snprintf(path, sizeof(path), "%s/%s/%s", dir, folder, name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(sys_write_all(fd, text, strlen(text)));
	close(fd);
}

static void take(const char *folder, const char *name, int64_t at)
{
	struct error err;

	file_put(folder, name, "12345");
	if (!lost_take(dir, at, folder, name, &err))
		fail_msg("%s (%s)", err.message, err.detail);
}

struct seen {
	unsigned files;
	uint64_t bytes;
	int64_t at;
	char path[PATH_MAX];
};

static void see(void *ctx, const struct lost_file *file)
{
	struct seen *s = ctx;

	s->files++;
	s->bytes += file->bytes;
	s->at = file->at;
	snprintf(s->path, sizeof(s->path), "%s", file->path);
}

static struct seen look(void)
{
	struct seen s = { 0 };
	struct error err;

	assert_true(lost_each(dir, see, &s, &err));
	return s;
}

static void it_is_moved_by_its_name(void **state)
{
	(void)state;
	assert_int_equal(look().files, 0); /* there is no lost/ yet */
	take("batches", "batch_1.journal", AT);
	struct seen s = look();
	assert_int_equal(s.files, 1);
	assert_int_equal(s.bytes, 5);
	assert_int_equal(s.at, AT);
	assert_string_equal(s.path, "lost/20251129T144114Z/batch_1.journal");
	assert_int_equal(scratch_count(dir, "batches"), 0);
}

static void it_goes_when_its_time_is_over(void **state)
{
	struct error err;
	uint64_t files, bytes;

	(void)state;
	take("files", "a.jsonl", AT);
	take("files", "b.jsonl", AT);
	take("files", "c.jsonl", AT + DAY);
	file_put("lost/keep", "mine", "a directory of the operator's own");
	file_put("lost/20250231T144114Z", "mine", "of no day");
	assert_true(lost_remove(dir, AT - 1, &files, &bytes, &err));
	assert_int_equal(files, 0);
	assert_true(lost_remove(dir, AT, &files, &bytes, &err));
	assert_int_equal(files, 2);
	assert_int_equal(bytes, 10);
	assert_false(scratch_exists(dir, "lost/20251129T144114Z"));
	assert_true(scratch_exists(dir, "lost/20251130T144114Z/c.jsonl"));
	assert_true(lost_remove(dir, INT64_MAX, &files, &bytes, &err));
	assert_int_equal(files, 1);
	assert_true(scratch_exists(dir, "lost/keep/mine"));
	assert_true(scratch_exists(dir, "lost/20250231T144114Z/mine"));
	assert_int_equal(look().files, 0);
}

static void a_failing_disk_loses_nothing(void **state)
{
	bool fired = true;

	(void)state;
	for (int nth = 1; fired; nth++) {
		struct error err;
		file_put("files", "a.jsonl", "12345");
		unsigned before = look().files;
		sys_fail_nth(nth, EIO);
		bool ok = lost_take(dir, AT, "files", "a.jsonl", &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		assert_int_equal(look().files + scratch_exists(dir, "files/a.jsonl"), before + 1);
	}
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCRATCH(it_is_moved_by_its_name),
		IN_SCRATCH(it_goes_when_its_time_is_over),
		IN_SCRATCH(a_failing_disk_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
