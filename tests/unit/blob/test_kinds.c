/* What every kind of blob store does alike (place.h). */
#include "place.h"

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

static void what_was_written_reads_back_and_can_be_removed(void **state)
{
	struct error err;

	(void)state;
	assert_true(put("file-a", SLICE("{\"a\":1}\n"), SLICE("{\"b\":2}"), &err));
	assert_blob("file-a", "{\"a\":1}\n{\"b\":2}");
	assert_true(blob_remove(blobs, "file-a", &err));
	assert_no_blob("file-a");
	assert_true(blob_remove(blobs, "file-a", &err)); /* gone already: no error */
}

static void data_and_index_are_two_blobs_of_one_id(void **state)
{
	struct blob_writer *w;
	struct blob_reader *r;
	struct error err;
	char back[6] = "";

	(void)state;
	put_text("file-a", "data");
	assert_true(blob_create(blobs, &w, &err));
	assert_true(blob_write(w, SLICE("-ndex"), &err));
	assert_true(blob_overwrite(w, 0, SLICE("i"), &err)); /* the owner's header */
	assert_true(blob_sync(w, &err));
	assert_true(blob_commit(w, "file-a", BLOB_INDEX, &err));
	assert_true(blob_open(blobs, "file-a", BLOB_INDEX, &r, &err));
	assert_int_equal(blob_bytes(r), 5);
	assert_true(blob_read_at(r, 0, back, 5, &err));
	assert_string_equal(back, "index");
	blob_reader_close(r);
	assert_blob("file-a", "data");
	assert_true(blob_remove(blobs, "file-a", &err));
	assert_false(blob_open(blobs, "file-a", BLOB_INDEX, &r, &err));
	assert_no_blob("file-a");
}

static void an_empty_blob_is_one(void **state)
{
	(void)state;
	put_text("file-empty", "");
	assert_blob("file-empty", "");
}

static void a_large_blob(void **state)
{
	static char block[1 << 20];
	struct blob_writer *w;
	struct blob_reader *r;
	struct error err;

	(void)state;
	if (place_is("bucket")) /* it is put in parts */
		return;
	assert_true(blob_create(blobs, &w, &err));
	for (int i = 0; i < 20; i++) { /* past two marks of write-back */
		memset(block, 'a' + i, sizeof(block));
		assert_true(blob_write(w, (struct slice){ block, sizeof(block) }, &err));
	}
	assert_true(blob_sync(w, &err));
	assert_true(blob_commit(w, "file-big", BLOB_DATA, &err));
	assert_true(blob_open(blobs, "file-big", BLOB_DATA, &r, &err));
	assert_int_equal(blob_bytes(r), 20 << 20);
	for (int i = 0; i < 20; i++) {
		char ends[2];
		assert_true(blob_read_at(r, (uint64_t)i << 20, ends, 1, &err));
		assert_true(blob_read_at(r, ((uint64_t)(i + 1) << 20) - 1, ends + 1, 1, &err));
		assert_true(ends[0] == 'a' + i && ends[1] == 'a' + i);
	}
	blob_reader_close(r);
}

static void an_aborted_blob_never_was(void **state)
{
	struct blob_writer *w;
	struct error err;
	char back[4] = "";

	(void)state;
	assert_true(blob_create(blobs, &w, &err));
	assert_true(blob_write(w, SLICE("xyz"), &err));
	assert_true(blob_sync(w, &err));
	assert_true(blob_read_at(blob_writer_reader(w), 0, back, 3, &err));
	assert_string_equal(back, "xyz");
	blob_abort(w);
	assert_true(blob_create(blobs, &w, &err));
	assert_true(blob_write(w, SLICE("kept"), &err));
	struct blob_reader *r = blob_writer_end(w);
	assert_true(blob_read_at(r, 1, back, 3, &err));
	assert_string_equal(back, "ept");
	blob_reader_close(r);
}

static void a_blob_in_place_of_another(void **state)
{
	struct blob_appender *a;
	struct error err;

	(void)state;
	assert_true(blob_append_open(blobs, "file-a", 0, &a, &err));
	for (int i = 0; i < 3; i++)
		assert_true(blob_append(a, SLICE("12345"), &err) && blob_append_sync(a, &err));
	blob_append_close(a);
	assert_blob("file-a", "123451234512345");
	/* As long as the first of the pieces: none of the others may come behind it. */
	assert_true(blob_put(blobs, "file-a", BLOB_DATA, SLICE("abcde"), &err));
	assert_true(blobs_sync(blobs, &err));
	assert_blob("file-a", "abcde");
	assert_true(blob_append_open(blobs, "file-a", 5, &a, &err));
	assert_true(blob_append(a, SLICE("f"), &err) && blob_append_sync(a, &err));
	blob_append_close(a);
	assert_blob("file-a", "abcdef");
	assert_true(blob_append_open(blobs, "file-a", 2, &a, &err));
	blob_append_close(a);
	assert_blob("file-a", "ab");
}

static void what_is_taken_is_a_blob(void **state)
{
	char path[PATH_MAX];
	struct blob_reader *r;
	struct error err;

	(void)state;
	snprintf(path, sizeof(path), "%s/order", dir);
	FILE *file = fopen(path, "w");
	fputs("order", file);
	fclose(file);
	assert_true(blob_take(blobs, path, "file-a", BLOB_INDEX, &err));
	assert_false(scratch_exists(dir, "order"));
	assert_true(blob_open(blobs, "file-a", BLOB_INDEX, &r, &err));
	assert_int_equal(blob_bytes(r), 5);
	blob_reader_close(r);
	assert_false(blob_take(blobs, path, "file-b", BLOB_INDEX, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void ids_of_strangers_are_not_found(void **state)
{
	static const char *const bad[] = { "", "..", "../meta", "a/b", "a.jsonl", "a b", "é" };
	struct blob_appender *a;
	struct blob_writer *w;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_no_blob(bad[i]);
		assert_true(blob_remove(blobs, bad[i], &err));
		assert_false(blob_append_open(blobs, bad[i], 0, &a, &err));
		assert_int_equal(err.kind, ERR_NOT_FOUND);
		assert_true(blob_create(blobs, &w, &err));
		assert_false(blob_commit(w, bad[i], BLOB_DATA, &err));
		assert_int_equal(err.kind, ERR_NOT_FOUND);
	}
}

#define AT INT64_C(1764427274)

static enum blob_standing standing(void *ctx, const char *id)
{
	++*(int *)ctx;
	return strcmp(id, "file-known") == 0     ? BLOB_KNOWN
	       : strcmp(id, "file-deleted") == 0 ? BLOB_DELETED
						 : BLOB_UNKNOWN;
}

static void index_put(const char *id)
{
	struct error err;

	assert_true(blob_put(blobs, id, BLOB_INDEX, SLICE("i"), &err));
}

static void the_sweep(void **state)
{
	struct blob_reader *r;
	struct error err;
	int asked = 0;

	(void)state;
	put_text("file-known", "k");
	put_text("file-deleted", "d");
	index_put("file-deleted");
	put_text("file-orphan", "o");
	index_put("file-orphan");
	put_text("file-empty", "");
	assert_true(blobs_sweep(blobs, standing, &asked, AT, &err));
	assert_true(asked >= 4);
	assert_blob("file-known", "k");
	assert_no_blob("file-deleted");
	assert_no_blob("file-orphan");
	assert_no_blob("file-empty");
	assert_false(blob_open(blobs, "file-orphan", BLOB_INDEX, &r, &err));
	assert_false(blob_open(blobs, "file-deleted", BLOB_INDEX, &r, &err));
	assert_int_equal(lost_of("file-orphan.jsonl"), 1);
	assert_int_equal(lost_of("file-orphan.index"), 1);
	assert_int_equal(lost_of("file-deleted.jsonl"), 0);
	assert_int_equal(lost_of("file-empty.jsonl"), 0);
}

static void lost_twice_is_there_twice_and_forgotten_by_age(void **state)
{
	uint64_t files = 0, bytes = 0;
	struct error err;

	(void)state;
	for (int i = 0; i < 2; i++) {
		put_text("file-a", "abc");
		assert_true(blob_lose(blobs, "file-a", AT, &err));
		assert_no_blob("file-a");
	}
	assert_true(blob_lose(blobs, "file-a", AT, &err)); /* is not there any more */
	assert_int_equal(lost_of("file-a.jsonl"), 2);
	assert_true(blobs_forget(blobs, AT, &files, &bytes, &err));
	if (place_is("")) /* lost_remove() does it there */
		return;
	assert_int_equal(files, 1);
	assert_int_equal(bytes, 3);
	assert_int_equal(lost_of("file-a.jsonl"), 1);
}

static void a_tail_is_lost(void **state)
{
	struct error err;

	(void)state;
	put_text("file-a", "kept and not");
	assert_true(blob_lose_tail(blobs, "file-none", 4, AT, &err));
	assert_true(blob_lose_tail(blobs, "file-a", 12, AT, &err));
	assert_int_equal(lost_of("file-a.jsonl"), 0);
	assert_true(blob_lose_tail(blobs, "file-a", 4, AT, &err));
	assert_blob("file-a", "kept");
	assert_int_equal(lost_of("file-a.jsonl"), 1);
}

/* More than is put at once, and rewound into the middle of it. */
static void much_is_appended(void **state)
{
	static char block[3 << 20];
	struct blob_appender *a;
	struct blob_reader *r;
	struct error err;
	char ends[2];

	(void)state;
	assert_true(blob_append_open(blobs, "file-a", 0, &a, &err));
	for (int i = 0; i < 7; i++) {
		memset(block, 'a' + i, sizeof(block));
		assert_true(blob_append(a, (struct slice){ block, sizeof(block) }, &err));
	}
	assert_true(blob_append_sync(a, &err));
	blob_append_rewind_to(a, (13 << 20) + 1);
	assert_true(blob_append(a, SLICE("z"), &err) && blob_append_sync(a, &err));
	blob_append_close(a);
	assert_true(blob_open(blobs, "file-a", BLOB_DATA, &r, &err));
	assert_int_equal(blob_bytes(r), (13 << 20) + 2);
	for (int i = 0; i < 4; i++) {
		assert_true(blob_read_at(r, (uint64_t)i * sizeof(block), ends, 1, &err));
		assert_true(
			blob_read_at(r, ((uint64_t)i + 1) * sizeof(block) - 1, ends + 1, 1, &err));
		assert_true(ends[0] == 'a' + i && ends[1] == 'a' + i);
	}
	assert_true(blob_read_at(r, 13 << 20, ends, 2, &err));
	assert_memory_equal(ends, "ez", 2);
	blob_reader_close(r);
}

static struct blob_reader *shared;

static void *read_all(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	unsigned char piece[1000];
	struct error err;

	for (int i = 0; i < 200; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		uint64_t at = (seed >> 20) % (blob_bytes(shared) - sizeof(piece));
		if (!blob_read_at(shared, at, piece, sizeof(piece), &err))
			return arg;
		for (size_t k = 0; k < sizeof(piece); k++)
			if (piece[k] != (at + k) / 4096 % 251)
				return arg;
	}
	return NULL;
}

/* More than a bucket keeps in memory, in many objects. */
static void many_threads_read_one_blob(void **state)
{
	static unsigned char block[4096];
	struct blob_appender *a;
	pthread_t threads[4];
	struct error err;
	void *bad;

	(void)state;
	assert_true(blob_append_open(blobs, "file-a", 0, &a, &err));
	for (unsigned i = 0; i < 10000; i++) {
		memset(block, (int)(i % 251), sizeof(block));
		assert_true(blob_append(a, (struct slice){ (char *)block, sizeof(block) }, &err));
		if (i % 700 == 0)
			assert_true(blob_append_sync(a, &err));
	}
	assert_true(blob_append_sync(a, &err));
	blob_append_close(a);
	assert_true(blob_open(blobs, "file-a", BLOB_DATA, &shared, &err));
	for (uintptr_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, (void *)(i + 1)), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	blob_reader_close(shared);
}

/* A read in a hurry fails as long as it would have to wait, and then finds the bytes; a directory has
 * them at once. */
static void in_a_hurry(void **state)
{
	struct blob_reader *r;
	struct error err;
	char text[8] = "";
	bool ok = false;

	(void)state;
	put_text("file-a", "12345");
	assert_true(blob_open(blobs, "file-a", BLOB_DATA, &r, &err));
	blob_hurry(true);
	assert_int_equal(blob_read_at(r, 0, text, 5, &err), place_is(""));
	for (int i = 0; !ok && i < 5000; i++) {
		ok = blob_read_at(r, 0, text, 5, &err);
		if (!ok) {
			assert_true(error_may_pass(&err));
			usleep(1000);
		}
	}
	blob_hurry(false);
	assert_true(ok);
	assert_string_equal(text, "12345");
	blob_reader_close(r);
	assert_int_equal(blobs_cost_descriptors(blobs), place_is(""));
}

/* What will not pass is told in a hurry as well. */
static void in_a_hurry_for_what_is_gone(void **state)
{
	struct blob_reader *r;
	struct error err = { .sys = EAGAIN };
	char text[8];

	(void)state;
	if (place_is(""))
		return;
	put_text("file-a", "12345");
	assert_true(blob_open(blobs, "file-a", BLOB_DATA, &r, &err));
	assert_true(blob_remove(blobs, "file-a", &err));
	blob_hurry(true);
	err.sys = EAGAIN;
	for (int i = 0; err.sys == EAGAIN && i < 5000; i++) {
		assert_false(blob_read_at(r, 0, text, 5, &err));
		usleep(1000);
	}
	blob_hurry(false);
	assert_int_equal(err.sys, ENOENT);
	blob_reader_close(r);
}

/* ---- the n-th call to a bucket fails, or is done and its answer lost ---- */

static void a_blob_is_whole_whatever_fails(void **state)
{
	bool fired = true;

	(void)state;
	if (!place_is("bucket"))
		return;
	for (int nth = 1; fired; nth++) {
		struct blob_reader *r;
		struct error err;
		put_text("file-a", "other");
		world_fail_nth(nth);
		bool ok = put("file-a", SLICE("first half, "), SLICE("second half"), &err);
		fired = world_restore();
		assert_int_equal(ok, !fired);
		if (!ok) {
			assert_int_equal(err.kind, ERR_UNAVAILABLE);
			assert_true(blob_open(blobs, "file-a", BLOB_DATA, &r, &err));
			assert_true(blob_bytes(r) == 5 || blob_bytes(r) == 23);
			blob_reader_close(r);
			assert_true(
				put("file-a", SLICE("first half, "), SLICE("second half"), &err));
		}
		assert_blob("file-a", "first half, second half");
	}
}

/* It is where it was, or in lost/, and the next time is there. */
static void what_is_lost_is_whole_whatever_fails(void **state)
{
	bool fired = true;

	(void)state;
	if (!place_is("bucket"))
		return;
	for (int nth = 1; fired; nth++) {
		struct blob_appender *a;
		struct error err;
		int before = lost_of("file-a.parts/00000000000000000005");
		assert_true(blob_append_open(blobs, "file-a", 0, &a, &err));
		for (int i = 0; i < 2; i++)
			assert_true(blob_append(a, SLICE("12345"), &err) &&
				    blob_append_sync(a, &err));
		blob_append_close(a);
		world_fail_nth(nth);
		bool ok = blob_lose(blobs, "file-a", AT + 10 * nth, &err);
		fired = world_restore();
		assert_int_equal(ok, !fired);
		if (lost_of("file-a.parts/00000000000000000005") == before)
			assert_blob("file-a", "1234512345");
		assert_true(blob_lose(blobs, "file-a", AT + 10 * nth, &err));
		assert_no_blob("file-a");
		assert_true(lost_of("file-a.parts/00000000000000000005") > before);
	}
}

/* What something else has changed is not read as if it were ours. */
static void an_object_that_was_altered_or_removed(void **state)
{
	struct blob_reader *r;
	struct error err;
	char text[8];

	(void)state;
	if (!place_is("bucket"))
		return;
	put_text("file-a", "12345");
	assert_true(blob_open(blobs, "file-a", BLOB_DATA, &r, &err));
	pthread_mutex_lock(&world.lock);
	world_put("files/file-a.jsonl", "54321", 5);
	pthread_mutex_unlock(&world.lock);
	assert_false(blob_read_at(r, 0, text, 5, &err));
	assert_int_equal(err.sys, EBADMSG);
	pthread_mutex_lock(&world.lock);
	world_delete("files/file-a.jsonl");
	pthread_mutex_unlock(&world.lock);
	assert_false(blob_read_at(r, 0, text, 5, &err));
	assert_int_equal(err.sys, ENOENT);
	blob_reader_close(r);
	assert_no_blob("file-a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_PLACE(what_was_written_reads_back_and_can_be_removed),
		ON_PLACE(data_and_index_are_two_blobs_of_one_id),
		ON_PLACE(an_empty_blob_is_one),
		ON_PLACE(a_large_blob),
		ON_PLACE(an_aborted_blob_never_was),
		ON_PLACE(a_blob_in_place_of_another),
		ON_PLACE(what_is_taken_is_a_blob),
		ON_PLACE(ids_of_strangers_are_not_found),
		ON_PLACE(the_sweep),
		ON_PLACE(lost_twice_is_there_twice_and_forgotten_by_age),
		ON_PLACE(a_tail_is_lost),
		ON_PLACE(much_is_appended),
		ON_PLACE(many_threads_read_one_blob),
		ON_PLACE(in_a_hurry),
		ON_PLACE(in_a_hurry_for_what_is_gone),
		ON_PLACE(a_blob_is_whole_whatever_fails),
		ON_PLACE(what_is_lost_is_whole_whatever_fails),
		ON_PLACE(an_object_that_was_altered_or_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
