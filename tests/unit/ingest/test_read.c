/* Reading a blob that is there: read ahead and hashed by another thread, it is indexed as if it had
 * been written; in place or copied. */
#include "ingest_unit.h"

#include <openssl/evp.h>

#include "blob_fake.h"
#include "ingest/feed.h"

static struct blobs *fake;

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	fake = blob_fake_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	blobs_close(fake);
	return 0;
}

/* Lines with ids, cut off after `n` bytes. The caller's. */
static char *text_of(size_t n)
{
	char *text = malloc(n + 200);
	size_t at = 0;

	for (unsigned i = 0; at < n; i++)
		at += (size_t)sprintf(
			text + at, "{\"custom_id\":\"%u\",\"body\":{\"model\":\"m\"}}\n", i % 5000);
	return text;
}

static void hex_of(const EVP_MD *kind, struct slice text, char *to)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n;

	assert_int_equal(EVP_Digest(text.p, text.n, digest, &n, kind, NULL), 1);
	for (unsigned i = 0; i < n; i++)
		sprintf(to + 2 * (size_t)i, "%02x", digest[i]);
}

/* What the ingest of `text` finds, read from a blob or written. */
static struct index_summary found(struct slice text, bool reads, bool beside, bool md5)
{
	struct blob_reader *file = blob_fake_reader(fake, text);
	const struct ingest_limits limits = { .md5 = md5 };
	char sha256[65], md5_hex[33] = "";
	struct ingest *in;
	struct error err;

	assert_true(beside ? ingest_open_beside(fake, file, &limits, &in, &err)
			   : ingest_open(fake, &limits, &in, &err));
	assert_true(reads ? ingest_read(in, file, &err) : ingest_write(in, text, &err));
	assert_true(ingest_finish(in, &err));
	hex_of(EVP_sha256(), text, sha256);
	if (md5)
		hex_of(EVP_md5(), text, md5_hex);
	assert_string_equal(ingest_sha256(in), sha256);
	assert_string_equal(ingest_md5(in), md5_hex);
	assert_int_equal(ingest_bytes(in), text.n);
	struct index_summary summary = *ingest_summary(in);
	assert_true(ingest_commit(in, "file-x", &err));
	struct slice data = blob_fake_durable(fake, "file-x", BLOB_DATA);
	assert_true(beside ? data.p == NULL : slice_eq(data, text));
	assert_true(blob_fake_durable(fake, "file-x", BLOB_INDEX).n > 0);
	assert_true(blob_remove(fake, "file-x", &err));
	blob_reader_close(file);
	return summary;
}

static void as_if_it_were_written(void **state)
{
	static const size_t sizes[] = {
		0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, FEED_BYTES, 2 * FEED_BYTES + 5
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char *text = text_of(sizes[i]);
		struct slice all = { text, sizes[i] };
		struct index_summary want = found(all, false, false, false);
		for (unsigned way = 0; way < 4; way++) {
			blob_fake_read_most(fake, way == 1 ? 1000 : 0);
			struct index_summary got = found(all, true, way % 2 != 0, way / 2 != 0);
			assert_int_equal(got.lines, want.lines);
		}
		free(text);
	}
}

static void a_fault_in_any_read_is_told(void **state)
{
	char *text = text_of(FEED_BYTES + 10);
	struct blob_reader *file = blob_fake_reader(fake, (struct slice){ text, FEED_BYTES + 10 });
	struct ingest *in;
	struct error err;

	(void)state;
	for (unsigned nth = 1; nth <= FEED_BYTES / PIECE_BYTES + 1; nth++) {
		assert_true(ingest_open_beside(NULL, file, &no_limits, &in, &err));
		blob_fake_fail_nth(fake, nth, EIO);
		assert_false(ingest_read(in, file, &err));
		assert_int_equal(err.sys, EIO);
		assert_true(blob_fake_restore(fake));
		ingest_abort(in);
	}
	blob_reader_close(file);
	free(text);
}

static void a_feed_may_end_early_and_is_empty_at_its_end(void **state)
{
	char *text = text_of(2 * FEED_BYTES);
	struct blob_reader *file = blob_fake_reader(fake, (struct slice){ text, 2 * FEED_BYTES });
	struct feed *f;
	struct slice piece;
	struct error err;

	(void)state;
	for (unsigned taken = 0; taken < 6; taken++) {
		assert_true(feed_open(file, NULL, &f, &err));
		for (unsigned i = 0; i < taken; i++) {
			assert_true(feed_next(f, &piece, &err));
			assert_memory_equal(piece.p, text + (size_t)i * PIECE_BYTES, PIECE_BYTES);
		}
		feed_close(f);
	}
	assert_true(feed_open(file, NULL, &f, &err));
	for (unsigned i = 0; i < 2 * FEED_BYTES / PIECE_BYTES + 3; i++)
		assert_true(feed_next(f, &piece, &err));
	assert_int_equal(piece.n, 0);
	feed_close(f);
	feed_close(NULL);
	blob_reader_close(file);
	free(text);
}

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FAKE(as_if_it_were_written),
		WITH_FAKE(a_fault_in_any_read_is_told),
		WITH_FAKE(a_feed_may_end_early_and_is_empty_at_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
