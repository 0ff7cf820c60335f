/* Objects by name, and blobs that are joined, in a bucket (place.h). */
#include "place.h"

#include "blob/bucket.h"
#include "blob/objects.h"

static struct error err;

#define MUST(call)                                                               \
	do {                                                                     \
		if (!(call))                                                     \
			fail_msg("%s: %s (%s)", #call, err.message, err.detail); \
	} while (0)

/* ---- objects ---- */

static void an_object_is_put_read_and_removed(void **state)
{
	char got[16] = "";

	(void)state;
	for (int i = 0; i < 2; i++) /* again: the same */
		MUST(objects_put(blobs, "chunks/0f-1-2", SLICE("0123456789"), &err));
	MUST(objects_read(blobs, "chunks/0f-1-2", 3, got, 4, &err));
	assert_string_equal(got, "3456");
	MUST(objects_read(blobs, "chunks/0f-1-2", 0, got, 10, &err));
	assert_string_equal(got, "0123456789");
	MUST(objects_read(blobs, "chunks/0f-1-2", 10, got, 0, &err));
	assert_false(objects_read(blobs, "chunks/0f-1-2", 8, got, 4, &err));
	assert_int_equal(err.sys, ENODATA);
	assert_false(objects_read(blobs, "chunks/other", 0, got, 4, &err));
	assert_int_equal(err.sys, ENOENT);
	for (int i = 0; i < 2; i++)
		MUST(objects_remove(blobs, "chunks/0f-1-2", &err));
	assert_false(objects_read(blobs, "chunks/0f-1-2", 0, got, 4, &err));
	assert_int_equal(err.sys, ENOENT);
}

static void names_that_are_not_theirs_are_refused(void **state)
{
	static const char *const bad[] = {
		"",       "chunk",     "lowtide.id", "files/file-a.jsonl",
		"lost/a", "/chunks/a", "chunks//a",  "chunks/../files/a",
		"../a/b", "chunks/",   "chunks/a b"
	};
	char got[1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(objects_put(blobs, bad[i], SLICE("x"), &err));
		assert_int_equal(err.sys, EINVAL);
		assert_false(objects_read(blobs, bad[i], 0, got, 1, &err));
		assert_int_equal(err.sys, EINVAL);
		assert_false(objects_remove(blobs, bad[i], &err));
		assert_int_equal(err.sys, EINVAL);
	}
}

struct names {
	unsigned n, most;
	uint64_t bytes;
	char last[64];
};

static bool name_note(void *ctx, const char *name, uint64_t bytes, struct error *e)
{
	struct names *l = ctx;

	assert_true(strcmp(l->last, name) < 0);
	snprintf(l->last, sizeof(l->last), "%s", name);
	l->n++;
	l->bytes += bytes;
	return l->n < l->most || fail_sys(e, ECANCELED, "enough");
}

static void a_list_of_objects(void **state)
{
	struct names all = { .most = 100 }, one = { .most = 100 }, enough = { .most = 2 };
	char name[32];

	(void)state;
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "chunks/%x-%d", i % 2, i);
		MUST(objects_put(blobs, name, SLICE("abc"), &err));
	}
	MUST(blob_put(blobs, "file-a", BLOB_DATA, SLICE("x"), &err));
	MUST(objects_list(blobs, "chunks/", name_note, &all, &err));
	assert_int_equal(all.n, 12);
	assert_int_equal(all.bytes, 36);
	MUST(objects_list(blobs, "chunks/1-", name_note, &one, &err));
	assert_int_equal(one.n, 6);
	assert_false(objects_list(blobs, "chunks/", name_note, &enough, &err));
	assert_int_equal(err.sys, ECANCELED);
	assert_int_equal(enough.n, 2);
	assert_false(objects_list(blobs, "files/", name_note, &all, &err));
	assert_int_equal(err.sys, EINVAL);
}

/* Altered where it lies, with the checksum that it had: seen where all of it is read. */
static void an_object_with_other_bytes(void **state)
{
	char got[8];

	(void)state;
	if (!place_is("bucket"))
		return;
	MUST(objects_put(blobs, "chunks/a", SLICE("12345"), &err));
	pthread_mutex_lock(&world.lock);
	world_get("chunks/a")->bytes[2] = 'x';
	pthread_mutex_unlock(&world.lock);
	MUST(objects_read(blobs, "chunks/a", 1, got, 4, &err));
	assert_false(objects_read(blobs, "chunks/a", 0, got, 5, &err));
	assert_int_equal(err.sys, EBADMSG);
}

/* ---- joining ---- */

#define PART "part-0123456789abcdef-1-"

/* A part of several objects; `from` is where its bytes begin in the series. */
static void part_make(const char *id, size_t from, size_t n, size_t piece)
{
	struct blob_appender *a;

	MUST(blob_append_open(blobs, id, 0, &a, &err));
	for (size_t at = 0; at < n; at += piece) {
		char bytes[64];
		size_t some = n - at < piece ? n - at : piece;
		for (size_t i = 0; i < some; i++)
			bytes[i] = (char)('a' + (from + at + i) % 23);
		MUST(blob_append(a, (struct slice){ bytes, some }, &err));
		MUST(blob_append_sync(a, &err));
	}
	blob_append_close(a);
}

static void assert_whole(const char *id, size_t n)
{
	struct blob_reader *r;
	char bytes[512];

	MUST(blob_open(blobs, id, BLOB_DATA, &r, &err));
	assert_int_equal(blob_bytes(r), n);
	MUST(blob_read_at(r, 0, bytes, n, &err));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bytes[i], 'a' + i % 23);
	blob_reader_close(r);
}

#define PARTS 12u

static char part_ids[PARTS][48];
static struct blob_joined part_list[PARTS];

/* Parts of 31 bytes, one in one object, the others in objects of 10; the last has none, and was never
 * made. */
static size_t parts_make(void)
{
	for (unsigned i = 0; i < PARTS; i++) {
		snprintf(part_ids[i], sizeof(part_ids[i]), PART "%u", i);
		part_list[i] = (struct blob_joined){ part_ids[i], i < PARTS - 1 ? 31 : 0 };
		if (part_list[i].bytes > 0)
			part_make(part_ids[i], (size_t)i * 31, 31, i == 3 ? 31 : 10);
	}
	return (size_t)31 * (PARTS - 1);
}

static void parts_become_a_blob(void **state)
{
	size_t n;

	(void)state;
	n = parts_make();
	for (int i = 0; i < 2; i++) {
		MUST(blobs_join(blobs, "file-a", part_list, PARTS, &err));
		assert_whole("file-a", n);
	}
	part_make("file-long", 5, 500, 10); /* its first objects are as long as the whole's */
	MUST(blobs_join(blobs, "file-long", part_list, PARTS, &err));
	assert_whole("file-long", n);
	MUST(blob_put(blobs, "file-put", BLOB_DATA, SLICE("something else"), &err));
	MUST(blobs_join(blobs, "file-put", part_list, PARTS, &err));
	assert_whole("file-put", n);
	MUST(blobs_join(blobs, "file-none", part_list, 0, &err));
	assert_whole("file-none", 0);
	MUST(blobs_join(blobs, "file-long", part_list + PARTS - 1, 1, &err));
	assert_whole("file-long", 0);
	assert_whole(part_ids[0], 31);
}

/* What was written at once is one object, and its first bytes are none of a row's. */
static void a_part_that_is_not_what_it_was(void **state)
{
	struct blob_joined list[2] = { { "file-w", 4 }, { "file-p", 5 } };

	(void)state;
	MUST(blob_put(blobs, "file-w", BLOB_DATA, SLICE("abcd"), &err));
	assert_false(blobs_join(blobs, "file-a", list, 2, &err));
	assert_int_equal(err.sys, ENOENT);
	part_make("file-p", 4, 10, 5);
	MUST(blobs_join(blobs, "file-a", list, 2, &err)); /* the first of its two objects */
	assert_whole("file-a", 9);
	list[1].bytes = 7;
	assert_false(blobs_join(blobs, "file-a", list, 2, &err));
	assert_int_equal(err.sys, EBADMSG);
	list[1].bytes = 11;
	assert_false(blobs_join(blobs, "file-a", list, 2, &err));
	assert_int_equal(err.sys, EBADMSG);
	assert_whole("file-a", 9);
	list[1] = (struct blob_joined){ "../meta", 1 };
	assert_false(blobs_join(blobs, "file-a", list, 2, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void *join_too(void *arg)
{
	struct error mine;

	return blobs_join(blobs, "file-a", part_list, PARTS, &mine) ? NULL : arg;
}

static void two_join_the_same_at_one_time(void **state)
{
	pthread_t threads[4];
	size_t n;
	void *bad;

	(void)state;
	n = parts_make();
	part_make("file-a", 7, 100, 9);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, join_too, part_ids), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	assert_whole("file-a", n);
}

/* The n-th call fails, or is done and its answer lost: then joining again makes it whole. */
static void joined_again_it_is_whole_whatever_failed(void **state)
{
	bool fired = true;
	size_t n;

	(void)state;
	if (!place_is("bucket"))
		return;
	n = parts_make();
	for (int nth = 1; fired; nth += 7) {
		part_make("file-a", 3, 90, 40);
		world_fail_nth(nth);
		bool ok = blobs_join(blobs, "file-a", part_list, PARTS, &err);
		fired = world_restore();
		assert_int_equal(ok, !fired);
		MUST(blobs_join(blobs, "file-a", part_list, PARTS, &err));
		assert_whole("file-a", n);
		MUST(blob_remove(blobs, "file-a", &err));
	}
}

/* A second time nothing is copied. */
static void what_is_there_is_not_copied_again(void **state)
{
	unsigned calls;

	(void)state;
	if (!place_is("bucket"))
		return;
	parts_make();
	MUST(blobs_join(blobs, "file-a", part_list, PARTS, &err));
	pthread_mutex_lock(&world.lock);
	world.calls = 0;
	pthread_mutex_unlock(&world.lock);
	MUST(blobs_join(blobs, "file-a", part_list, PARTS, &err));
	pthread_mutex_lock(&world.lock);
	calls = world.calls;
	pthread_mutex_unlock(&world.lock);
	/* A look at each part, a list but of that of one object, and two of the whole. */
	assert_int_equal(calls, PARTS - 1 + PARTS - 2 + 2);
}

/* ---- whose a prefix is ---- */

static void a_prefix_is_of_one_id(void **state)
{
	(void)state;
	MUST(blobs_bucket_claim(blobs, "0f", false, &err));
	MUST(blob_put(blobs, "file-a", BLOB_DATA, SLICE("x"), &err));
	for (int i = 0; i < 2; i++) /* another process of that id */
		MUST(blobs_bucket_claim(blobs, "0f", false, &err));
	assert_false(blobs_bucket_claim(blobs, "1e", false, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_non_null(strstr(err.message, "another data directory"));
	MUST(blobs_bucket_claim(blobs, "1e", true, &err));
	MUST(blobs_bucket_claim(blobs, "1e", false, &err));
	assert_false(blobs_bucket_claim(blobs, "0f", false, &err));
}

static void files_that_are_nobodys(void **state)
{
	(void)state;
	MUST(blob_put(blobs, "file-a", BLOB_DATA, SLICE("x"), &err));
	assert_false(blobs_bucket_claim(blobs, "0f", false, &err));
	assert_non_null(strstr(err.message, "no data directory"));
	MUST(blobs_bucket_claim(blobs, "0f", true, &err));
}

static void *claim_too(void *id)
{
	struct error mine;

	return blobs_bucket_claim(blobs, id, false, &mine) ? id : NULL;
}

/* All of one id, or of several, of which one has it. */
static unsigned claim_at_one_time(const char *const ids[], size_t n)
{
	pthread_t threads[8];
	unsigned have = 0;
	void *has;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, claim_too, (void *)ids[i]), 0);
	for (size_t i = 0; i < n; i++) {
		pthread_join(threads[i], &has);
		have += has != NULL;
	}
	return have;
}

static void nodes_that_start_at_one_time_claim_it(void **state)
{
	static const char *const same[] = { "0f", "0f", "0f", "0f", "0f", "0f" };

	(void)state;
	assert_int_equal(claim_at_one_time(same, ARRAY_LEN(same)), ARRAY_LEN(same));
}

static void of_strangers_that_start_at_one_time_one_has_it(void **state)
{
	static const char *const others[] = { "0a", "0b", "0c", "0d", "0e", "0f" };

	(void)state;
	assert_int_equal(claim_at_one_time(others, ARRAY_LEN(others)), 1);
}

static void who_comes_between_has_it(void **state)
{
	(void)state;
	if (!place_is("bucket"))
		return;
	world.rival = "lowtide bucket\nid 1e\n";
	assert_false(blobs_bucket_claim(blobs, "0f", false, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	MUST(blobs_bucket_claim(blobs, "1e", false, &err));
	pthread_mutex_lock(&world.lock);
	world_delete("lowtide.id");
	world.rival = "lowtide bucket\nid 0f\n";
	pthread_mutex_unlock(&world.lock);
	MUST(blobs_bucket_claim(blobs, "0f", false, &err));
}

static void a_store_without_conditions(void **state)
{
	(void)state;
	if (!place_is("bucket"))
		return;
	world.knows_no_conditions = true;
	MUST(blobs_bucket_claim(blobs, "0f", false, &err));
	MUST(blobs_bucket_claim(blobs, "0f", false, &err));
	assert_false(blobs_bucket_claim(blobs, "1e", false, &err));
	world.knows_no_conditions = false;
}

/* The answer of the first attempt is lost: the claim that it finds is its own. */
static void a_claim_whose_answer_was_lost(void **state)
{
	bool fired = true;

	(void)state;
	if (!place_is("bucket"))
		return;
	for (int nth = 1; fired; nth++) {
		world_fail_nth(nth);
		bool ok = blobs_bucket_claim(blobs, "0f", false, &err);
		fired = world_restore();
		assert_int_equal(ok, !fired);
		MUST(blobs_bucket_claim(blobs, "0f", false, &err));
		pthread_mutex_lock(&world.lock);
		world_delete("lowtide.id");
		pthread_mutex_unlock(&world.lock);
	}
}

/* ---- the sweep, beside other nodes ---- */

#define AT INT64_C(1764427274)

static int asked;

static enum blob_standing standing(void *ctx, const char *id)
{
	(void)ctx;
	asked++;
	return strcmp(id, "file-known") == 0     ? BLOB_KNOWN
	       : strcmp(id, "file-deleted") == 0 ? BLOB_DELETED
						 : BLOB_UNKNOWN;
}

static void clock_forward(int64_t s)
{
	pthread_mutex_lock(&world.lock);
	world.now += s;
	pthread_mutex_unlock(&world.lock);
}

static bool is_there(const char *id)
{
	struct blob_reader *r;

	if (!blob_open(blobs, id, BLOB_DATA, &r, &err))
		return false;
	blob_reader_close(r);
	return true;
}

static void what_is_young_is_swept_by_nobody(void **state)
{
	struct blob_appender *a;

	(void)state;
	blobs_bucket_share(blobs);
	for (int i = 0; i < 2; i++)
		MUST(blob_put(blobs, i == 0 ? "file-deleted" : "file-lost", BLOB_DATA, SLICE("x"),
			      &err));
	part_make(PART "1", 0, 10, 5);
	asked = 0;
	MUST(blobs_sweep(blobs, standing, NULL, AT, &err));
	assert_int_equal(asked, 0);
	assert_true(is_there("file-lost") && is_there("file-deleted"));
	if (!place_is("bucket")) /* whose clock does not wait for us */
		return;
	part_make("file-grows", 0, 5, 5);
	clock_forward(3599);
	MUST(blobs_sweep(blobs, standing, NULL, AT, &err));
	assert_true(is_there("file-lost"));
	clock_forward(1);
	MUST(blob_append_open(blobs, "file-grows", 5, &a, &err)); /* its last object is young */
	MUST(blob_append(a, SLICE("x"), &err));
	MUST(blob_append_sync(a, &err));
	blob_append_close(a);
	MUST(blobs_sweep(blobs, standing, NULL, AT, &err));
	assert_false(is_there("file-lost"));
	assert_int_equal(lost_of("file-lost.jsonl"), 1);
	assert_false(is_there("file-deleted"));
	assert_true(is_there("file-grows"));
	clock_forward(3600);
	MUST(blobs_sweep(blobs, standing, NULL, AT, &err));
	assert_false(is_there("file-grows"));
	assert_true(is_there(PART "1"));
}

/* One process alone, at its start, finds nothing of others. */
static void alone_all_is_swept(void **state)
{
	(void)state;
	MUST(blob_put(blobs, "file-lost", BLOB_DATA, SLICE("x"), &err));
	part_make(PART "1", 0, 10, 5);
	MUST(blobs_sweep(blobs, standing, NULL, AT, &err));
	assert_false(is_there("file-lost"));
	assert_false(is_there(PART "1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_PLACE(a_prefix_is_of_one_id),
		ON_PLACE(files_that_are_nobodys),
		ON_PLACE(nodes_that_start_at_one_time_claim_it),
		ON_PLACE(of_strangers_that_start_at_one_time_one_has_it),
		ON_PLACE(who_comes_between_has_it),
		ON_PLACE(a_store_without_conditions),
		ON_PLACE(a_claim_whose_answer_was_lost),
		ON_PLACE(what_is_young_is_swept_by_nobody),
		ON_PLACE(alone_all_is_swept),
		ON_PLACE(an_object_is_put_read_and_removed),
		ON_PLACE(names_that_are_not_theirs_are_refused),
		ON_PLACE(a_list_of_objects),
		ON_PLACE(an_object_with_other_bytes),
		ON_PLACE(parts_become_a_blob),
		ON_PLACE(a_part_that_is_not_what_it_was),
		ON_PLACE(two_join_the_same_at_one_time),
		ON_PLACE(joined_again_it_is_whole_whatever_failed),
		ON_PLACE(what_is_there_is_not_copied_again),
	};

	if (place_is("")) /* a directory has none */
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
