/* test_stall.c: why batches wait, as far as upstreams are the reason, in words. */
#include "servers.h"

static struct flow_view progress(const struct world_batch *b)
{
	struct flow_view v;

	flow_progress(b->flow, &v);
	return v;
}

static void the_reason_is_what_it_said_last(void **state)
{
	static const struct {
		struct fake_answer answer;
		enum batch_stall stall;
		bool certificate;
		const char *text;
	} rows[] = {
		{ { .status = 500, .body = "{\"error\":{\"message\":\"out of order\"}}" },
		  STALL_DOWN,
		  false,
		  "upstream 'a': HTTP 500: out of order" },
		{ { .status = 503 }, STALL_DOWN, false, "HTTP 503" },
		{ { .how = EXCHANGE_BROKEN, .said = "reset" }, STALL_DOWN, false, "'a': reset" },
		{ { .how = EXCHANGE_UNREACHABLE, .said = "refused" }, STALL_DOWN, false, "refused" },
		{ { .status = 200, .body = "{}" }, STALL_DOWN, false, "HTTP 200: " },
		{ { .status = 429 }, STALL_THROTTLED, false, "HTTP 429" },
		{ { .status = 401 }, STALL_REFUSED, false, "HTTP 401" },
		{ { .status = 402 }, STALL_REFUSED, false, "HTTP 402" },
		{ { .status = 404 }, STALL_REFUSED, false, "HTTP 404" },
		{ { .body = "<html>" }, STALL_REFUSED, false, "a page (HTML)" },
		{ { .how = EXCHANGE_CERTIFICATE, .said = "self-signed" },
		  STALL_REFUSED,
		  true,
		  "self-signed" },
		{ { .how = EXCHANGE_PROXY, .said = "407" }, STALL_REFUSED, false, "407" },
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		servers_open(&w, 1);
		servers.of[0].answer = rows[i].answer;
		struct world_batch *b = world_batch(&w, 10);
		world_run(&w, 3000);
		struct flow_view v = progress(b);
		assert_int_equal(v.stall, rows[i].stall);
		assert_int_equal(v.certificate, rows[i].certificate);
		if (strncmp(v.text, "since 2023-11-14T", strlen("since 2023-11-14T")) != 0 ||
		    strstr(v.text, rows[i].text) == NULL)
			fail_msg("%zu: %s", i, v.text);
		assert_int_equal(b->ended, 0);
		world_close(&w);
	}
}

static void a_key_is_not_told_on(void **state)
{
	struct world w;

	(void)state;
	log_seen_begin();
	servers_open(&w, 1);
	servers.of[0].answer.status = 401;
	servers.of[0].answer.body = "{\"error\":{\"message\":\"unknown key sk-secret\"}}";
	struct world_batch *b = world_batch(&w, 1);
	world_run(&w, 3000);
	assert_non_null(strstr(progress(b).text, "unknown key *********"));
	assert_int_equal(log_seen_count("upstream.refused", "unknown key *********"), 1);
	world_close(&w);
	log_seen_end();
}

static void while_another_upstream_answers_nothing_waits(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 2);
	servers.of[0].answer.status = 401;
	struct world_batch *b = world_batch(&w, 200);
	world_run(&w, 3000);
	assert_int_equal(progress(b).stall, STALL_NONE);
	world_close(&w);
}

static void it_is_over_with_the_first_good_answer(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.status = 500;
	struct world_batch *b = world_batch(&w, 200);
	world_run(&w, 3000);
	assert_int_equal(progress(b).stall, STALL_DOWN);
	servers.of[0].answer.status = 200;
	world_run(&w, 2000);
	assert_int_equal(progress(b).stall, STALL_NONE);
	assert_string_equal(progress(b).text, "");
	world_close(&w);
}

static void fail_batch_0(const struct request *rq, struct fake_answer *ret)
{
	if (rq->batch == 0)
		ret->status = 500;
}

static void a_batch_that_alone_fails_says_so(void **state)
{
	struct dispatch_config config = WORLD_CONFIG;
	struct upstream_config a = server_config(0);
	struct world w;

	(void)state;
	config.max_attempts = 6;
	servers_open_with(&w, config, &a, 1);
	servers.of[0].choose = fail_batch_0;
	servers.of[0].answer.after_ms = 200;
	struct world_batch *b = world_batch(&w, 2);
	world_batch(&w, 400);
	world_run(&w, 4900);
	assert_int_equal(progress(b).stall, STALL_DOWN);
	assert_non_null(strstr(progress(b).text, "2 of its lines wait to be sent again; at 2023-"));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reason_is_what_it_said_last),
		cmocka_unit_test(a_key_is_not_told_on),
		cmocka_unit_test(while_another_upstream_answers_nothing_waits),
		cmocka_unit_test(it_is_over_with_the_first_good_answer),
		cmocka_unit_test(a_batch_that_alone_fails_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
