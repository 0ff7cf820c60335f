/* test_download.c: bytes that go on where they stopped, and are the file's in the end. */
#include "world.h"

#include "remote/download.h"

struct got {
	struct buf bytes;
	unsigned refuse_at;
};

static bool take(void *ctx, struct slice piece, struct error *err)
{
	struct got *g = ctx;

	if (g->refuse_at > 0 && --g->refuse_at == 0)
		return fail_sys(err, ENOSPC, "writing out.jsonl");
	buf_add(&g->bytes, piece);
	return true;
}

static bool run(struct world *w, struct got *g, uint64_t size, uint64_t at)
{
	struct download d = {
		.path = "/files/x/content", .size = size, .at = at, .write = take, .ctx = g
	};

	g->bytes = BUF(1000);
	return download_run(w->remote, &d, &w->err);
}

/* The answer breaks behind `body`. */
static struct fake_answer *world_half(struct world *w, int status, const char *body)
{
	world_breaks(w, EXCHANGE_BROKEN, "reset");
	struct fake_answer *a = &w->answers[w->answer_n - 1];
	a->status = status;
	a->body = body;
	return a;
}

static void range_set(struct fake_answer *a, const char *range)
{
	a->headers[0] = (struct header){ SLICE("Content-Range"), slice_of(range) };
}

static void it_goes_on_over_breaks(void **state)
{
	(void)state;
	struct world w;
	struct got g = { 0 };
	world_open(&w, "k");
	range_set(world_half(&w, 206, "one "), "bytes 0-12/13"); /* the fake has no other length */
	range_set(world_half(&w, 206, "two "), "bytes 4-12/13");
	range_set(world_says(&w, 206, "three"), "bytes 8-12/13");
	assert_true(run(&w, &g, 13, 0));
	assert_true(slice_is(buf_slice(&g.bytes), "one two three"));
	assert_string_equal(w.asked[0].header, "");
	assert_string_equal(w.asked[1].header, "Range: bytes=4-");
	assert_string_equal(w.asked[2].header, "Range: bytes=8-");
	buf_free(&g.bytes);
	world_close(&w);
}

static void it_begins_behind_what_is_there(void **state)
{
	(void)state;
	struct world w;
	struct got g = { 0 };
	world_open(&w, "k");
	range_set(world_says(&w, 206, "three"), "bytes 8-12/13");
	assert_true(run(&w, &g, 13, 8));
	assert_true(slice_is(buf_slice(&g.bytes), "three"));
	buf_free(&g.bytes);
	world_close(&w);
}

static void a_server_without_ranges_sends_all_of_it_again(void **state)
{
	(void)state;
	struct world w;
	struct got g = { 0 };
	world_open(&w, "k");
	world_says(&w, 200, "one two three")->piece = 3;
	assert_true(run(&w, &g, 13, 8));
	assert_true(slice_is(buf_slice(&g.bytes), "three"));
	buf_free(&g.bytes);
	world_close(&w);
}

static void all_is_there_already(void **state)
{
	(void)state;
	struct world w;
	struct got g = { 0 };
	world_open(&w, "k");
	assert_true(run(&w, &g, 13, 13));
	assert_true(run(&w, &g, 0, 0));
	assert_int_equal(w.asked_n, 0);
	assert_false(run(&w, &g, 13, 14)); /* more than the file has */
	world_close(&w);
}

static void another_range_or_size_is_refused(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *range, *body;
	} rows[] = {
		{ 206, "bytes 4-12/13", "23456789a" }, { 206, "bytes 8-13/14", "three!" },
		{ 206, "nonsense", "three" },          { 206, NULL, "three" },
		{ 200, NULL, "another file's bytes" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		struct got g = { 0 };
		world_open(&w, "k");
		struct fake_answer *a = world_says(&w, rows[i].status, rows[i].body);
		if (rows[i].range != NULL)
			range_set(a, rows[i].range);
		assert_false(run(&w, &g, 13, 8));
		assert_int_equal(g.bytes.n, 0);
		world_close(&w);
	}
}

static void a_disk_that_is_full_ends_it(void **state)
{
	(void)state;
	struct world w;
	struct got g = { .refuse_at = 2 };
	world_open(&w, "k");
	world_says(&w, 200, "one two three")->piece = 4;
	assert_false(run(&w, &g, 13, 0));
	assert_int_equal(w.err.kind, ERR_NO_SPACE);
	assert_int_equal(w.asked_n, 1);
	assert_true(slice_is(buf_slice(&g.bytes), "one "));
	buf_free(&g.bytes);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_goes_on_over_breaks),
		cmocka_unit_test(it_begins_behind_what_is_there),
		cmocka_unit_test(a_server_without_ranges_sends_all_of_it_again),
		cmocka_unit_test(all_is_there_already),
		cmocka_unit_test(another_range_or_size_is_refused),
		cmocka_unit_test(a_disk_that_is_full_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
