/* test_dispatch.c: the loop, on a client with scripted answers and a clock of its own. */
#include "world.h"

#define GOOD \
	"{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}"

/* What the script does with lines; polls are answered 404. */
struct script {
	unsigned lines, most_at_once, now;
	char seen[8][160];
	void (*answer)(struct script *s, const struct fake_request *rq, struct fake_answer *ret);
};

static void on_request(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	struct script *s = ctx;

	if (strcmp(rq->method, "GET") == 0) {
		ret->status = 404;
		return;
	}
	if (s->lines < 8)
		snprintf(s->seen[s->lines], sizeof(s->seen[0]), "%s %.*s", rq->url,
			 SLICE_ARG(rq->body));
	s->lines++;
	ret->body = GOOD;
	ret->after_ms = 100;
	if (s->answer != NULL)
		s->answer(s, rq, ret);
	const struct header *key = header_find(rq->headers, rq->header_count, "Authorization");
	assert_non_null(key);
	assert_true(slice_is(key->value, "Bearer sk-up"));
}

static void lines_are_sent_and_end(void **state)
{
	struct script s = { 0 };
	struct world w;

	(void)state;
	world_open(&w, on_request, &s);
	world_batch(&w, 10);
	world_run(&w, 50);
	assert_int_equal(s.lines, 4); /* `concurrency` */
	assert_int_equal(w.ended, 0);
	assert_string_equal(s.seen[0], "http://up.test/v1/chat/completions "
				       "{\"model\":\"m\",\"batch\":0,\"line\":0}");
	world_run(&w, 1000);
	assert_int_equal(w.ended, 10);
	assert_int_equal(s.lines, 10);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(w.batches[0].outcomes[i]->fault, OUTCOME_ANSWERED);
		assert_int_equal(w.batches[0].outcomes[i]->http_status, 200);
		assert_int_equal(w.batches[0].outcomes[i]->attempts, 1);
		assert_true(slice_is(buf_slice(&w.batches[0].outcomes[i]->body), GOOD));
		assert_int_equal(w.batches[0].outcomes[i]->facts.usage.output, 2);
	}
	world_close(&w);
}

static void fail_first(struct script *s, const struct fake_request *rq, struct fake_answer *ret)
{
	if (s->lines != 1)
		return;
	assert_false(rq->fresh);
	ret->how = EXCHANGE_BROKEN;
	ret->body = NULL;
}

static void a_line_whose_connection_broke_is_sent_again(void **state)
{
	struct script s = { .answer = fail_first };
	struct world w;

	(void)state;
	world_open(&w, on_request, &s);
	world_batch(&w, 3);
	world_run(&w, 120);
	assert_int_equal(w.ended, 2);
	world_run(&w, 5000);
	assert_int_equal(w.ended, 3);
	assert_int_equal(s.lines, 4);
	assert_int_equal(w.batches[0].outcomes[0]->attempts, 2);
	world_close(&w);
}

static void refuse(struct script *s, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)s;
	(void)rq;
	ret->status = 400;
	ret->body = "{\"error\":{\"message\":\"no\"}}";
}

static void a_line_that_is_refused_ends_by_it(void **state)
{
	struct script s = { .answer = refuse };
	struct world w;

	(void)state;
	world_open(&w, on_request, &s);
	world_batch(&w, 1);
	world_run(&w, 5000);
	assert_int_equal(w.ended, 1);
	assert_int_equal(w.batches[0].outcomes[0]->http_status, 400);
	assert_int_equal(s.lines, 1);
	world_close(&w);
}

static void never(struct script *s, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)s;
	(void)rq;
	ret->after_ms = FAKE_NEVER;
}

static void lines_in_flight_are_dropped_with_their_batch(void **state)
{
	struct script s = { .answer = never };
	struct world w;

	(void)state;
	world_open(&w, on_request, &s);
	world_batch(&w, 10);
	world_run(&w, 1000);
	assert_int_equal(s.lines, 4);
	world_close(&w);
	assert_int_equal(w.ended, 0);
}

static void no_connection(struct script *s, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)s;
	(void)rq;
	ret->how = EXCHANGE_UNREACHABLE;
	ret->after_ms = 1;
}

static void probes_alone_go_to_one_that_is_down(void **state)
{
	struct script s = { .answer = no_connection };
	struct world w;

	(void)state;
	world_open(&w, on_request, &s);
	world_batch(&w, 10);
	world_run(&w, 10000);
	assert_int_equal(w.ended, 0);
	assert_in_range(s.lines, 8, 20); /* one a second, after the first few */
	s.answer = NULL;
	world_run(&w, 5000);
	assert_int_equal(w.ended, 10);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_sent_and_end),
		cmocka_unit_test(a_line_whose_connection_broke_is_sent_again),
		cmocka_unit_test(a_line_that_is_refused_ends_by_it),
		cmocka_unit_test(lines_in_flight_are_dropped_with_their_batch),
		cmocka_unit_test(probes_alone_go_to_one_that_is_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
