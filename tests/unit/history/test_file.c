/* The file: what is written reads back; what is torn, cut or damaged is none; a power cut at any step
 * leaves the old one or the new one. */
#include "unit.h"

#include <fcntl.h>

#include "history/history_file.h"

static char *dir;
static struct rings rings;

static int setup(void **state)
{
	(void)state;
	dir = scratch_dir_new();
	assert_true(rings_init(&rings));
	for (uint32_t i = 0; i < 50; i++) {
		assert_true(rings_add(&rings, i % 2 == 0 ? "even" : "odd",
				      &(struct sums){ i, i * 3, i * 7, 1 }));
		rings_tick(&rings, 1);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rings_done(&rings);
	scratch_dir_remove(dir);
	return 0;
}

static struct buf encoded(int64_t at)
{
	struct buf file = BUF(HISTORY_FILE_MAX);

	history_encode(&rings, at, &file);
	assert_false(file.failed);
	return file;
}

static void save(int64_t at)
{
	struct buf file = encoded(at);
	struct error err;

	if (!history_save(dir, buf_slice(&file), &err))
		fail_msg("%s", err.detail);
	buf_free(&file);
}

static void same(const struct rings *a, const struct rings *b)
{
	struct rings_rate left[HOUR_STEPS] = { 0 }, right[HOUR_STEPS] = { 0 };
	static const char *const orgs[] = { NULL, "even", "odd", "nobody" };

	for (size_t i = 0; i < ARRAY_LEN(orgs); i++) {
		for (enum rings_span span = RINGS_HOUR; span <= RINGS_DAY; span++) {
			assert_int_equal(rings_read(a, orgs[i], span, left),
					 rings_read(b, orgs[i], span, right));
			assert_memory_equal(left, right, sizeof(left));
		}
	}
}

static void reads_back(void **state)
{
	struct rings read;
	struct error err;
	int64_t at;
	bool found;

	(void)state;
	save(1750000000);
	assert_true(rings_init(&read));
	assert_true(history_load(dir, &read, &at, &found, &err));
	assert_true(found && at == 1750000000);
	same(&rings, &read);
	rings_done(&read);
}

static void none_at_first(void **state)
{
	struct rings read;
	struct error err;
	int64_t at;
	bool found;

	(void)state;
	assert_true(rings_init(&read));
	assert_true(history_load(dir, &read, &at, &found, &err));
	assert_false(found);
	rings_done(&read);
}

static bool decodes(const char *p, size_t n)
{
	char *copy = malloc(n + 1); /* ASan sees what is read beyond it */
	struct rings read;
	struct error err;
	int64_t at;

	assert_non_null(copy);
	memcpy(copy, p, n);
	assert_true(rings_init(&read));
	bool ok = history_decode((struct slice){ copy, n }, &read, &at, &err);
	if (!ok)
		assert_int_equal(err.sys, EBADMSG);
	rings_done(&read);
	free(copy);
	return ok;
}

static void what_is_cut_or_damaged_is_none(void **state)
{
	struct buf file = encoded(1);

	(void)state;
	assert_true(decodes(file.p, file.n));
	for (size_t n = 0; n < file.n; n += n < 1000 ? 1 : 997)
		assert_false(decodes(file.p, n));
	buf_append(&file, "x", 1);
	assert_false(decodes(file.p, file.n));
	file.n--;
	for (size_t i = 0; i < file.n; i += i < 100 ? 1 : 613) {
		file.p[i] = (char)(file.p[i] ^ 0x10);
		assert_false(decodes(file.p, file.n));
		file.p[i] = (char)(file.p[i] ^ 0x10);
	}
	memset(file.p + file.n / 2, 0, file.n - file.n / 2); /* pages that never came */
	assert_false(decodes(file.p, file.n));
	buf_free(&file);
}

static void a_file_of_something_else_is_none(void **state)
{
	char path[PATH_MAX];
	struct rings read;
	struct error err;
	int64_t at;
	bool found;

	(void)state;
	assert_true(rings_init(&read));
	snprintf(path, sizeof(path), "%s/history", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, HISTORY_FILE_MAX + 1), 0);
	assert_false(history_load(dir, &read, &at, &found, &err));
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_false(history_load(dir, &read, &at, &found, &err));
	assert_int_equal(err.sys, EBADMSG);
	close(fd);
	rings_done(&read);
}

/* Each call that makes it durable fails in turn: the old file stays, whole, and the next write
 * goes through. */
static void a_disk_that_refuses_leaves_the_old_one(void **state)
{
	bool fired = true;
	int64_t before = 1;

	(void)state;
	save(before);
	for (int nth = 1; fired; nth++) {
		struct buf file = encoded(nth + 1);
		struct rings read;
		struct error err, why;
		int64_t at;
		bool found;

		sys_fail_nth(nth, ENOSPC);
		bool ok = history_save(dir, buf_slice(&file), &err);
		fired = sys_restore();
		buf_free(&file);
		assert_true(ok == !fired);
		assert_true(rings_init(&read));
		assert_true(history_load(dir, &read, &at, &found, &why));
		assert_true(found);
		/* a sync of the directory that fails comes after the rename */
		assert_true(at == nth + 1 || (fired && at == before));
		before = at;
		same(&rings, &read);
		rings_done(&read);
	}
	save(99);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(reads_back),
		TEST(none_at_first),
		TEST(what_is_cut_or_damaged_is_none),
		TEST(a_file_of_something_else_is_none),
		TEST(a_disk_that_refuses_leaves_the_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
