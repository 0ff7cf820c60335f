/* test_calls.c: calls: what goes out, which are tried again and for how long, and what is said. */
#include "world.h"

#define FAULT(message) \
	"{\"error\":{\"message\":\"" message "\",\"type\":\"t\",\"param\":null,\"code\":null}}"
#define REFUSED "Failed to connect to 127.0.0.1 port 8000 after 0 ms: Couldn't connect to server"

static bool get(struct world *w, const char *path)
{
	return remote_json(w->remote, &(struct remote_request){ .method = "GET", .path = path },
			   NULL, &w->err);
}

static bool post(struct world *w, const char *key)
{
	json_t *body = json_pack("{s:i}", "n", 1);
	struct remote_request q = {
		.method = "POST", .path = "/batches", .body = body, .idempotency_key = key
	};
	bool good = remote_json(w->remote, &q, NULL, &w->err);

	json_decref(body);
	return good;
}

static void header_set(struct fake_answer *a, const char *name, const char *value)
{
	a->headers[1] = (struct header){ slice_of(name), slice_of(value) };
}

static void what_goes_out(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, "sk-1");
	world_says(&w, 200, "{}");
	assert_true(get(&w, "/batches?limit=1"));
	assert_true(post(&w, "key-7"));
	assert_true(remote_json(w.remote,
				&(struct remote_request){ .method = "DELETE", .path = "/files/x" },
				NULL, &w.err));
	assert_string_equal(w.asked[0].method, "GET");
	assert_string_equal(w.asked[0].url, "http://127.0.0.1:8000/v1/batches?limit=1");
	assert_string_equal(w.asked[0].authorization, "Bearer sk-1");
	assert_string_equal(w.asked[1].method, "POST");
	assert_string_equal(w.asked[1].body, "{\"n\":1}");
	assert_string_equal(w.asked[1].key, "key-7");
	assert_string_equal(w.asked[2].method, "DELETE");
	world_close(&w);
}

static void a_server_that_was_never_there_is_not_waited_for(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, NULL);
	world_breaks(&w, EXCHANGE_UNREACHABLE, REFUSED);
	assert_false(get(&w, "/batches"));
	assert_int_equal(w.asked_n, 1);
	assert_string_equal(
		w.err.message,
		"nothing listens at http://127.0.0.1:8000/v1: is `lowtide serve` running? "
		"(LOWTIDE_URL, --url or `lowtide login URL` names the server)");
	world_close(&w);
}

static void a_server_that_goes_is_waited_for(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, NULL);
	world_says(&w, 200, "{}");
	for (int i = 0; i < 5; i++)
		world_breaks(&w, EXCHANGE_UNREACHABLE, REFUSED);
	world_says(&w, 200, "{}");
	assert_true(get(&w, "/batches"));
	assert_true(get(&w, "/batches"));
	assert_int_equal(w.asked_n, 7);
	assert_int_equal(w.notes, 1);
	assert_int_equal(w.asked[6].at_ms - w.asked[1].at_ms, 250 + 500 + 1000 + 2000 + 4000);
	world_close(&w);
}

static void patience_ends(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, NULL);
	world_says(&w, 200, "{}");
	world_breaks(&w, EXCHANGE_UNREACHABLE, REFUSED);
	assert_true(get(&w, "/batches"));
	uint64_t from = client_fake_now_ms();
	assert_false(get(&w, "/batches"));
	assert_in_range(client_fake_now_ms() - from, 45000, 60000);
	assert_true(remote_may_pass(w.remote));
	world_close(&w);
}

/* It is not tried again then, nor given up before. */
static void a_caller_s_time_ends(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, NULL);
	world_says(&w, 200, "{}");
	world_breaks(&w, EXCHANGE_UNREACHABLE, REFUSED);
	assert_true(get(&w, "/batches"));
	uint64_t from = client_fake_now_ms();
	struct remote_request q = { .method = "GET", .path = "/x", .until_ms = from + 5000 };
	assert_false(remote_json(w.remote, &q, NULL, &w.err));
	assert_int_equal(client_fake_now_ms() - from, 5000);
	assert_true(remote_may_pass(w.remote));
	world_close(&w);
}

static void what_broke_is_sent_again_only_where_that_is_safe(void **state)
{
	(void)state;
	static const enum exchange_end ends[] = { EXCHANGE_BROKEN, EXCHANGE_STALE,
						  EXCHANGE_TIMEOUT };
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct world w;
		world_open(&w, NULL);
		world_breaks(&w, ends[i], "reset");
		world_says(&w, 200, "{}");
		assert_false(post(&w, NULL));
		assert_int_equal(w.asked_n, 1);
		w.asked_n = 0;
		assert_true(post(&w, "k"));
		assert_int_equal(w.asked_n, 2);
		assert_string_equal(w.asked[0].key, w.asked[1].key);
		w.asked_n = 0;
		assert_true(get(&w, "/x"));
		assert_int_equal(w.asked_n, 2);
		world_close(&w);
	}
}

static void retry_after_is_kept_to(void **state)
{
	(void)state;
	static const int statuses[] = { 429, 502, 503, 504, 409 };
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct world w;
		world_open(&w, NULL);
		header_set(world_says(&w, statuses[i], FAULT("Later.")), "retry-after", "7");
		world_says(&w, 200, "{}");
		assert_true(post(&w, "k"));
		assert_int_equal(w.asked[1].at_ms - w.asked[0].at_ms, 7000);
		world_close(&w);
	}
}

static void a_409_of_a_call_that_is_not_to_be_repeated_stands(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, NULL);
	header_set(world_says(&w, 409, FAULT("Still running.")), "Retry-After", "1");
	world_says(&w, 200, "{}");
	assert_false(post(&w, NULL));
	assert_int_equal(w.asked_n, 1);
	world_close(&w);
}

static void what_will_not_pass_is_not_tried_again(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, NULL);
	header_set(world_says(&w, 429, FAULT("Your quota is used up.")), "x-should-retry", "false");
	assert_false(get(&w, "/x"));
	assert_int_equal(w.asked_n, 1);
	assert_false(remote_may_pass(w.remote));
	world_close(&w);
}

static void a_wait_beyond_the_patience_is_not_begun(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, NULL);
	header_set(world_says(&w, 503, FAULT("Draining.")), "Retry-After", "61");
	uint64_t from = client_fake_now_ms();
	assert_false(get(&w, "/x"));
	assert_int_equal(client_fake_now_ms(), from);
	assert_int_equal(w.notes, 0);
	world_close(&w);
}

static void sentences(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *body, *key, *said;
		enum error_kind kind;
	} rows[] = {
		{ 401, FAULT("No key."), NULL,
		  "http://127.0.0.1:8000/v1 wants an API key: `lowtide login http://127.0.0.1:8000/v1` "
		  "keeps one, or set LOWTIDE_API_KEY",
		  ERR_NO_KEY },
		{ 401, FAULT("Incorrect API key provided"), "sk-1",
		  "http://127.0.0.1:8000/v1 does not take this API key (Incorrect API key provided): "
		  "`lowtide login http://127.0.0.1:8000/v1` keeps another, or set LOWTIDE_API_KEY",
		  ERR_BAD_KEY },
		{ 404, FAULT("No batch found with id 'batch_x'."), "k",
		  "No batch found with id 'batch_x'", ERR_NOT_FOUND },
		{ 404, FAULT("Invalid URL (GET /v1/x)"), "k",
		  "the server at http://127.0.0.1:8000/v1 does not know /x: it is older than this "
		  "command, or has the call turned off",
		  ERR_NOT_FOUND },
		{ 400, FAULT("a\\u001b[31m\\nb"), "k", "a [31m b", ERR_INVALID },
		{ 404, "<html>", "k",
		  "what answers at http://127.0.0.1:8000/v1 is no lowtide server (status 404, without an "
		  "error message): LOWTIDE_URL, --url or `lowtide login URL` names the server",
		  ERR_NOT_FOUND },
		{ 200, "<html>", "k",
		  "what answers at http://127.0.0.1:8000/v1 is no lowtide server (status 200, without "
		  "JSON): LOWTIDE_URL, --url or `lowtide login URL` names the server",
		  ERR_UPSTREAM },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		world_open(&w, rows[i].key);
		world_says(&w, rows[i].status, rows[i].body);
		assert_false(get(&w, "/x"));
		assert_string_equal(w.err.message, rows[i].said);
		assert_int_equal(w.err.kind, rows[i].kind);
		assert_int_equal(remote_path_unknown(w.remote), i == 3 || i == 5);
		world_close(&w);
	}
}

static void a_server_that_is_none_of_ours(void **state)
{
	(void)state;
	static const char said[] = "what answers at http://127.0.0.1:8000/v1 is no lowtide server "
				   "(status 404: File Not Found): LOWTIDE_URL, --url or `lowtide "
				   "login URL` names the server";
	struct world w;
	world_open(&w, "k");
	world_stranger_says(&w, 404, FAULT("File Not Found"));
	world_stranger_says(&w, 400, FAULT("Too long."));
	assert_false(get(&w, "/x"));
	assert_string_equal(w.err.message, said);
	assert_int_equal(w.err.kind, ERR_NOT_FOUND);
	assert_true(remote_path_unknown(w.remote));
	assert_false(get(&w, "/x"));
	assert_string_equal(w.err.message, "Too long");
	world_close(&w);
}

static void paths(void **state)
{
	(void)state;
	char *p = remote_path("/batches/%s?wait=%u&metadata%%5B%s%%5D=%s", "a/b", 7u, "k&",
			      "\xc3\xa4 +");
	assert_string_equal(p, "/batches/a%2Fb?wait=7&metadata%5Bk%26%5D=%C3%A4%20%2B");
	free(p);
	p = remote_path("/x?after=%llu&limit=%lu&d=%d", 1ULL << 40, 5UL, -1);
	assert_string_equal(p, "/x?after=1099511627776&limit=5&d=-1");
	free(p);
}

/* ---- lists ---- */

struct seen {
	char ids[64];
	unsigned n, enough_at;
	bool fault;
};

static enum remote_taken each(void *ctx, json_t *object, struct error *err)
{
	struct seen *s = ctx;

	strcat(s->ids, json_string_value(json_object_get(object, "id")));
	if (++s->n == s->enough_at) {
		if (s->fault)
			fail(err, ERR_INVALID, "the end");
		return s->fault ? REMOTE_FAULT : REMOTE_ENOUGH;
	}
	return REMOTE_MORE;
}

static void pages(struct world *w)
{
	world_open(w, NULL);
	world_says(w, 200, "{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"has_more\":true}");
	world_says(w, 200, "{\"data\":[{\"id\":\"c\"}],\"has_more\":false}");
}

static void a_list_goes_over_all_pages(void **state)
{
	(void)state;
	struct world w;
	struct seen s = { 0 };
	pages(&w);
	assert_true(remote_list(w.remote, "/batches?limit=2", 0, each, &s, &w.err));
	assert_string_equal(s.ids, "abc");
	assert_string_equal(w.asked[1].url, "http://127.0.0.1:8000/v1/batches?limit=2&after=b");
	world_close(&w);
}

static void a_list_ends_early(void **state)
{
	(void)state;
	struct world w;
	struct seen most = { 0 }, enough = { .enough_at = 1 },
		    fault = { .enough_at = 1, .fault = true };
	pages(&w);
	assert_true(remote_list(w.remote, "/files", 2, each, &most, &w.err));
	assert_string_equal(most.ids, "ab");
	assert_int_equal(w.asked_n, 1);
	w.asked_n = 0;
	assert_true(remote_list(w.remote, "/files", 0, each, &enough, &w.err));
	assert_string_equal(enough.ids, "a");
	w.asked_n = 0;
	assert_false(remote_list(w.remote, "/files", 0, each, &fault, &w.err));
	assert_string_equal(w.err.message, "the end");
	world_close(&w);
}

/* ---- bytes ---- */

static enum remote_taken collect(void *ctx, struct slice piece, struct error *err)
{
	(void)err;
	buf_add(ctx, piece);
	return REMOTE_MORE;
}

static void bytes_that_break_are_the_callers(void **state)
{
	(void)state;
	struct world w;
	AUTO(buf_free) struct buf got = BUF(100);
	struct remote_request q = { .method = "GET", .path = "/files/x/content" };
	world_open(&w, NULL);
	world_breaks(&w, EXCHANGE_BROKEN, "reset");
	w.answers[0].status = 200;
	w.answers[0].body = "half";
	world_says(&w, 200, "whole")->headers[0] = (struct header){ SLICE("X-Last-Line"),
								    SLICE("9") };
	assert_false(remote_bytes(w.remote, &q, collect, &got, &w.err));
	assert_true(remote_may_pass(w.remote));
	assert_true(slice_is(buf_slice(&got), "half"));
	assert_true(remote_bytes(w.remote, &q, collect, &got, &w.err));
	assert_true(slice_is(buf_slice(&got), "halfwhole"));
	assert_true(slice_is(remote_header(w.remote, "x-last-line"), "9"));
	assert_int_equal(remote_length(w.remote), 5);
	world_close(&w);
}

static void an_error_is_no_part_of_the_bytes(void **state)
{
	(void)state;
	struct world w;
	AUTO(buf_free) struct buf got = BUF(100);
	world_open(&w, "k");
	world_says(&w, 404, FAULT("No such File object: x"));
	assert_false(remote_bytes(w.remote,
				  &(struct remote_request){ .method = "GET", .path = "/files/x" },
				  collect, &got, &w.err));
	assert_int_equal(got.n, 0);
	assert_string_equal(w.err.message, "No such File object: x");
	world_close(&w);
}

static void bytes_that_stop_coming_count_as_broken(void **state)
{
	(void)state;
	struct world w;
	AUTO(buf_free) struct buf got = BUF(100);
	world_open(&w, "k");
	struct fake_answer *a = world_says(&w, 200, "abcd");
	a->piece = 2;
	a->gap_ms = 1000000;
	uint64_t from = client_fake_now_ms();
	assert_false(remote_bytes(w.remote,
				  &(struct remote_request){ .method = "GET", .path = "/x" },
				  collect, &got, &w.err));
	assert_int_equal(client_fake_now_ms() - from, 120000);
	assert_true(remote_may_pass(w.remote));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_out),
		cmocka_unit_test(a_server_that_was_never_there_is_not_waited_for),
		cmocka_unit_test(a_server_that_goes_is_waited_for),
		cmocka_unit_test(patience_ends),
		cmocka_unit_test(a_caller_s_time_ends),
		cmocka_unit_test(what_broke_is_sent_again_only_where_that_is_safe),
		cmocka_unit_test(retry_after_is_kept_to),
		cmocka_unit_test(a_409_of_a_call_that_is_not_to_be_repeated_stands),
		cmocka_unit_test(what_will_not_pass_is_not_tried_again),
		cmocka_unit_test(a_wait_beyond_the_patience_is_not_begun),
		cmocka_unit_test(sentences),
		cmocka_unit_test(a_server_that_is_none_of_ours),
		cmocka_unit_test(paths),
		cmocka_unit_test(a_list_goes_over_all_pages),
		cmocka_unit_test(a_list_ends_early),
		cmocka_unit_test(bytes_that_break_are_the_callers),
		cmocka_unit_test(an_error_is_no_part_of_the_bytes),
		cmocka_unit_test(bytes_that_stop_coming_count_as_broken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
