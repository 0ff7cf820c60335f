/* test_learn.c: what an upstream's answers teach: what the log is told, and when it is tried again. */
#include "servers.h"

static struct flow_view progress(const struct world_batch *b)
{
	struct flow_view v;

	flow_progress(b->flow, &v);
	return v;
}

/* ---- the log ---- */

/* Of four at once three fail, which opens the breaker; then the fourth is good, which closes it. */
static void three_of_four_fail(const struct request *rq, struct fake_answer *ret)
{
	if (servers.of[rq->server].lines % 4 == 0)
		return;
	ret->after_ms = 20;
	ret->status = 500;
}

static void what_comes_and_goes_is_told_once_in_ten_seconds(void **state)
{
	struct dispatch_config config = WORLD_CONFIG;
	struct upstream_config a = server_config(0);
	struct scheduling_view v;
	struct world w;

	(void)state;
	config.max_attempts = 1000;
	log_seen_begin();
	servers_open_with(&w, config, &a, 1);
	servers.of[0].choose = three_of_four_fail;
	world_batch(&w, 500);
	world_run(&w, 30000);
	world_view(&w, &v);
	assert_true(v.upstreams[0].trips >= 20);
	scheduling_view_done(&v);
	unsigned told = log_seen_count("upstream.down", "upstream=a") +
			log_seen_count("upstream.flows", "upstream=a");
	assert_in_range(told, 1, 4);
	world_close(&w);
	log_seen_end();
}

static void what_lasts_is_told_with_its_end(void **state)
{
	struct world w;

	(void)state;
	log_seen_begin();
	servers_open(&w, 1);
	servers.of[0].answer = (struct fake_answer){ .status = 500, .after_ms = 100 };
	world_batch(&w, 50);
	world_run(&w, 100000);
	assert_int_equal(log_seen_count("upstream.down", "upstream=a model=m said=\"HTTP 500\""),
			 1);
	servers.of[0].answer = (struct fake_answer){ .body = ANSWER_200, .after_ms = 100 };
	world_run(&w, 40000);
	assert_int_equal(log_seen_count("upstream.flows", "upstream=a model=m"), 1);
	world_close(&w);
	log_seen_end();
}

/* ---- when it is tried again ---- */

static void it_starts_slowly_after_an_outage(void **state)
{
	struct upstream_config a = server_config(0);
	struct world w;

	(void)state;
	a.concurrency = a.max_concurrency = 32;
	servers_open_with(&w, WORLD_CONFIG, &a, 1);
	servers.of[0].answer.after_ms = 500;
	world_batch(&w, 500);
	world_run(&w, 100);
	assert_int_equal(servers.n, 32);
	world_run(&w, 2000);
	servers.of[0].unreachable = true;
	world_run(&w, 3000);
	servers.of[0].unreachable = false;
	unsigned ended = w.ended;
	while (w.ended == ended) /* the probe is answered */
		world_run(&w, 10);
	uint64_t back_ms = world_ms();
	world_run(&w, 400);
	assert_in_range(servers_count(0, back_ms - 10, back_ms + 400), 7, 9); /* a quarter */
	world_run(&w, 2000);
	assert_in_range(servers_count(0, back_ms + 1500, back_ms + 2000), 31, 33);
	world_close(&w);
}

static void refuse_for_7_s(const struct request *rq, struct fake_answer *ret)
{
	if (rq->at_ms > 0)
		return;
	ret->status = 429;
	ret->headers[0] = (struct header){ SLICE("Retry-After"), SLICE("7") };
}

static void a_pause_is_as_long_as_it_was_asked_for(void **state)
{
	struct scheduling_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].choose = refuse_for_7_s;
	struct world_batch *b = world_batch(&w, 20);
	world_run(&w, 7090);
	assert_int_equal(servers.n, 4);
	assert_int_equal(progress(b).stall, STALL_THROTTLED);
	world_run(&w, 100);
	assert_true(servers.n > 4);
	assert_in_range(servers.requests[4].at_ms, 7100, 7150);
	world_run(&w, 5000);
	assert_int_equal(b->ended, 20); /* it cost no attempt, though max_attempts are 2 */
	world_view(&w, &v);
	assert_int_equal(v.upstreams[0].answered_throttled, 4);
	assert_int_equal(v.upstreams[0].trips, 0);
	scheduling_view_done(&v);
	world_close(&w);
}

static void one_that_refuses_us_is_tried_each_minute(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.status = 401;
	world_batch(&w, 20);
	world_run(&w, 59000);
	assert_int_equal(servers.n, 4);
	world_run(&w, 241000);
	assert_in_range(servers.n, 8, 9);
	assert_int_equal(w.ended, 0);
	servers.of[0].answer.status = 200;
	world_run(&w, 65000);
	assert_int_equal(w.ended, 20);
	world_close(&w);
}

static void and_at_once_after_a_reload(void **state)
{
	static const int rows[] = { 401, 404 }; /* the upstream's own breaker, the model's there */
	struct upstream_config a = server_config(0);
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		servers_open(&w, 1);
		servers.of[0].answer.status = rows[i];
		struct world_batch *b = world_batch(&w, 20);
		world_run(&w, 10000);
		assert_int_equal(servers.n, 4);
		servers.of[0].answer.status = 200;
		world_upstreams(&w, &a, 1);
		world_run(&w, 2000);
		assert_int_equal(b->ended, 20);
		world_close(&w);
	}
}

static void a_model_that_it_does_not_know_is_refused_alone(void **state)
{
	struct scheduling_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].choose = NULL;
	servers.of[0].answer.status = 404;
	struct world_batch *m = world_batch_of(&w, "m", 10);
	world_run(&w, 3000);
	servers.of[0].answer.status = 200;
	struct world_batch *n = world_batch_of(&w, "n", 10);
	world_run(&w, 3000);
	assert_int_equal(progress(m).stall, STALL_REFUSED);
	assert_int_equal(m->ended, 0);
	assert_int_equal(n->ended, 10);
	world_view(&w, &v);
	assert_int_equal(v.upstreams[0].state, STALL_NONE);
	scheduling_view_done(&v);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_and_goes_is_told_once_in_ten_seconds),
		cmocka_unit_test(what_lasts_is_told_with_its_end),
		cmocka_unit_test(it_starts_slowly_after_an_outage),
		cmocka_unit_test(a_pause_is_as_long_as_it_was_asked_for),
		cmocka_unit_test(one_that_refuses_us_is_tried_each_minute),
		cmocka_unit_test(and_at_once_after_a_reload),
		cmocka_unit_test(a_model_that_it_does_not_know_is_refused_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
