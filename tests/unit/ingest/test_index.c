/* The index file: what is written reads back, what is damaged is refused. */
#include "ingest_unit.h"

#include <fcntl.h>

#include "ingest/index_writer.h"

static const struct slice none = { NULL, 0 };

/* A finished index without a store; its file is the caller's. */
static int index_file(uint64_t lines, struct slice (*model)(uint64_t, char *))
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
					  .body_length = 10 };
		assert_true(index_writer_add(w, &r, model(i, text), SLICE("/v1/x"), &err));
	}
	assert_true(index_writer_finish(w, &err));
	int fd = index_writer_take_fd(w);
	index_writer_close(w);
	return fd;
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
			    records[i].model == 0 && records[i].url == 0);
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
		r = (struct index_record){ .line = i, .flags = LINE_STREAM };
		assert_true(index_writer_add(w, &r, none, none, &err));
	}
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		assert_true(index_writer_record(w, order[i], &seen, &err));
		assert_int_equal(seen->line, order[i]);
		assert_true(index_writer_mark(w, order[i], LINE_DUPLICATE_ID, &err));
	}
	assert_true(index_writer_finish(w, &err));
	assert_int_equal(index_writer_summary(w)->flags_any, LINE_STREAM | LINE_DUPLICATE_ID);
	assert_true(index_open(index_writer_take_fd(w), &ix, &err));
	index_writer_close(w);
	for (uint64_t i = 0; i <= 5000; i++) {
		unsigned want = LINE_STREAM;
		for (size_t k = 0; k < ARRAY_LEN(order); k++)
			want |= order[k] == i ? LINE_DUPLICATE_ID : 0;
		assert_true(index_read(ix, i, &r, 1, &err));
		assert_true(r.flags == want && r.line == i && r.model == INDEX_OTHER);
	}
	index_close(ix);
}

static int copy_of(const char *bytes, size_t n)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
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
	int fd = index_file(3, one_model);
	size_t n = (size_t)pread(fd, bytes, sizeof(bytes), 0);

	(void)state;
	close(fd);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back),
		cmocka_unit_test(summaries_have_an_edge),
		cmocka_unit_test(odd_names),
		cmocka_unit_test(marks_are_kept_wherever_they_are_made),
		cmocka_unit_test(whatever_is_damaged_is_refused),
	};

	return cmocka_run_group_tests(tests, store_setup, store_teardown);
}
