/* test_tick.c: once a second: how fast lines end, when their batches will, and what limits were
 * decided. */
#include "servers.h"

static struct flow_view progress(const struct world_batch *b)
{
	struct flow_view v;

	flow_progress(b->flow, &v);
	return v;
}

/* One upstream with four slots, a second a line. */
static void world_begin(struct world *w)
{
	servers_open(w, 1);
	servers.of[0].answer.after_ms = 1000;
}

static void a_rate_is_of_the_last_seconds(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	struct world_batch *b = world_batch(&w, 200);
	world_run(&w, 20000);
	assert_true(progress(b).rate_per_s > 3.5 && progress(b).rate_per_s < 4.2);
	servers.of[0].answer.after_ms = FAKE_NEVER;
	world_run(&w, 20000);
	assert_true(progress(b).rate_per_s > 1 && progress(b).rate_per_s < 2);
	world_close(&w);
}

static void each_batch_has_its_own_rate(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	struct world_batch *m = world_batch_of(&w, "m", 200), *n = world_batch_of(&w, "n", 200);
	world_run(&w, 20000);
	assert_true(progress(m).rate_per_s > 1.5 && progress(m).rate_per_s < 2.3);
	assert_true(progress(n).rate_per_s > 1.5 && progress(n).rate_per_s < 2.3);
	world_close(&w);
}

static void its_end_is_foretold(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	struct world_batch *b = world_batch_until(&w, "m", 200, sys.now_s() + 3600);
	int64_t begun_s = sys.now_s();
	world_run(&w, 15000);
	assert_in_range(progress(b).eta_at, begun_s + 45, begun_s + 57); /* it ends at 50 */
	assert_false(progress(b).at_risk);
	world_run(&w, 15000);
	assert_in_range(progress(b).eta_at, begun_s + 47, begun_s + 54);
	world_close(&w);
}

static void one_that_will_miss_its_window_is_at_risk(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	struct world_batch *b = world_batch_until(&w, "m", 400, sys.now_s() + 60);
	world_run(&w, 15000);
	assert_true(progress(b).at_risk); /* it ends at 100 */
	servers.of[0].answer.after_ms = 50;
	world_run(&w, 4000);
	assert_false(progress(b).at_risk);
	world_close(&w);
}

static void nothing_is_foretold_while_nothing_flows(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	servers.of[0].unreachable = true;
	struct world_batch *b = world_batch(&w, 20);
	world_run(&w, 120000);
	assert_int_equal(progress(b).eta_at, 0);
	assert_true(progress(b).rate_per_s == 0);
	world_close(&w);
}

static void batches_stand_in_a_queue(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	struct world_batch *first = world_batch(&w, 40), *second = world_batch(&w, 40),
			   *third = world_batch(&w, 40);
	world_run(&w, 5000);
	assert_int_equal(progress(first).queue_position, 0);
	assert_int_equal(progress(second).queue_position, 1);
	assert_int_equal(progress(third).queue_position, 2);
	world_run(&w, 8000);
	assert_int_equal(progress(third).queue_position, 1);
	world_close(&w);
}

static void decisions_about_a_limit_are_logged_and_kept(void **state)
{
	struct upstream_config a = server_config(0);
	struct scheduling_view v;
	struct world w;

	(void)state;
	a.concurrency = 0; /* it is found */
	a.max_concurrency = 32;
	log_seen_begin();
	servers_open_with(&w, WORLD_CONFIG, &a, 1);
	world_batch(&w, 500);
	world_run(&w, 3000);
	assert_true(log_seen_count("upstream.concurrency_limit", "upstream=a model=m limit=") > 0);
	world_view(&w, &v);
	assert_int_equal(v.lane_count, 1);
	assert_int_equal(v.lanes[0].decision_count,
			 1 + log_seen_count("upstream.concurrency_limit", "model=m"));
	assert_true(v.lanes[0].limit.requests > v.lanes[0].decisions[0].limit.requests);
	scheduling_view_done(&v);
	world_close(&w);
	log_seen_end();
}

static const char *nothing_runs(void)
{
	return "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n";
}

static void end_one_by_one(const struct request *rq, struct fake_answer *ret)
{
	ret->after_ms = 100 + rq->line % 4 * 20;
}

/* Models of one engine have one limit: what is decided of it, and a doubt in its metrics, is said
 * once, of no model. */
static void of_one_engine_the_log_is_told_once(void **state)
{
	static const char *const models[] = { "m", "n", "o" };
	struct upstream_config a = server_config(0);
	struct scheduling_view v;
	struct world w;

	(void)state;
	a.concurrency = 0;
	a.max_concurrency = 16;
	a.metrics = GAUGES_AUTO;
	log_seen_begin();
	servers_open_with(&w, WORLD_CONFIG, &a, 1);
	servers.of[0].metrics = nothing_runs;
	servers.of[0].choose = end_one_by_one;
	for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
		world_batch_of(&w, models[i], 2000);
		world_run(&w, 6000);
	}
	world_view(&w, &v);
	assert_int_equal(v.lane_count, 3);
	for (unsigned i = 0; i < v.lane_count; i++)
		assert_true(v.lanes[i].decision_count > 0);
	scheduling_view_done(&v);
	assert_int_equal(log_seen_count("upstream.metrics_ignored", "upstream=a why="), 1);
	assert_true(log_seen_count("upstream.concurrency_limit", "upstream=a limit=") > 0);
	assert_int_equal(log_seen_count("upstream.concurrency_limit", "model="), 0);
	world_close(&w);
	log_seen_end();
}

/* Lines find less in the engine's cache than they should: said once, when all was tried. */
static void a_cache_that_finds_too_little_is_logged(void **state)
{
	const struct schedule_line line = { .input_tokens = 1000, .cached_tokens = 800 };
	const struct usage tokens = { .input = 1000, .cached = 100 };
	struct world w;

	(void)state;
	log_seen_begin();
	world_begin(&w);
	world_batch(&w, 400);
	for (unsigned s = 0; s < 40; s++) {
		struct target *t = target_of(w.dispatch->upstreams);
		for (unsigned i = 0; i < 50; i++)
			prompt_cache_learn(&t->prompt_cache, &line, &tokens);
		world_run(&w, 1000);
	}
	assert_int_equal(log_seen_count("upstream.prefix_cache", "upstream=a expected_percent="),
			 1);
	world_close(&w);
	log_seen_end();
}

static void a_limit_that_is_fixed_is_no_decision(void **state)
{
	struct world w;

	(void)state;
	log_seen_begin();
	world_begin(&w);
	world_batch(&w, 100);
	world_run(&w, 20000);
	assert_int_equal(log_seen_count("upstream.concurrency_limit", ""), 0);
	world_close(&w);
	log_seen_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_is_of_the_last_seconds),
		cmocka_unit_test(each_batch_has_its_own_rate),
		cmocka_unit_test(its_end_is_foretold),
		cmocka_unit_test(one_that_will_miss_its_window_is_at_risk),
		cmocka_unit_test(nothing_is_foretold_while_nothing_flows),
		cmocka_unit_test(batches_stand_in_a_queue),
		cmocka_unit_test(decisions_about_a_limit_are_logged_and_kept),
		cmocka_unit_test(of_one_engine_the_log_is_told_once),
		cmocka_unit_test(a_cache_that_finds_too_little_is_logged),
		cmocka_unit_test(a_limit_that_is_fixed_is_no_decision),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
