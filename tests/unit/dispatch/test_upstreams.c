/* test_upstreams.c: the list of upstreams takes the place of another while lines are under way. */
#include "servers.h"

#include "dispatch/upstreams.h"
#include "memory_fault.h"

static char other_key[] = "sk-other";

/* Upstream `i` of the view is that one, retired or not. */
#define assert_upstream(v, i, text, is_retired)                          \
	do {                                                             \
		assert_true(slice_is((v)->upstreams[i].name, text));     \
		assert_int_equal((v)->upstreams[i].retired, is_retired); \
	} while (0)

static void they_are_in_the_order_of_the_configuration(void **state)
{
	struct upstream_config list[] = { server_config(2), server_config(0), server_config(1) };
	struct upstream_config other[] = { server_config(3), server_config(1), server_config(2) };
	struct scheduling_view v;
	struct world w;

	(void)state;
	servers_open_with(&w, WORLD_CONFIG, list, 3);
	servers.of[0].answer.after_ms = FAKE_NEVER;
	world_batch(&w, 12);
	world_run(&w, 50);
	world_view(&w, &v);
	assert_int_equal(v.upstream_count, 3);
	assert_upstream(&v, 0, "c", false);
	assert_upstream(&v, 1, "a", false);
	assert_upstream(&v, 2, "b", false);
	scheduling_view_done(&v);
	world_upstreams(&w, other, 3);
	world_view(&w, &v);
	assert_int_equal(v.upstream_count, 4);
	assert_upstream(&v, 0, "d", false);
	assert_upstream(&v, 1, "b", false);
	assert_upstream(&v, 2, "c", false);
	assert_upstream(&v, 3, "a", true);
	assert_true(v.upstreams[3].draining);
	scheduling_view_done(&v);
	world_close(&w);
}

static void one_of_the_same_identity_keeps_what_was_learnt(void **state)
{
	struct upstream_config a = server_config(0);
	struct scheduling_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.status = 500;
	world_batch(&w, 20);
	world_run(&w, 3000);
	servers.of[0].answer.status = 200;
	world_run(&w, 3000);
	a.weight = 7;
	a.concurrency = 2;
	world_upstreams(&w, &a, 1);
	world_view(&w, &v);
	assert_int_equal(v.upstream_count, 1);
	assert_int_equal(v.upstreams[0].weight, 7);
	assert_int_equal(v.upstreams[0].max_concurrency, 2);
	assert_int_equal(v.upstreams[0].trips, 1);
	assert_int_equal(v.upstreams[0].answered_2xx, 20);
	assert_true(v.lanes[0].limit.requests == 2);
	scheduling_view_done(&v);
	world_close(&w);
}

static void other_terms_hold_for_lines_to_come(void **state)
{
	struct upstream_config a = server_config(0);
	struct world w;

	(void)state;
	servers_open(&w, 1);
	world_batch(&w, 200);
	world_run(&w, 950);
	assert_int_equal(servers_count(0, 800, 899), 4);
	a.concurrency = 2;
	world_upstreams(&w, &a, 1);
	world_run(&w, 1000);
	assert_int_equal(servers_count(0, 1800, 1899), 2);
	a.concurrency = 6;
	a.has_priority = true;
	a.priority = 3;
	world_upstreams(&w, &a, 1);
	world_run(&w, 1000);
	assert_int_equal(servers_count(0, 2800, 2899), 6);
	assert_non_null(strstr(servers.requests[servers.n - 1].body, "\"priority\":3"));
	world_close(&w);
}

static void another_key_makes_another_upstream(void **state)
{
	struct upstream_config a = server_config(0);
	struct scheduling_view v;
	struct world w;

	(void)state;
	log_seen_begin();
	servers_open(&w, 1);
	servers.of[0].answer.after_ms = 3000;
	struct world_batch *b = world_batch(&w, 10);
	world_run(&w, 1000);
	a.api_key = other_key;
	world_upstreams(&w, &a, 1);
	world_run(&w, 10);
	world_view(&w, &v);
	assert_int_equal(v.upstream_count, 2);
	assert_upstream(&v, 0, "a", false);
	assert_upstream(&v, 1, "a", true);
	assert_int_equal(v.upstreams[0].sent_batch, 4);
	assert_int_equal(v.upstreams[1].sent_batch, 4);
	scheduling_view_done(&v);
	world_run(&w, 20000);
	assert_int_equal(b->ended, 10);
	assert_int_equal(log_seen_count("upstream.gone", "upstream=a"), 1);
	world_view(&w, &v);
	assert_int_equal(v.upstream_count, 1);
	assert_int_equal(v.upstreams[0].sent_batch, 6);
	scheduling_view_done(&v);
	world_close(&w);
	log_seen_end();
}

static void one_that_is_gone_is_kept_until_its_last_line_is_durable(void **state)
{
	struct upstream_config b = server_config(1);
	struct scheduling_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	w.disk_full = true;
	world_batch(&w, 4);
	world_run(&w, 50);
	world_upstreams(&w, &b, 1);
	world_run(&w, 60000);
	assert_int_equal(w.ended, 4);
	world_view(&w, &v);
	assert_int_equal(v.upstream_count, 2);
	assert_upstream(&v, 1, "a", true);
	assert_int_equal(v.upstreams[1].lanes[0].not_durable, 4);
	scheduling_view_done(&v);
	world_record(&w);
	world_run(&w, 2000);
	world_view(&w, &v);
	assert_int_equal(v.upstream_count, 1);
	assert_upstream(&v, 0, "b", false);
	scheduling_view_done(&v);
	world_close(&w);
}

static void one_that_comes_back_before_is_another(void **state)
{
	struct upstream_config list[] = { server_config(1), server_config(0) };
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.after_ms = 3000;
	struct world_batch *b = world_batch(&w, 20);
	world_run(&w, 50);
	world_upstreams(&w, list, 1); /* b alone */
	world_run(&w, 50);
	world_upstreams(&w, list, 2); /* both */
	world_run(&w, 10000);
	assert_int_equal(b->ended, 20);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(b->outcomes[i]->attempts, 1);
	world_close(&w);
}

static void an_empty_list_stops_all(void **state)
{
	struct upstream_config a = server_config(0);
	struct flow_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	struct world_batch *b = world_batch(&w, 20);
	world_run(&w, 50);
	world_upstreams(&w, &a, 0);
	world_run(&w, 5000);
	assert_int_equal(b->ended, 4);
	flow_progress(b->flow, &v);
	assert_int_equal(v.stall, STALL_DOWN);
	world_upstreams(&w, &a, 1);
	world_run(&w, 2000);
	assert_int_equal(b->ended, 20);
	world_close(&w);
}

static void too_many_are_refused_and_the_list_stays(void **state)
{
	static struct upstream_config many[UPSTREAMS_MAX + 1];
	static char names[UPSTREAMS_MAX + 1][8];
	struct world w;

	(void)state;
	servers_open(&w, 1);
	for (unsigned i = 0; i <= UPSTREAMS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "b%u", i);
		many[i] = server_config(1);
		many[i].name = names[i];
	}
	struct world_call call = { .world = &w, .list = many, .n = UPSTREAMS_MAX + 1 };
	assert_false(world_call(&call));
	assert_int_equal(call.err.kind, ERR_INVALID);
	/* one still has lines: with it there are too many as well */
	servers.of[0].answer.after_ms = 3000;
	world_batch(&w, 4);
	world_run(&w, 50);
	call = (struct world_call){ .world = &w, .list = many, .n = UPSTREAMS_MAX };
	assert_false(world_call(&call));
	assert_int_equal(call.err.kind, ERR_INVALID);
	world_run(&w, 5000);
	assert_int_equal(w.ended, 4);
	assert_int_equal(servers.of[0].lines, 4);
	world_close(&w);
}

static void without_memory_the_list_stays(void **state)
{
	const struct upstream_config list[] = { server_config(1), server_config(2) };
	struct scheduling_view v;
	struct world w;

	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		servers_open(&w, 1);
		servers.of[0].answer.after_ms = FAKE_NEVER;
		world_batch(&w, 4);
		world_run(&w, 50);
		struct world_call call = { .world = &w, .list = list, .n = 2 };
		memory_fail(&s);
		bool ok = world_call(&call);
		memory_restore(&s);
		if (!ok)
			assert_no_memory(&call.err);
		world_view(&w, &v);
		assert_int_equal(v.upstream_count, ok ? 3 : 1);
		assert_upstream(&v, 0, ok ? "b" : "a", false);
		scheduling_view_done(&v);
		world_close(&w);
	}
}

static const char *two_run(void)
{
	return "vllm:num_requests_running 2\nvllm:num_requests_waiting 0\n";
}

/* What lines count on is never in half: the lanes share a limit, or each has its own. */
static void without_memory_lanes_go_on_sharing(void **state)
{
	struct upstream_config a = server_config(0);
	unsigned shared = 0;
	struct world w;

	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		a.metrics = GAUGES_AUTO;
		servers_open_with(&w, WORLD_CONFIG, &a, 1);
		servers.of[0].metrics = two_run;
		servers.of[0].answer.after_ms = 10000;
		world_batch_of(&w, "m", 10);
		world_batch_of(&w, "n", 10);
		world_batch_of(&w, "o", 10);
		world_run(&w, 1000);
		const struct target *t = target_of(w.dispatch->upstreams);
		assert_non_null(t->limit);
		a.metrics = GAUGES_NONE;
		struct world_call call = { .world = &w, .list = &a, .n = 1 };
		memory_fail(&s);
		bool ok = world_call(&call);
		memory_restore(&s);
		if (!ok)
			assert_no_memory(&call.err);
		lanes_check(&t->upstream);
		assert_true(ok || t->limit != NULL);
		shared += ok && t->limit != NULL;
		/* the next reload has memory */
		world_upstreams(&w, &a, 1);
		assert_null(t->limit);
		lanes_check(&t->upstream);
		world_close(&w);
	}
	assert_true(shared >= 3); /* the list, or one of two limits */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_in_the_order_of_the_configuration),
		cmocka_unit_test(one_of_the_same_identity_keeps_what_was_learnt),
		cmocka_unit_test(other_terms_hold_for_lines_to_come),
		cmocka_unit_test(another_key_makes_another_upstream),
		cmocka_unit_test(one_that_is_gone_is_kept_until_its_last_line_is_durable),
		cmocka_unit_test(one_that_comes_back_before_is_another),
		cmocka_unit_test(an_empty_list_stops_all),
		cmocka_unit_test(too_many_are_refused_and_the_list_stays),
		cmocka_unit_test(without_memory_the_list_stays),
		cmocka_unit_test(without_memory_lanes_go_on_sharing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
