/* The parts of an upload read as one blob: in the order of the list, across their edges, each also
 * twice; a missing one is found by the read that needs it. */
#include "unit.h"

#include <pthread.h>

#include "blob/parts.h"
#include "blob_fake.h"
#include "place.h"

static struct blobs *fake; /* or of the kind of place.h */

static void put(const char *id, struct slice bytes)
{
	struct blob_writer *w;
	struct error err;

	assert_true(blob_create(fake, &w, &err) && blob_write(w, bytes, &err) &&
		    blob_commit(w, id, BLOB_DATA, &err));
}

static int setup(void **state)
{
	if (place_is(""))
		fake = blob_fake_new();
	else if (place_setup(state) == 0)
		fake = blobs;
	put("one", SLICE("abcdefgh"));
	put("two", SLICE("12345"));
	return 0;
}

static int teardown(void **state)
{
	if (!place_is(""))
		return place_teardown(state);
	blobs_close(fake);
	return 0;
}

static struct blob_reader *parts_open(const struct blob_part *parts, size_t n)
{
	struct blob_reader *r;
	struct error err;

	assert_true(blob_parts_open(fake, parts, n, &r, &err));
	return r;
}

static void in_the_order_of_the_list_across_the_edges(void **state)
{
	static const struct blob_part parts[] = {
		{ "two", 1, 3 }, { "one", 0, 0 }, { "one", 2, 5 }, { "two", 1, 3 }, { "one", 8, 0 },
	};
	static const char whole[] = "234cdefg234";
	struct blob_reader *r = parts_open(parts, ARRAY_LEN(parts));
	char text[16];
	struct error err;
	size_t n;

	(void)state;
	assert_int_equal(blob_bytes(r), 11);
	assert_int_equal(blob_reader_take_fd(r), -1);
	for (size_t at = 0; at <= 11; at++)
		for (size_t want = 0; at + want <= 11; want++) {
			assert_true(blob_read_at(r, at, text, want, &err));
			assert_memory_equal(text, whole + at, want);
		}
	assert_true(blob_read_upto(r, 9, text, sizeof(text), &n, &err));
	assert_int_equal(n, 2);
	assert_false(blob_read_at(r, 5, text, 7, &err));
	assert_int_equal(err.sys, ENODATA);
	blob_reader_close(r);
}

static void of_no_parts(void **state)
{
	static const struct blob_part none = { "gone", 0, 0 };
	char byte;
	struct error err;
	size_t got;

	(void)state;
	for (size_t n = 0; n <= 1; n++) {
		struct blob_reader *r = parts_open(&none, n);
		assert_int_equal(blob_bytes(r), 0);
		assert_true(blob_read_upto(r, 0, &byte, 1, &got, &err));
		assert_int_equal(got, 0);
		blob_reader_close(r);
	}
}

static void a_part_that_is_gone_or_short(void **state)
{
	static const struct blob_part parts[] = { { "one", 0, 8 }, { "gone", 0, 2 } };
	static const struct blob_part too_long = { "two", 3, 3 };
	struct blob_reader *r = parts_open(parts, 2);
	char text[16];
	struct error err;

	(void)state;
	assert_false(blob_read_at(r, 6, text, 4, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_true(blob_read_at(r, 0, text, 8, &err)); /* the rest is as it was */
	assert_memory_equal(text, "abcdefgh", 8);
	blob_reader_close(r);
	r = parts_open(&too_long, 1);
	assert_false(blob_read_at(r, 0, text, 3, &err));
	assert_int_equal(err.sys, ENODATA);
	blob_reader_close(r);
}

static void a_fault_is_told(void **state)
{
	static const struct blob_part parts[] = { { "one", 0, 8 }, { "two", 0, 5 } };
	char text[16];
	struct error err;

	(void)state;
	if (!place_is(""))
		return;
	for (unsigned nth = 1; nth < 20; nth++) {
		struct blob_reader *r = parts_open(parts, 2);
		blob_fake_fail_nth(fake, nth, EIO);
		bool ok = blob_read_at(r, 0, text, 13, &err);
		bool failed = blob_fake_restore(fake);
		assert_int_equal(ok, !failed);
		if (!ok)
			assert_int_equal(err.sys, EIO);
		assert_true(blob_read_at(r, 0, text, 13, &err));
		assert_memory_equal(text, "abcdefgh12345", 13);
		blob_reader_close(r);
		if (!failed)
			return;
	}
	fail_msg("no call was without a fault");
}

static void *read_all(void *reader)
{
	char text[13];
	struct error err;

	for (int i = 0; i < 500; i++)
		if (!blob_read_at(reader, 0, text, 13, &err) ||
		    memcmp(text, "abcdefgh12345", 13) != 0)
			return reader;
	return NULL;
}

static void by_several_threads(void **state)
{
	static const struct blob_part parts[] = { { "one", 0, 8 }, { "two", 0, 5 } };
	struct blob_reader *r = parts_open(parts, 2);
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, r), 0);
	for (int i = 0; i < 4; i++) {
		void *wrong;
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	blob_reader_close(r);
}

#define WITH_BLOBS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BLOBS(in_the_order_of_the_list_across_the_edges),
		WITH_BLOBS(of_no_parts),
		WITH_BLOBS(a_part_that_is_gone_or_short),
		WITH_BLOBS(a_fault_is_told),
		WITH_BLOBS(by_several_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
