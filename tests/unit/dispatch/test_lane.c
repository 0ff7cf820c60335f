/* test_lane.c: which upstream gets a line while they answer, on the fake client; the offers in
 * themselves are test_fill.c's. */
#include "servers.h"

#include "dispatch/flow_impl.h"
#include "limit/limit_impl.h"

static unsigned in_flight_of(unsigned batch, uint64_t at_ms)
{
	unsigned count = 0;

	for (unsigned i = 0; i < servers.n; i++)
		count += servers.requests[i].batch == batch && servers.requests[i].at_ms <= at_ms &&
			 at_ms < servers.requests[i].at_ms + 100;
	return count;
}

static void two_models_take_turns_on_one_upstream(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	struct world_batch *m = world_batch_of(&w, "m", 200), *n = world_batch_of(&w, "n", 200);
	world_run(&w, 2000);
	for (uint64_t at_ms = 50; at_ms < 2000; at_ms += 100) {
		assert_int_equal(in_flight_of(0, at_ms), 2);
		assert_int_equal(in_flight_of(1, at_ms), 2);
	}
	assert_true(m->ended > 30 && n->ended > 30);
	world_close(&w);
}

static void end_one_by_one(const struct request *rq, struct fake_answer *ret)
{
	ret->after_ms = 100 + rq->line % 4 * 20;
}

/* The slots are all the other's; each that is free goes to the one that has fewer. */
static void one_that_comes_later_gets_its_half(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].choose = end_one_by_one;
	world_batch_of(&w, "m", 1);
	world_run(&w, 300);
	struct world_batch *n = world_batch_of(&w, "n", 200);
	world_run(&w, 700);
	struct world_batch *m = world_batch_of(&w, "m", 200);
	unsigned n_ended = n->ended;
	world_run(&w, 2000);
	assert_in_range(m->ended, 20, 40);
	assert_in_range(n->ended - n_ended, 20, 40);
	world_close(&w);
}

static void a_model_alone_has_all_slots(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	world_batch_of(&w, "m", 40);
	world_batch_of(&w, "n", 2);
	world_run(&w, 1000);
	assert_int_equal(in_flight_of(0, 50), 2);
	assert_int_equal(in_flight_of(0, 150), 4);
	world_close(&w);
}

static void one_that_mostly_fails_gets_a_line_a_second_beside_a_good_one(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 2);
	servers.of[0].answer.after_ms = 20; /* it is the faster: there is always room */
	servers.of[0].answer.status = 500;
	servers.of[0].health = 200;
	world_batch(&w, 500);
	world_run(&w, 10000);
	assert_true(servers.of[0].lines > 4);
	for (uint64_t at_ms = 2000; at_ms < 9000; at_ms += 1000)
		assert_in_range(servers_count(0, at_ms, at_ms + 1000), 0, 2);
	assert_in_range(servers_count(0, 2000, 9000), 5, 8);
	assert_in_range(servers_count(1, 2000, 9000), 7 * 36, 7 * 44);
	world_close(&w);
}

/* Never three in a row: its breaker stays closed. */
static void two_of_three_fail(const struct request *rq, struct fake_answer *ret)
{
	if (servers.of[rq->server].lines % 3 != 1)
		ret->status = 500;
}

static void so_does_one_whose_breaker_is_closed(void **state)
{
	struct upstream_config list[] = { server_config(0), server_config(1) };
	struct scheduling_view v;
	struct world w;

	(void)state;
	list[0].concurrency = 1;
	servers_open_with(&w, WORLD_CONFIG, list, 2);
	servers.of[0].answer.after_ms = 20;
	servers.of[0].choose = two_of_three_fail;
	servers.of[1].answer.after_ms = 200;
	world_batch(&w, 500);
	world_run(&w, 10000);
	assert_true(servers_count(0, 0, 2000) > 20);
	assert_in_range(servers_count(0, 3000, 9000), 5, 7);
	world_view(&w, &v);
	assert_int_equal(v.upstreams[0].trips, 0);
	scheduling_view_done(&v);
	/* once it is well it soon has its share again */
	servers.of[0].choose = NULL;
	world_run(&w, 7000);
	assert_true(servers_count(0, 10000, 17000) > 100);
	world_close(&w);
}

static void alone_it_gets_all_the_same(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].choose = two_of_three_fail;
	world_batch(&w, 500);
	world_run(&w, 10000);
	assert_in_range(servers_count(0, 3000, 9000), 100, 6 * 40);
	world_close(&w);
}

/* ---- an engine of 8 slots, 100 ms each, that shows what it has ---- */

#define SLOTS 8u

static struct {
	uint64_t free_ms[SLOTS]; /* world_ms() */
	uint64_t begins_ms[REQUESTS_MAX];
	bool pauses;       /* it asks for a pause of a second */
	const char *fails; /* lines with that in their body */
} engine;

/* The slot that is free first takes it. */
static void engine_takes(const struct request *rq, struct fake_answer *ret)
{
	uint64_t *first = &engine.free_ms[0];
	unsigned n = strstr(rq->body, "\"n\":4") != NULL ? 4 : 1;

	engine.begins_ms[rq - servers.requests] = UINT64_MAX; /* it never does */
	if (engine.pauses || (engine.fails != NULL && strstr(rq->body, engine.fails) != NULL)) {
		*ret = (struct fake_answer){ .status = engine.pauses ? 429 : 500, .after_ms = 20 };
		if (engine.pauses)
			ret->headers[0] = (struct header){ SLICE("Retry-After"), SLICE("1") };
		return;
	}
	for (; n > 0; n--) {
		for (unsigned i = 0; i < SLOTS; i++)
			if (engine.free_ms[i] < *first)
				first = &engine.free_ms[i];
		uint64_t begins_ms = *first > rq->at_ms ? *first : rq->at_ms;
		engine.begins_ms[rq - servers.requests] = begins_ms;
		*first = begins_ms + 100;
		ret->after_ms = begins_ms + 100 - rq->at_ms;
	}
}

static const char *engine_metrics(void)
{
	static char text[256];
	unsigned running = 0, waiting = 0;

	for (unsigned i = 0; i < servers.n; i++) {
		uint64_t begins_ms = engine.begins_ms[i], now_ms = world_ms();
		unsigned n = strstr(servers.requests[i].body, "\"n\":4") != NULL ? 4 : 1;
		running += begins_ms <= now_ms && now_ms < begins_ms + 100 ? n : 0;
		waiting += begins_ms > now_ms && begins_ms != UINT64_MAX ? n : 0;
	}
	snprintf(text, sizeof(text), "vllm:num_requests_running %u\nvllm:num_requests_waiting %u\n",
		 running, waiting);
	return text;
}

static struct upstream_config engine_config(enum gauges_kind metrics)
{
	struct upstream_config config = server_config(0);

	config.concurrency = 0;
	config.max_concurrency = 64;
	config.metrics = metrics;
	config.reserve = -1;
	return config;
}

static void engine_open(struct world *w)
{
	struct upstream_config config = engine_config(GAUGES_AUTO);

	engine = (typeof(engine)){ 0 };
	servers_open_with(w, WORLD_CONFIG, &config, 1);
	servers.of[0].choose = engine_takes;
	servers.of[0].metrics = engine_metrics;
}

static void models_of_one_engine_share_its_limit(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	struct world_batch *m = world_batch_of(&w, "m", 500), *n = world_batch_of(&w, "n", 500);
	world_run(&w, 4000);
	const struct lane *first = lanes_of(w.dispatch->upstreams);
	assert_non_null(first->next_of_upstream);
	assert_ptr_equal(first->limit, first->next_of_upstream->limit);
	unsigned ended = m->ended + n->ended;
	world_run(&w, 4000);
	assert_in_range(m->ended + n->ended - ended, 310,
			330); /* 80 a second; all slots are taken */
	assert_in_range(m->ended - n->ended + 10, 0, 20);
	/* the one goes on alone, and all of it is its */
	world_drop(&w, m);
	world_run(&w, 500);
	ended = n->ended;
	world_run(&w, 1000);
	assert_in_range(n->ended - ended, 75, 85);
	world_close(&w);
}

/* The limit is told of each reading once. */
static void a_model_that_comes_later_repeats_no_reading(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	world_batch_of(&w, "m", 40);
	world_run(&w, 2000);
	const struct limit *limit = lanes_of(w.dispatch->upstreams)->limit;
	uint64_t told_us = limit->engine.gauges_us;
	world_run(&w, 60000); /* and nothing is asked meanwhile */
	assert_int_equal(limit->engine.gauges_us, told_us);
	servers.of[0].metrics = NULL;
	world_batch_of(&w, "n", 1);
	world_run(&w, 1);
	assert_non_null(lanes_of(w.dispatch->upstreams)->next_of_upstream);
	assert_ptr_equal(lanes_of(w.dispatch->upstreams)->limit, limit);
	assert_int_equal(limit->engine.gauges_us, told_us);
	world_close(&w);
}

/* ... and a limit of its own begins with the last one, if that is of this moment. */
static void a_limit_begins_with_the_reading_of_this_moment(void **state)
{
	(void)state;
	for (unsigned old = 0; old < 2; old++) {
		struct world w;
		engine_open(&w);
		struct target *t = target_of(w.dispatch->upstreams);
		t->upstream.has_gauges = true;
		t->upstream.gauges = (struct gauges){ .kind = GAUGES_VLLM, .running = 3 };
		t->watches.metrics.due_ms = old ? 0 : client_fake_now_ms();
		servers.of[0].metrics = NULL;
		world_batch_of(&w, "m", 1);
		world_run(&w, 1);
		assert_int_equal(t->limit != NULL, !old);
		assert_true(lanes_of(&t->upstream)->limit->engine.gauges.running == (old ? 0 : 3));
		world_close(&w);
	}
}

/* With `metrics: none` a model has a limit of its own again, and its lines in flight are counted by
 * it (lanes_check()); with metrics it is the engine's. */
static void metrics_that_are_set_aside_divide_the_limit(void **state)
{
	struct upstream_config none = engine_config(GAUGES_NONE),
			       again = engine_config(GAUGES_AUTO);
	struct world w;

	(void)state;
	engine_open(&w);
	struct world_batch *m = world_batch_of(&w, "m", 2000), *n = world_batch_of(&w, "n", 1000);
	m->body = "{\"model\":\"m\",\"n\":4}";
	world_run(&w, 4050);
	const struct upstream *u = w.dispatch->upstreams;
	struct limit *shared = target_of(u)->limit;
	assert_non_null(shared);
	world_upstreams(&w, &none, 1);
	struct lane *first = lanes_of(u), *second = first->next_of_upstream;
	assert_null(target_of(u)->limit);
	assert_ptr_not_equal(first->limit, second->limit);
	assert_true(first->limit == shared || second->limit == shared);
	assert_true(first->slots.sent > 0 && second->slots.sent > 0);
	lanes_check(u);
	unsigned m_ended = m->ended, n_ended = n->ended;
	world_run(&w, 5000);
	assert_true(m->ended > m_ended + 20 && n->ended > n_ended + 80);
	assert_null(target_of(u)->limit);
	world_upstreams(&w, &again, 1);
	world_run(&w, 2000);
	assert_non_null(target_of(u)->limit);
	assert_ptr_equal(first->limit, second->limit);
	world_close(&w);
}

static void a_limit_without_lanes_is_set_aside_too(void **state)
{
	static char other[] = "other";
	struct upstream_config none = engine_config(GAUGES_NONE);
	struct world w;

	(void)state;
	none.models = (char *[]){ other, NULL };
	engine_open(&w);
	world_batch_of(&w, "m", 40);
	world_run(&w, 4000);
	assert_non_null(target_of(w.dispatch->upstreams)->limit);
	none.metrics = GAUGES_AUTO;
	world_upstreams(&w, &none, 1);
	world_run(&w, 2000);
	assert_null(lanes_of(w.dispatch->upstreams));
	assert_non_null(target_of(w.dispatch->upstreams)->limit);
	none.metrics = GAUGES_NONE;
	world_upstreams(&w, &none, 1);
	assert_null(target_of(w.dispatch->upstreams)->limit);
	world_close(&w);
}

/* ---- after a pause or an outage ---- */

/* Whether the upstream's limit is in a slow start at any time of so long. */
static bool slow_start_within(struct world *w, uint64_t ms)
{
	bool seen = false;

	for (uint64_t at_ms = 0; at_ms < ms; at_ms += 20) {
		struct limit_state s = limit_state(lanes_of(w->dispatch->upstreams)->limit,
						   client_fake_now_ms() * 1000);
		seen = seen || s.reason == LIMIT_SLOW_START;
		world_run(w, 20);
	}
	return seen;
}

/* The engine's limit begins slowly once for all of them, and who comes last gets his half. */
static void after_a_pause_models_of_one_engine_take_turns_again(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	struct world_batch *m = world_batch_of(&w, "m", 2000), *n = world_batch_of(&w, "n", 8);
	world_run(&w, 4000);
	assert_int_equal(n->ended, 8);
	engine.pauses = true;
	world_run(&w, 300);
	engine.pauses = false;
	assert_true(slow_start_within(&w, 4000));
	assert_false(slow_start_within(&w, 1000));
	n = world_batch_of(&w, "n", 1000);
	unsigned m_ended = m->ended;
	assert_false(slow_start_within(&w, 4000));
	assert_in_range(n->ended, 140, 165); /* 40 a second */
	assert_in_range(m->ended - m_ended, 150, 180);
	world_close(&w);
}

static void an_outage_of_one_model_does_not_slow_the_others(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	struct world_batch *m = world_batch_of(&w, "m", 2000), *n = world_batch_of(&w, "n", 1000);
	world_run(&w, 4000);
	engine.fails = "\"model\":\"n\"";
	world_run(&w, 3000);
	assert_true(lane_open_circuit(lane_find(n->flow->model, w.dispatch->upstreams)));
	engine.fails = NULL;
	unsigned m_ended = m->ended, n_ended = n->ended;
	assert_false(slow_start_within(&w, 6000));
	assert_true(n->ended > n_ended + 150);
	assert_in_range(m->ended + n->ended - m_ended - n_ended, 465, 495);
	world_close(&w);
}

static void a_model_alone_begins_slowly_after_an_outage(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	world_batch_of(&w, "m", 2000);
	struct world_batch *n = world_batch_of(&w, "n", 4);
	world_run(&w, 4000);
	assert_int_equal(n->ended, 4);
	engine.fails = "\"model\":\"m\"";
	world_run(&w, 3000);
	engine.fails = NULL;
	assert_true(slow_start_within(&w, 4000));
	world_close(&w);
}

/* `n: 4` is four in the engine's gauges, and in what is counted as ours: nobody else is there. */
static void requests_of_four_are_no_cross_traffic(void **state)
{
	struct scheduling_view v;
	struct world w;

	(void)state;
	engine_open(&w);
	struct world_batch *m = world_batch_of(&w, "m", 500);
	m->body = "{\"model\":\"m\",\"n\":4}";
	world_run(&w, 5000);
	unsigned ended = m->ended;
	world_run(&w, 5000);
	assert_in_range(m->ended - ended, 95, 105); /* 20 a second */
	world_view(&w, &v);
	assert_true(v.lanes[0].limit.others <= 0);
	assert_int_equal(v.lanes[0].limit.reserve, 0);
	assert_in_range(v.lanes[0].in_flight, 2, 4);
	scheduling_view_done(&v);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_models_take_turns_on_one_upstream),
		cmocka_unit_test(one_that_comes_later_gets_its_half),
		cmocka_unit_test(a_model_alone_has_all_slots),
		cmocka_unit_test(one_that_mostly_fails_gets_a_line_a_second_beside_a_good_one),
		cmocka_unit_test(so_does_one_whose_breaker_is_closed),
		cmocka_unit_test(alone_it_gets_all_the_same),
		cmocka_unit_test(models_of_one_engine_share_its_limit),
		cmocka_unit_test(a_model_that_comes_later_repeats_no_reading),
		cmocka_unit_test(a_limit_begins_with_the_reading_of_this_moment),
		cmocka_unit_test(metrics_that_are_set_aside_divide_the_limit),
		cmocka_unit_test(a_limit_without_lanes_is_set_aside_too),
		cmocka_unit_test(after_a_pause_models_of_one_engine_take_turns_again),
		cmocka_unit_test(an_outage_of_one_model_does_not_slow_the_others),
		cmocka_unit_test(a_model_alone_begins_slowly_after_an_outage),
		cmocka_unit_test(requests_of_four_are_no_cross_traffic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
