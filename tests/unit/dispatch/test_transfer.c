/* test_transfer.c: what of an answer's head is taken into account: the pause that it asks for, and
 * the error that it names. */
#include "servers.h"

static struct fake_answer first; /* to whatever comes in the first second */

static void answer_first(const struct request *rq, struct fake_answer *ret)
{
	if (rq->at_ms < 1000)
		*ret = first;
}

static void world_begin(struct world *w)
{
	struct upstream_config a = server_config(0);

	a.concurrency = 1;
	servers_open_with(w, WORLD_CONFIG, &a, 1);
	servers.of[0].choose = answer_first;
}

#define HEADER(name, value)               \
	{                                 \
		SLICE(name), SLICE(value) \
	}

static void an_answer_says_for_how_long_it_is_not_to_be_asked(void **state)
{
	static const struct {
		struct header headers[2];
		uint64_t ms;
	} rows[] = {
		{ { HEADER("Retry-After", "3") }, 3000 },
		{ { HEADER("retry-after", "Tue, 14 Nov 2023 22:13:30 GMT") }, 10000 },
		{ { HEADER("Retry-After-Ms", "2500") }, 2500 },
		{ { HEADER("x-ratelimit-reset-requests", "4s"),
		    HEADER("x-ratelimit-remaining-requests", "0") },
		  4000 },
		{ { HEADER("x-ratelimit-reset-tokens", "6500ms"),
		    HEADER("x-ratelimit-remaining-tokens", "0") },
		  6500 },
		{ { HEADER("Retry-After", "3600") }, 60000 }, /* that is not believed */
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		first = (struct fake_answer){ .status = 429 };
		memcpy(first.headers, rows[i].headers, sizeof(rows[i].headers));
		world_begin(&w);
		world_batch(&w, 3);
		world_run(&w, rows[i].ms + 1000);
		assert_true(servers.n >= 2);
		assert_in_range(servers.requests[1].at_ms, rows[i].ms, rows[i].ms + 100);
		world_close(&w);
	}
}

static void one_that_takes_the_line_asks_for_nothing(void **state)
{
	struct world w;

	(void)state;
	first = (struct fake_answer){ .body = ANSWER_200,
				      .headers = { HEADER("Retry-After", "30") } };
	world_begin(&w);
	world_batch(&w, 3);
	world_run(&w, 1000);
	assert_int_equal(w.ended, 3);
	world_close(&w);
}

static void an_error_that_its_head_names_counts(void **state)
{
	struct flow_view v;
	struct world w;

	(void)state;
	first = (struct fake_answer){ .status = 400,
				      .headers = { HEADER("x-amzn-ErrorType",
							  "ThrottlingException:http://a.test/") } };
	world_begin(&w);
	struct world_batch *b = world_batch(&w, 3);
	world_run(&w, 500);
	assert_int_equal(w.ended, 0);
	flow_progress(b->flow, &v);
	assert_int_equal(v.stall, STALL_THROTTLED);
	world_run(&w, 5000);
	assert_int_equal(w.ended, 3);
	world_close(&w);
}

static void a_page_is_known_by_its_type(void **state)
{
	struct flow_view v;
	struct world w;

	(void)state;
	first = (struct fake_answer){ .status = 400,
				      .body = "sign in",
				      .headers = { HEADER("Content-Type", "text/html") } };
	world_begin(&w);
	struct world_batch *b = world_batch(&w, 3);
	world_run(&w, 500);
	flow_progress(b->flow, &v);
	assert_int_equal(v.stall, STALL_REFUSED);
	assert_non_null(strstr(v.text, "a page (HTML), where JSON was expected"));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_says_for_how_long_it_is_not_to_be_asked),
		cmocka_unit_test(one_that_takes_the_line_asks_for_nothing),
		cmocka_unit_test(an_error_that_its_head_names_counts),
		cmocka_unit_test(a_page_is_known_by_its_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
