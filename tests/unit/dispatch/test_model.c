/* test_model.c: the lines of one model among the upstreams that serve it, as lists, weights,
 * drains, suspensions and drops say. */
#include "servers.h"

static const struct view_upstream *upstream_named(const struct scheduling_view *v, const char *name)
{
	for (size_t i = 0; i < v->upstream_count; i++)
		if (slice_is(v->upstreams[i].name, name))
			return &v->upstreams[i];
	return NULL;
}

static bool is_listed(struct world *w, const char *upstream)
{
	struct scheduling_view v;

	world_view(w, &v);
	bool found = upstream_named(&v, upstream) != NULL;
	scheduling_view_done(&v);
	return found;
}

/* ---- which upstream ---- */

static void a_line_goes_where_its_model_is_listed(void **state)
{
	static char m[] = "m", n[] = "n";
	static char *only_m[] = { m, NULL }, *only_n[] = { n, NULL };
	struct upstream_config list[] = { server_config(0), server_config(1) };
	struct world w;

	(void)state;
	list[0].models = only_m;
	list[1].models = only_n;
	servers_open_with(&w, WORLD_CONFIG, list, 2);
	world_batch_of(&w, "m", 20);
	world_batch_of(&w, "n", 20);
	world_run(&w, 2000);
	assert_int_equal(w.ended, 40);
	for (unsigned i = 0; i < servers.n; i++)
		assert_int_equal(servers.requests[i].server, servers.requests[i].batch);
	assert_true(dispatch_serves(w.dispatch, "m"));
	assert_false(dispatch_serves(w.dispatch, "other"));
	world_close(&w);
}

static void weights_share_its_lines(void **state)
{
	struct upstream_config list[] = { server_config(0), server_config(1) };
	struct world w;

	(void)state;
	list[0].concurrency = list[1].concurrency = 8;
	list[0].weight = 3;
	servers_open_with(&w, WORLD_CONFIG, list, 2);
	world_batch(&w, 8);
	world_run(&w, 50);
	assert_int_equal(servers.of[0].lines, 6);
	assert_int_equal(servers.of[1].lines, 2);
	world_close(&w);
}

static void one_that_no_upstream_lists_waits_until_one_does(void **state)
{
	static char m[] = "m", z[] = "z";
	static char *only_m[] = { m, NULL }, *both[] = { m, z, NULL };
	struct upstream_config a = server_config(0);
	struct flow_view v;
	struct world w;

	(void)state;
	a.models = only_m;
	servers_open_with(&w, WORLD_CONFIG, &a, 1);
	struct world_batch *b = world_batch_of(&w, "z", 3);
	world_run(&w, 5000);
	assert_int_equal(servers.n, 0);
	flow_progress(b->flow, &v);
	assert_int_equal(v.stall, STALL_DOWN);
	assert_string_equal(v.text, "no upstream serves its model at the moment");
	a.models = both;
	world_upstreams(&w, &a, 1);
	world_run(&w, 1000);
	assert_int_equal(b->ended, 3);
	flow_progress(b->flow, &v);
	assert_int_equal(v.stall, STALL_NONE);
	world_close(&w);
}

static void one_that_no_upstream_reports_is_sent_and_told_of(void **state)
{
	struct world w;

	(void)state;
	log_seen_begin();
	servers_open(&w, 1);
	servers.of[0].models = "{\"data\":[{\"id\":\"m\"}]}";
	struct world_batch *b = world_batch_of(&w, "z", 3);
	world_run(&w, 5000);
	world_batch_of(&w, "z", 3);
	world_run(&w, 70000);
	assert_int_equal(b->ended, 3);
	assert_int_equal(log_seen_count("model.not_listed", "model=z upstream=a models=1 first=m"),
			 1);
	world_close(&w);
	log_seen_end();
}

static void one_that_an_upstream_reports_goes_there_alone(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 2);
	servers.of[0].models = "{\"data\":[{\"id\":\"other\"}]}";
	servers.of[1].models = "{\"data\":[{\"id\":\"m\"}]}";
	world_run(&w, 1000);
	world_batch(&w, 20);
	world_run(&w, 2000);
	assert_int_equal(w.ended, 20);
	assert_int_equal(servers.of[0].lines, 0);
	world_close(&w);
}

static void one_that_is_listed_no_longer_gets_nothing_new(void **state)
{
	static char m[] = "m", n[] = "n";
	static char *only_m[] = { m, NULL }, *only_n[] = { n, NULL };
	struct upstream_config list[] = { server_config(0), server_config(1) };
	struct world w;

	(void)state;
	list[0].models = list[1].models = only_m;
	servers_open_with(&w, WORLD_CONFIG, list, 2);
	world_batch_of(&w, "m", 40);
	world_run(&w, 50);
	assert_int_equal(servers.of[0].lines, 4);
	list[0].models = only_n;
	world_upstreams(&w, list, 2);
	world_run(&w, 3000);
	assert_int_equal(w.ended, 40);
	assert_int_equal(servers.of[0].lines, 4);
	world_close(&w);
}

/* ---- upstreams that go ---- */

static void what_is_in_flight_ends_where_nothing_new_is_sent(void **state)
{
	struct upstream_config list[] = { server_config(0), server_config(1) };
	struct world w;

	(void)state;
	servers_open_with(&w, WORLD_CONFIG, list, 2);
	servers.of[1].answer.after_ms = 3000;
	struct world_batch *b = world_batch(&w, 40);
	world_run(&w, 50);
	assert_int_equal(servers.of[1].lines, 4);
	list[1].drain = true;
	world_upstreams(&w, list, 2);
	world_run(&w, 10000);
	assert_int_equal(servers.of[1].lines, 4);
	assert_int_equal(b->ended, 40);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(b->outcomes[i]->attempts, 1);
	assert_true(is_listed(&w, "b"));
	world_close(&w);
}

static void one_that_is_removed_ends_what_it_has(void **state)
{
	struct upstream_config list[] = { server_config(0), server_config(1) };
	struct world w;

	(void)state;
	servers_open_with(&w, WORLD_CONFIG, list, 2);
	servers.of[1].answer.after_ms = 3000;
	struct world_batch *b = world_batch(&w, 40);
	world_run(&w, 50);
	world_upstreams(&w, list, 1);
	world_run(&w, 2000);
	assert_int_equal(b->ended, 36);
	assert_true(is_listed(&w, "b"));
	world_run(&w, 3000);
	assert_int_equal(b->ended, 40);
	assert_int_equal(servers.of[1].lines, 4);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(b->outcomes[i]->http_status, 200);
	assert_false(is_listed(&w, "b"));
	world_close(&w);
}

static void lines_that_failed_on_one_that_is_removed_go_to_the_rest(void **state)
{
	struct upstream_config list[] = { server_config(0), server_config(1) };
	struct world w;

	(void)state;
	servers_open_with(&w, WORLD_CONFIG, list, 2);
	servers.of[0].unreachable = servers.of[1].unreachable = true;
	struct world_batch *b = world_batch(&w, 8);
	world_run(&w, 3000);
	world_upstreams(&w, list, 1);
	servers.of[0].unreachable = false;
	world_run(&w, 5000);
	assert_int_equal(b->ended, 8);
	world_close(&w);
}

/* ---- batches that stop ---- */

static void a_suspended_batch_gets_nothing_new(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	struct world_batch *b = world_batch(&w, 40), *other = world_batch_of(&w, "n", 100);
	world_run(&w, 50);
	unsigned sent = servers.n;
	assert_int_equal(sent, 4);
	flow_suspend(b->flow, true);
	world_run(&w, 10000);
	assert_int_equal(b->ended, 2); /* those in flight */
	assert_int_equal(other->ended, 100);
	flow_suspend(b->flow, false);
	world_run(&w, 3000);
	assert_int_equal(b->ended, 40);
	world_close(&w);
}

static void nor_are_its_lines_sent_again(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.status = 429;
	struct world_batch *b = world_batch(&w, 4);
	world_run(&w, 50);
	flow_suspend(b->flow, true);
	world_run(&w, 300000);
	assert_int_equal(servers.n, 4);
	servers.of[0].answer.status = 200;
	flow_suspend(b->flow, false);
	world_run(&w, 3000);
	assert_int_equal(b->ended, 4);
	world_close(&w);
}

static void a_dropped_batch_leaves_its_slots_to_others(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.after_ms = FAKE_NEVER;
	struct world_batch *b = world_batch(&w, 40);
	world_run(&w, 1000);
	assert_int_equal(servers.n, 4);
	servers.of[0].answer.after_ms = 100;
	struct world_batch *other = world_batch(&w, 20);
	world_run(&w, 1000);
	assert_int_equal(other->ended, 0);
	world_drop(&w, b);
	world_run(&w, 2000);
	assert_int_equal(b->ended, 0);
	assert_int_equal(other->ended, 20);
	world_close(&w);
}

static void one_with_lines_that_wait_can_be_dropped(void **state)
{
	struct scheduling_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].unreachable = true;
	struct world_batch *b = world_batch(&w, 40);
	world_run(&w, 5000);
	world_view(&w, &v);
	assert_true(v.models[0].waiting_again > 0);
	assert_int_equal(v.models[0].batches, 1);
	scheduling_view_done(&v);
	world_drop(&w, b);
	world_view(&w, &v);
	assert_int_equal(v.models[0].waiting_again, 0);
	assert_int_equal(v.models[0].batches, 0);
	scheduling_view_done(&v);
	world_close(&w);
}

static void one_is_forgotten_when_it_was_idle_for_an_hour(void **state)
{
	struct scheduling_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	struct world_batch *b = world_batch(&w, 4);
	world_run(&w, 1000);
	world_drop(&w, b);
	world_run(&w, 3590 * 1000);
	world_view(&w, &v);
	assert_int_equal(v.lane_count, 1);
	scheduling_view_done(&v);
	world_run(&w, 20 * 1000);
	world_view(&w, &v);
	assert_int_equal(v.lane_count, 0);
	scheduling_view_done(&v);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_goes_where_its_model_is_listed),
		cmocka_unit_test(weights_share_its_lines),
		cmocka_unit_test(one_that_no_upstream_lists_waits_until_one_does),
		cmocka_unit_test(one_that_no_upstream_reports_is_sent_and_told_of),
		cmocka_unit_test(one_that_an_upstream_reports_goes_there_alone),
		cmocka_unit_test(one_that_is_listed_no_longer_gets_nothing_new),
		cmocka_unit_test(what_is_in_flight_ends_where_nothing_new_is_sent),
		cmocka_unit_test(one_that_is_removed_ends_what_it_has),
		cmocka_unit_test(lines_that_failed_on_one_that_is_removed_go_to_the_rest),
		cmocka_unit_test(a_suspended_batch_gets_nothing_new),
		cmocka_unit_test(nor_are_its_lines_sent_again),
		cmocka_unit_test(a_dropped_batch_leaves_its_slots_to_others),
		cmocka_unit_test(one_with_lines_that_wait_can_be_dropped),
		cmocka_unit_test(one_is_forgotten_when_it_was_idle_for_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
