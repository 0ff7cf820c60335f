/* test_span_order.c: the order of a batch's lines, made of those of its spans. */
#include "unit.h"

#include "pipeline/span_order.h"

static char *dir;
static struct blobs *blobs;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	dir = scratch_dir_new();
	return blobs_open(dir, NULL, &blobs, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	blobs_close(blobs);
	scratch_dir_remove(dir);
	return 0;
}

/* A span of two lines of 10 bytes in the output, and between them one of 7 in the error file, from `record`. */
static struct span_end span_put(const char *output, const char *error, uint32_t record)
{
	struct span_end end = { .output = { .bytes = 20, .lines = 2 },
				.error = { .bytes = 7, .lines = 1 } };
	struct order_note of[] = {
		{ 1, { .place = 0, .length = 10, .record = record } },
		{ 2, { .place = ORDER_ERROR, .length = 7, .record = record + 1 } },
		{ 3, { .place = 10, .length = 10, .record = record + 2 } },
	};
	char path[PATH_MAX];
	struct order *o;
	bool created;

	snprintf(end.output.name, sizeof(end.output.name), "%s", output);
	snprintf(end.error.name, sizeof(end.error.name), "%s", error);
	snprintf(path, sizeof(path), "%s/scratch.order", dir);
	assert_true(order_open(path, true, &o, &created, &err));
	assert_true(order_put(o, of, 3, &err));
	order_close(o);
	assert_true(span_order_put(blobs, &end, path, &err));
	assert_false(scratch_exists(dir, "scratch.order"));
	assert_true(span_order_put(blobs, &end, path, &err)); /* the span's end is tried again */
	return end;
}

static void assert_order(const char *home, const struct order_entry *expected, size_t n)
{
	struct order_entry got[16];
	struct blob_reader *r;
	size_t got_n;

	assert_true(blob_open(blobs, home, BLOB_INDEX, &r, &err));
	assert_true(order_read(r, 1, got, 16, &got_n, &err));
	assert_int_equal(got_n, n);
	assert_memory_equal(got, expected, n * sizeof(*expected));
	blob_reader_close(r);
}

static const struct order_homes homes = { "file-o", "file-e" };

static void one_span_behind_the_other(void **state)
{
	struct span_seen spans[] = {
		{ .n = 0, .after = 0, .end = span_put("part-1", "part-2", 0) },
		{ .n = 1, .after = 1 }, /* no line of it stands anywhere */
		{ .n = 2, .after = 2, .end = span_put("part-3", "part-4", 3) },
	};
	const struct order_entry expected[] = {
		{ 0, 10, 0 },  { ORDER_ERROR, 7, 1 },     { 10, 10, 2 },
		{ 20, 10, 3 }, { ORDER_ERROR | 7, 7, 4 }, { 30, 10, 5 },
	};
	bool known;

	(void)state;
	assert_true(span_order_join(blobs, spans, 3, &homes, &known, &err));
	assert_true(known);
	assert_order("file-o", expected, 6);
	assert_order("file-e", expected, 6);
}

/* The files have them by number. */
static void as_they_were_finished(void **state)
{
	struct span_seen spans[] = {
		{ .n = 0, .after = -1, .end = span_put("part-11", "part-12", 0) },
		{ .n = 1, .after = 1, .end = span_put("part-13", "part-14", 3) },
		{ .n = 2, .after = 0, .end = span_put("part-15", "part-16", 6) },
		{ .n = 3, .after = -1 },
	};
	const struct order_homes others = { "file-r", "file-s" };
	const struct order_entry expected[] = {
		{ 40, 10, 6 }, { ORDER_ERROR | 14, 7, 7 }, { 50, 10, 8 },
		{ 20, 10, 3 }, { ORDER_ERROR | 7, 7, 4 },  { 30, 10, 5 },
		{ 0, 10, 0 },  { ORDER_ERROR, 7, 1 },      { 10, 10, 2 },
	};
	bool known;

	(void)state;
	const struct span_seen **sorted = span_order_of(spans, 4);
	assert_non_null(sorted);
	const uint32_t numbers[] = { 2, 1, 0, 3 };
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(sorted[i]->n, numbers[i]);
	free(sorted);
	assert_true(span_order_join(blobs, spans, 4, &others, &known, &err));
	assert_true(known);
	assert_order("file-r", expected, 9);
	assert_order("file-s", expected, 9);
}

static void a_span_whose_order_is_gone_or_not_whole(void **state)
{
	struct span_seen spans[] = {
		{ .n = 0, .after = 0, .end = span_put("part-5", "part-6", 0) },
		{ .n = 1, .after = 1, .end = span_put("part-7", "part-8", 3) },
	};
	const struct order_homes others = { "file-p", "file-q" };
	struct blob_reader *r;
	bool known = true;

	(void)state;
	spans[1].end.output.lines = 3; /* of which its order has two */
	assert_true(span_order_join(blobs, spans, 2, &others, &known, &err));
	assert_false(known);
	spans[1].end.output.lines = 2;
	assert_true(blob_remove(blobs, "part-7", &err));
	assert_true(span_order_join(blobs, spans, 2, &others, &known, &err));
	assert_false(known);
	assert_false(blob_open(blobs, "file-p", BLOB_INDEX, &r, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_span_behind_the_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(as_they_were_finished, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_span_whose_order_is_gone_or_not_whole, set_up,
						tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
