/* The index file: what is written reads back, what is damaged is refused. */
#include "ingest_unit.h"

#include <fcntl.h>
#include <xxhash.h>

#include "blob_fake.h"
#include "ingest/index_writer.h"

static const struct slice none = { NULL, 0 };

/* A finished index without a store; its file is the caller's. */
static struct blob_reader *index_file(uint64_t lines, struct slice (*model)(uint64_t, char *))
{
	struct index_writer *w;
	struct error err;
	char text[1024];

	assert_true(index_writer_open(NULL, &w, &err));
	for (uint64_t i = 0; i < lines; i++) {
		struct index_record r = { .offset = i * 100,
					  .line = (uint32_t)i + 1,
					  .length = 99,
					  .inputs = 2,
					  .body_length = 10,
					  .prefix.hash = { 1, (uint32_t)i + 1 } };
		assert_true(index_writer_add(w, &r, model(i, text), SLICE("/v1/x"), &err));
	}
	assert_true(index_writer_finish(w, &err));
	struct blob_reader *file = index_writer_end(w);
	index_writer_close(w);
	return file;
}

static struct slice one_model(uint64_t i, char *text)
{
	(void)i;
	return (struct slice){ text, (size_t)sprintf(text, "m\\u006fdel") };
}

static void reads_back(void **state)
{
	struct index *ix;
	struct error err;
	struct index_record records[100];

	(void)state;
	assert_true(index_open(index_file(3000, one_model), &ix, &err));
	const struct index_summary *s = index_summary(ix);
	assert_int_equal(s->lines, 3000);
	assert_int_equal(s->inputs, 6000);
	assert_int_equal(s->body_bytes, 30000);
	assert_int_equal(s->flags_any, 0);
	assert_int_equal(s->url_count, 1);
	assert_int_equal(s->model_count, 1);
	assert_false(s->url_overflow || s->model_overflow);
	assert_string_equal(s->urls[0], "/v1/x");
	assert_string_equal(s->models[0], "model");
	assert_true(index_read(ix, 2900, records, 100, &err));
	for (uint64_t i = 0; i < 100; i++)
		assert_true(records[i].line == 2901 + i && records[i].offset == (2900 + i) * 100 &&
			    records[i].model == 0 && records[i].url == 0 &&
			    records[i].prefix.hash[0] == 1 &&
			    records[i].prefix.hash[1] == 2901 + i &&
			    records[i].prefix.hash[2] == 0);
	assert_false(index_read(ix, 2901, records, 100, &err));
	assert_false(index_read(ix, UINT64_MAX, records, 1, &err));
	assert_true(index_read(ix, 3000, records, 0, &err));
	index_close(ix);
	index_close(NULL);
}

/* 300 models: 256 are listed, the others are not. */
static struct slice many_models(uint64_t i, char *text)
{
	return (struct slice){ text, (size_t)sprintf(text, "model-%03d \"\\u00e9\\\\",
						     (int)(i * 7 % 300)) };
}

static void summaries_have_an_edge(void **state)
{
	struct index *ix;
	struct error err;
	struct index_record r;

	(void)state;
	assert_true(index_open(index_file(600, many_models), &ix, &err));
	const struct index_summary *s = index_summary(ix);
	assert_int_equal(s->model_count, 256);
	assert_true(s->model_overflow);
	assert_false(s->url_overflow);
	assert_string_equal(s->models[1], "model-007 \"\xc3\xa9\\");
	for (uint64_t i = 0; i < 600; i++) {
		assert_true(index_read(ix, i, &r, 1, &err));
		assert_int_equal(r.model, i % 300 < 256 ? i % 300 : INDEX_OTHER);
	}
	index_close(ix);
}

static struct slice odd_models(uint64_t i, char *text)
{
	static const struct slice odd[] = { SLICE(""), SLICE("a\\u0000b"), SLICE("a"),
					    SLICE("\\u0061") };

	if (i < ARRAY_LEN(odd))
		return odd[i];
	if (i == ARRAY_LEN(odd))
		return none;
	memset(text, 'x', 300); /* 256 bytes is the most; then longer ones */
	return (struct slice){ text, 256 + (i - ARRAY_LEN(odd) - 1) * 7 };
}

static void odd_names(void **state)
{
	static const uint16_t numbers[] = { 0, INDEX_OTHER, 1, 1, INDEX_OTHER, 2, INDEX_OTHER };
	struct index *ix;
	struct error err;
	struct index_record r;

	(void)state;
	assert_true(index_open(index_file(ARRAY_LEN(numbers), odd_models), &ix, &err));
	const struct index_summary *s = index_summary(ix);
	assert_int_equal(s->model_count, 3);
	assert_true(s->model_overflow);
	assert_string_equal(s->models[0], "");
	assert_string_equal(s->models[1], "a");
	assert_int_equal(strlen(s->models[2]), 256);
	for (uint64_t i = 0; i < ARRAY_LEN(numbers); i++) {
		assert_true(index_read(ix, i, &r, 1, &err));
		assert_int_equal(r.model, numbers[i]);
	}
	index_close(ix);
}

static void marks_are_kept_wherever_they_are_made(void **state)
{
	static const uint64_t order[] = { 4999, 0, 1, 63, 64, 2500, 65, 4998, 1023, 1024, 3, 5000 };
	struct index_writer *w;
	struct index *ix;
	struct error err;
	struct index_record r;
	const struct index_record *seen;

	(void)state;
	assert_true(index_writer_open(NULL, &w, &err));
	for (uint32_t i = 0; i <= 5000; i++) {
		r = (struct index_record){ .line = i, .inputs = (1u << 30) - 1 };
		record_set_flags(&r, LINE_STREAM | LINE_BACKGROUND);
		assert_true(index_writer_add(w, &r, none, none, &err));
	}
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		assert_true(index_writer_record(w, order[i], &seen, &err));
		assert_int_equal(seen->line, order[i]);
		assert_true(index_writer_mark(w, order[i], LINE_DUPLICATE_ID, &err));
	}
	assert_true(index_writer_finish(w, &err));
	assert_int_equal(index_writer_summary(w)->flags_any,
			 LINE_STREAM | LINE_BACKGROUND | LINE_DUPLICATE_ID);
	assert_true(index_open(index_writer_end(w), &ix, &err));
	index_writer_close(w);
	for (uint64_t i = 0; i <= 5000; i++) {
		unsigned want = LINE_STREAM | LINE_BACKGROUND;
		for (size_t k = 0; k < ARRAY_LEN(order); k++)
			want |= order[k] == i ? LINE_DUPLICATE_ID : 0;
		assert_true(index_read(ix, i, &r, 1, &err));
		assert_true(record_flags(&r) == want && r.line == i && r.model == INDEX_OTHER);
		assert_int_equal(r.inputs, (1u << 30) - 1);
	}
	index_close(ix);
}

/* Records without a prefix are written smaller; the first with one makes those before it larger. */
static void a_prefix_may_come_late(void **state)
{
	static const uint32_t firsts[] = { 0, 1, 255, 256, 257, 1023, 1024, 1025, 2999, 3000 };
	static struct index_record records[3000];
	struct error err;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(firsts); k++) {
		struct index_writer *w;
		struct index *ix;
		assert_true(index_writer_open(NULL, &w, &err));
		for (uint32_t i = 0; i < 3000; i++) {
			struct index_record r = { .offset = i * UINT64_C(1000),
						  .custom_id_hash = ~UINT64_C(0) - i,
						  .line = i + 1,
						  .inputs = i };
			r.prefix.hash[0] = i == firsts[k] || i == 2998 ? i + 9 : 0;
			r.prefix.hash[5] = r.prefix.hash[0];
			if (firsts[k] == 3000)
				r.prefix = (struct prefix){ 0 };
			assert_true(index_writer_add(w, &r, SLICE("m"), none, &err));
		}
		assert_true(index_writer_mark(w, 1500, LINE_DUPLICATE_ID, &err));
		assert_true(index_writer_finish(w, &err));
		struct blob_reader *file = index_writer_end(w);
		size_t bytes = firsts[k] == 3000 ? 48 : sizeof(records[0]);
		assert_in_range(blob_bytes(file), 64 + 3000 * bytes, 64 + 3000 * bytes + 1000);
		assert_true(index_open(file, &ix, &err));
		index_writer_close(w);
		assert_true(index_read(ix, 0, records, 3000, &err));
		for (uint32_t i = 0; i < 3000; i++) {
			const struct index_record *r = &records[i];
			bool has = firsts[k] < 3000 && (i == firsts[k] || i == 2998);
			assert_true(r->offset == i * UINT64_C(1000) && r->line == i + 1 &&
				    r->custom_id_hash == ~UINT64_C(0) - i && r->inputs == i &&
				    record_flags(r) == (i == 1500 ? LINE_DUPLICATE_ID : 0u) &&
				    r->model == 0 && r->prefix.hash[0] == (has ? i + 9 : 0) &&
				    r->prefix.hash[5] == r->prefix.hash[0]);
		}
		index_close(ix);
	}
}

static struct blob_reader *copy_of(const char *bytes, size_t n)
{
	struct blob_writer *w;
	struct error err;

	assert_true(blob_create(NULL, &w, &err));
	assert_true(blob_write(w, (struct slice){ bytes, n }, &err));
	return blob_writer_end(w);
}

static void refused(const char *bytes, size_t n)
{
	struct index *ix;
	struct error err;

	assert_false(index_open(copy_of(bytes, n), &ix, &err));
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_non_null(strstr(err.detail, "index: "));
	assert_null(strstr(err.message, "index"));
}

static void whatever_is_damaged_is_refused(void **state)
{
	char bytes[4096];
	struct index *ix;
	struct error err;
	size_t records_end = 64 + 3 * sizeof(struct index_record);
	struct blob_reader *file = index_file(3, one_model);
	size_t n;

	(void)state;
	assert_true(blob_read_upto(file, 0, bytes, sizeof(bytes), &n, &err));
	blob_reader_close(file);
	assert_true(index_open(copy_of(bytes, n), &ix, &err));
	index_close(ix);
	for (size_t cut = 0; cut < n; cut++)
		refused(bytes, cut);
	bytes[n] = ' ';
	refused(bytes, n + 1);
	for (size_t at = 0; at < n; at++) {
		if (at == 64)
			at = records_end; /* records have no check of their own */
		for (unsigned bit = 1; bit <= 0x80; bit <<= 1) {
			char whole = bytes[at];
			bytes[at] = (char)((unsigned char)whole ^ bit);
			refused(bytes, n);
			bytes[at] = whole;
		}
	}
}

/* An index is read from wherever it lies, in whatever pieces; a fault of any piece is told. */
static void an_index_need_not_be_a_file(void **state)
{
	static char bytes[300 * sizeof(struct index_record)];
	struct blob_reader *file = index_file(200, one_model);
	struct index_record want[200], got[200];
	struct blobs *fake = blob_fake_new();
	bool fired = true;
	struct error err;
	struct index *ix;
	size_t n;

	(void)state;
	assert_true(blob_read_upto(file, 0, bytes, sizeof(bytes), &n, &err));
	assert_true(index_open(file, &ix, &err) && index_read(ix, 0, want, 200, &err));
	index_close(ix);
	blob_fake_read_most(fake, 1000);
	for (unsigned nth = 1; fired; nth++) {
		ix = NULL;
		blob_fake_fail_nth(fake, nth, EIO);
		bool ok = index_open(blob_fake_reader(fake, (struct slice){ bytes, n }), &ix,
				     &err) &&
			  index_read(ix, 0, got, 200, &err);
		fired = blob_fake_restore(fake);
		assert_int_equal(ok, !fired);
		if (ok)
			assert_memory_equal(got, want, sizeof(want));
		else
			assert_int_equal(err.sys, EIO);
		index_close(ix);
	}
	blobs_close(fake);
}

/* ---- version 1 ---- */

struct record_v1 {
	uint64_t offset, custom_id_hash;
	uint32_t length, line, body_offset, body_length, custom_id_offset;
	uint16_t custom_id_length, model, url, flags;
	uint32_t inputs;
};
_Static_assert(sizeof(struct record_v1) == 48, "as it was");

struct header_v1 {
	char magic[8];
	uint32_t version, record_bytes;
	uint64_t records, footer_at, footer_bytes, check, spare[2];
};

/* Writes an index of `n` lines as version 1 did; returns its bytes. */
static size_t index_v1(char *to, uint32_t n)
{
	struct header_v1 h = { .magic = "LTINDEX", .version = 1, .record_bytes = 48, .records = n };
	size_t at = sizeof(h);

	for (uint32_t i = 0; i < n; i++, at += sizeof(struct record_v1)) {
		struct record_v1 r = { .offset = i * UINT64_C(10000000000),
				       .custom_id_hash = ~UINT64_C(0) - i,
				       .length = 99,
				       .line = i + 1,
				       .custom_id_length = 9,
				       .flags = LINE_STREAM,
				       .inputs = i + 7 };
		memcpy(to + at, &r, sizeof(r));
	}
	h.footer_at = at;
	h.footer_bytes = (uint64_t)sprintf(
		to + at,
		"{\"lines\":%u,\"inputs\":70,\"body_bytes\":1,\"flags\":8192,\"url_overflow\":0,"
		"\"model_overflow\":1,\"urls\":[\"/v1/x\"],\"models\":[\"m\"]}",
		n);
	h.check = XXH3_64bits_withSeed(to + at, h.footer_bytes, XXH3_64bits(&h, sizeof(h)));
	memcpy(to, &h, sizeof(h));
	return at + h.footer_bytes;
}

static void v1_records_read(const struct index *ix, uint32_t first, uint32_t n)
{
	static const struct prefix no_prefix;
	/* no more room than that: ASan sees what is written beyond it */
	struct index_record *records = malloc((n > 0 ? n : 1) * sizeof(*records));
	struct error err;

	memset(records, 0xaa, n * sizeof(*records));
	assert_true(index_read(ix, first, records, n, &err));
	for (uint32_t k = 0; k < n; k++) {
		const struct index_record *r = &records[k];
		uint32_t i = first + k;
		assert_true(r->offset == i * UINT64_C(10000000000) && r->length == 99 &&
			    r->custom_id_hash == ~UINT64_C(0) - i && r->line == i + 1 &&
			    r->custom_id_length == 9 && r->flags == LINE_STREAM &&
			    r->inputs == i + 7);
		assert_memory_equal(&r->prefix, &no_prefix, sizeof(no_prefix));
	}
	free(records);
}

static void version_1_is_read(void **state)
{
	static char bytes[64 + 500 * 48 + 1024];
	struct index *ix;
	struct error err;
	struct index_record r;
	size_t n = index_v1(bytes, 500);

	(void)state;
	assert_true(index_open(copy_of(bytes, n), &ix, &err));
	const struct index_summary *s = index_summary(ix);
	assert_true(s->lines == 500 && s->inputs == 70 && s->flags_any == LINE_STREAM);
	assert_true(s->model_overflow && !s->url_overflow && !s->prefixes);
	assert_string_equal(s->models[0], "m");
	for (uint32_t some = 0; some <= 500; some += some < 8 ? 1 : 41) {
		v1_records_read(ix, 0, some);
		v1_records_read(ix, 500 - some, some);
	}
	v1_records_read(ix, 0, 500);
	assert_false(index_read(ix, 500, &r, 1, &err));
	index_close(ix);

	n = index_v1(bytes, 3);
	for (size_t cut = 0; cut < n; cut++)
		refused(bytes, cut);
	for (size_t at = 0; at < 64;
	     at++) { /* among others: a version 1 with records of 72 bytes */
		bytes[at] ^= 1;
		refused(bytes, n);
		bytes[at] ^= 1;
	}
	n = index_v1(bytes, 0);
	assert_true(index_open(copy_of(bytes, n), &ix, &err));
	index_close(ix);
}

/* ---- whether prefixes pay ---- */

/* As good as random, and the same each time; never 0. */
static uint32_t hash_of(uint64_t a, uint64_t b)
{
	return (uint32_t)XXH3_64bits_withSeed(&a, sizeof(a), b) | 1;
}

static bool pay(uint64_t lines, struct prefix (*prefix)(uint64_t))
{
	struct index_writer *w;
	struct index *ix;
	struct error err;

	assert_true(index_writer_open(NULL, &w, &err));
	for (uint64_t i = 0; i < lines; i++) {
		struct index_record r = { .line = (uint32_t)i + 1, .prefix = prefix(i) };
		assert_true(index_writer_add(w, &r, none, none, &err));
	}
	assert_true(index_writer_finish(w, &err));
	assert_true(index_open(index_writer_end(w), &ix, &err));
	bool prefixes = index_summary(ix)->prefixes;
	assert_int_equal(index_writer_summary(w)->prefixes, prefixes);
	index_writer_close(w);
	index_close(ix);
	return prefixes;
}

static struct prefix no_prefix(uint64_t i)
{
	(void)i;
	return (struct prefix){ { 0 } };
}

static struct prefix one_for_all(uint64_t i)
{
	(void)i;
	return (struct prefix){ { 7, 8 } };
}

/* One system prompt of two levels, then a text of the line's own. */
static struct prefix one_then_own(uint64_t i)
{
	return (struct prefix){ { 7, 8, hash_of(i, 0), hash_of(i, 1) } };
}

/* Some lines have no more than the system prompt. */
static struct prefix one_or_own(uint64_t i)
{
	return i % 2 == 0 ? one_for_all(i) : one_then_own(i);
}

static struct prefix one_or_none(uint64_t i)
{
	return i % 2 == 0 ? one_for_all(i) : no_prefix(i);
}

static struct prefix own(uint64_t i)
{
	return (struct prefix){ { hash_of(i, 0), hash_of(i, 1) } };
}

static struct prefix two_in_turn(uint64_t i)
{
	return (struct prefix){ { 7 + (uint32_t)(i % 2) } };
}

/* As when ten questions are asked of each document. */
static struct prefix ten_in_a_row(uint64_t i)
{
	return (struct prefix){ { 7, hash_of(i / 10, 0) } };
}

static struct prefix hundreds_in_turn(uint64_t i)
{
	return (struct prefix){ { 7, hash_of(i % 300, 0), hash_of(i, 1) } };
}

static struct prefix far_apart(uint64_t i)
{
	return (struct prefix){ { hash_of(i % 20000, 0) } };
}

/* They meet in one slot of any small table, and are not the same. */
static struct prefix low_bits_alike(uint64_t i)
{
	return (struct prefix){ { 5 + ((uint32_t)i << 16) } };
}

/* Lines 70 and on are like line 69. */
static struct prefix like_line_69(uint64_t i)
{
	return own(i < 69 ? i : 69);
}

static void prefixes_that_pay(void **state)
{
	(void)state;
	assert_true(pay(100, two_in_turn));
	assert_true(pay(4, two_in_turn));
	assert_true(pay(100, ten_in_a_row));
	assert_true(pay(100000, ten_in_a_row));
	assert_true(pay(3000, hundreds_in_turn));
}

static void prefixes_that_do_not_pay(void **state)
{
	(void)state;
	assert_false(pay(0, no_prefix));
	assert_false(pay(100, no_prefix));
	assert_false(pay(1, one_for_all));
	assert_false(pay(1000, one_for_all));
	assert_false(pay(1000, one_then_own));
	assert_false(pay(1000, one_or_own));
	assert_false(pay(1000, one_or_none));
	assert_false(pay(100000, own));
	assert_false(pay(40000, far_apart));
	assert_false(pay(1000, low_bits_alike));
	assert_false(pay(3, two_in_turn)); /* one line that is like another is not enough */
}

static void prefixes_of_one_line_in_eight_pay(void **state)
{
	(void)state;
	assert_false(pay(78, like_line_69)); /* 8 of 78 */
	assert_false(pay(79, like_line_69)); /* 9 of 79 */
	assert_true(pay(80, like_line_69));  /* 10 of 80 */
	assert_true(pay(81, like_line_69));  /* 11 of 81 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back),
		cmocka_unit_test(summaries_have_an_edge),
		cmocka_unit_test(odd_names),
		cmocka_unit_test(marks_are_kept_wherever_they_are_made),
		cmocka_unit_test(a_prefix_may_come_late),
		cmocka_unit_test(whatever_is_damaged_is_refused),
		cmocka_unit_test(an_index_need_not_be_a_file),
		cmocka_unit_test(version_1_is_read),
		cmocka_unit_test(prefixes_that_pay),
		cmocka_unit_test(prefixes_that_do_not_pay),
		cmocka_unit_test(prefixes_of_one_line_in_eight_pay),
	};

	return cmocka_run_group_tests(tests, store_setup, store_teardown);
}
