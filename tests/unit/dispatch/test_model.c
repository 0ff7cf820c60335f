/* test_model.c: the lines of one model while its upstreams drain or go, and its batches are suspended
 * or dropped. */
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
