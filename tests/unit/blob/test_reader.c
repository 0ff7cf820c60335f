/* Reading a blob: whole whatever pieces it comes in, exact at its end, and told apart from a bad
 * disk. */
#include "unit.h"

#include <fcntl.h>

#include "blob_fake.h"

static struct blobs *fake;
static struct blob_reader *reader;

static int setup(void **state)
{
	(void)state;
	fake = blob_fake_new();
	reader = blob_fake_reader(fake, SLICE("0123456789"));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	blob_reader_close(reader);
	blobs_close(fake);
	return 0;
}

/* What stands at `at`, as text; "!": failed, with err->sys in *ret_sys. */
static const char *exactly(const struct blob_reader *r, uint64_t at, size_t n, int *ret_sys)
{
	static char text[32];
	struct error err;

	memset(text, 0, sizeof(text));
	*ret_sys = 0;
	if (blob_read_at(r, at, text, n, &err))
		return text;
	*ret_sys = err.sys;
	return "!";
}

static void whole_out_of_short_reads(void **state)
{
	int errno_of;

	(void)state;
	for (size_t most = 0; most < 11; most++) {
		blob_fake_read_most(fake, most);
		assert_string_equal(exactly(reader, 0, 10, &errno_of), "0123456789");
		assert_string_equal(exactly(reader, 3, 4, &errno_of), "3456");
		assert_string_equal(exactly(reader, 10, 0, &errno_of), "");
	}
	assert_int_equal(blob_bytes(reader), 10);
}

static void the_end_is_no_fault_of_the_disk(void **state)
{
	int errno_of;

	(void)state;
	for (size_t most = 0; most < 4; most++) {
		blob_fake_read_most(fake, most);
		assert_string_equal(exactly(reader, 0, 11, &errno_of), "!");
		assert_int_equal(errno_of, ENODATA);
		assert_string_equal(exactly(reader, 10, 1, &errno_of), "!");
		assert_int_equal(errno_of, ENODATA);
		assert_string_equal(exactly(reader, UINT64_C(1) << 40, 1, &errno_of), "!");
		assert_int_equal(errno_of, ENODATA);
	}
}

static void up_to_the_end(void **state)
{
	struct error err;
	char text[16];
	size_t n;

	(void)state;
	for (size_t most = 0; most < 4; most++) {
		blob_fake_read_most(fake, most);
		assert_true(blob_read_upto(reader, 4, text, sizeof(text), &n, &err));
		assert_int_equal(n, 6);
		assert_memory_equal(text, "456789", 6);
		assert_true(blob_read_upto(reader, 2, text, 3, &n, &err));
		assert_int_equal(n, 3);
		assert_true(blob_read_upto(reader, 10, text, 3, &n, &err));
		assert_int_equal(n, 0);
	}
}

static void a_fault_in_any_piece_is_told(void **state)
{
	struct error err;
	char text[16];
	size_t n;
	int errno_of;

	(void)state;
	blob_fake_read_most(fake, 3);
	for (unsigned nth = 1; nth <= 4; nth++) {
		blob_fake_fail_nth(fake, nth, EIO);
		assert_string_equal(exactly(reader, 0, 10, &errno_of), "!");
		assert_int_equal(errno_of, EIO);
		blob_fake_fail_nth(fake, nth, EIO);
		assert_false(blob_read_upto(reader, 0, text, 10, &n, &err));
	}
	assert_true(blob_fake_restore(fake));
	assert_string_equal(exactly(reader, 0, 10, &errno_of), "0123456789");
}

static void a_blob_without_a_descriptor_has_none_to_give(void **state)
{
	int errno_of;

	(void)state;
	assert_int_equal(blob_reader_take_fd(reader), -1);
	assert_string_equal(exactly(reader, 0, 2, &errno_of), "01");
	blob_reader_close(NULL);
}

/* ---- a user's own file ---- */

static void a_users_file(void **state)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), errno_of;
	struct blob_reader *r;
	struct error err;
	char byte;

	(void)state;
	assert_int_equal(write(fd, "abc", 3), 3);
	assert_true(blob_reader_of_file(fd, "in.jsonl", &r, &err));
	assert_int_equal(blob_bytes(r), 3);
	assert_string_equal(exactly(r, 1, 2, &errno_of), "bc");
	assert_string_equal(exactly(r, 1, 3, &errno_of), "!");
	assert_int_equal(errno_of, ENODATA);
	assert_int_equal(blob_reader_take_fd(r), fd);
	assert_int_equal(blob_reader_take_fd(r), -1);
	blob_reader_close(r);
	assert_int_equal(pread(fd, &byte, 1, 2), 1); /* it is ours now */
	close(fd);
	assert_false(blob_reader_of_file(fd, "in.jsonl", &r, &err));
	assert_int_equal(err.sys, EBADF);
	assert_non_null(strstr(err.detail, "in.jsonl"));
}

/* `lowtide run`: no store has a copy, and none is removed. */
static void a_lent_file_is_read_where_it_lies(void **state)
{
	char *dir = scratch_dir_new(), here[PATH_MAX];
	struct blob_reader *r;
	struct error err;
	int errno_of;

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(dir), 0);
	int fd = open("mine.jsonl", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	for (int again = 0; again < 2; again++) /* as when a run goes on */
		assert_true(blob_lend(fake, "file-mine", "mine.jsonl", &err));
	assert_int_equal(chdir(here), 0); /* the name holds from any directory */
	assert_true(blob_open(fake, "file-mine", BLOB_DATA, &r, &err));
	assert_string_equal(exactly(r, 0, 4, &errno_of), "mine");
	blob_reader_close(r);
	assert_false(blob_open(fake, "file-mine", BLOB_INDEX, &r, &err));
	assert_true(blob_remove(fake, "file-mine", &err));
	assert_false(blob_open(fake, "file-mine", BLOB_DATA, &r, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_true(scratch_exists(dir, "mine.jsonl"));

	assert_false(blob_lend(fake, "file-mine", "/nonexistent", &err));
	assert_int_equal(err.sys, ENOENT);
	assert_false(blob_lend(fake, "file-mine", dir, &err)); /* no regular file */
	assert_int_equal(err.sys, EINVAL);
	scratch_dir_remove(dir);
}

/* ---- what a writer has written ---- */

static void what_is_being_written_can_be_read(void **state)
{
	struct blobs *const stores[] = { NULL, fake };
	int errno_of;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stores); i++) {
		struct blob_writer *w;
		struct error err;
		assert_true(blob_create(stores[i], &w, &err));
		const struct blob_reader *back = blob_writer_reader(w);
		assert_true(blob_write(w, SLICE("one "), &err) &&
			    blob_write(w, SLICE("two"), &err));
		assert_int_equal(blob_bytes(back), 7);
		assert_true(blob_overwrite(w, 4, SLICE("T"), &err));
		assert_string_equal(exactly(back, 0, 7, &errno_of), "one Two");
		assert_true(blob_sync(w, &err));
		struct blob_reader *kept = blob_writer_end(w);
		assert_int_equal(blob_bytes(kept), 7);
		assert_string_equal(exactly(kept, 4, 3, &errno_of), "Two");
		blob_reader_close(kept);
	}
	assert_int_equal(blob_fake_count(fake), 0);
	assert_int_equal(blob_fake_writers(fake), 0);
}

int main(void)
{
#define ON_FAKE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ON_FAKE(whole_out_of_short_reads),
		ON_FAKE(the_end_is_no_fault_of_the_disk),
		ON_FAKE(up_to_the_end),
		ON_FAKE(a_fault_in_any_piece_is_told),
		ON_FAKE(a_blob_without_a_descriptor_has_none_to_give),
		ON_FAKE(a_users_file),
		ON_FAKE(a_lent_file_is_read_where_it_lies),
		ON_FAKE(what_is_being_written_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
