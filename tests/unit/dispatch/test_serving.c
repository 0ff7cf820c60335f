/* test_serving.c: which upstream gets the lines of a model: as lists, reports and weights say. */
#include "servers.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_goes_where_its_model_is_listed),
		cmocka_unit_test(weights_share_its_lines),
		cmocka_unit_test(one_that_no_upstream_lists_waits_until_one_does),
		cmocka_unit_test(one_that_no_upstream_reports_is_sent_and_told_of),
		cmocka_unit_test(one_that_an_upstream_reports_goes_there_alone),
		cmocka_unit_test(one_that_is_listed_no_longer_gets_nothing_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
