/* test_upstream.c: whether one server takes a request, and what it and a model on it learn from the
 * end of one. The parts (breaker, throttle, rate limit) have tests of their own. */
#include "unit.h"

#include "upstream/upstream.h"

#define T(text) ((char *)(text))
#define NOW_MS 10000u

static struct upstream u;
static struct circuit model;
static struct slots model_slots;

static int setup(void **state)
{
	const struct upstream_config config = { .name = T("a"),
						.base_url = T("http://a/v1"),
						.api_key = T("sk-secret"),
						.max_concurrency = 8 };

	(void)state;
	assert_true(upstream_init(&u, NULL, &config, NOW_MS));
	u.asked = true;
	model = (struct circuit){ 0 };
	model_slots = (struct slots){ .of = &u.slots };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	upstream_done(&u);
	return 0;
}

/* A line that was sent a second ago ends now. */
static struct learnt learn(const struct attempt_end *end, struct circuit *of, uint64_t now_ms)
{
	struct attempt_end e = *end;

	e.sent_us = (now_ms - 1000) * 1000;
	e.ended_us = now_ms * 1000;
	const struct lesson l = { .end = &e,
				  .blame = upstream_judge(&u, of, 1, &e).blame,
				  .line_new = true,
				  .now_s = 1700000000 };
	return upstream_learn(&u, of, &l);
}

static const struct answer_facts good_facts = { .fault = ANSWER_GOOD, .json = true };
static const struct attempt_end good = { .status = 200, .facts = &good_facts };
static const struct attempt_end unreachable = { .how = EXCHANGE_UNREACHABLE,
						.detail = "no route for sk-secret" };
static const struct attempt_end fails = { .status = 500 };
static const struct attempt_end busy = { .status = 503 };
static const struct attempt_end many = { .status = 429, .wait_ms = 3000 };
static const struct attempt_end no_key = { .status = 401 };
static const struct attempt_end no_path = { .status = 404 };

static void assert_learnt(struct learnt is, struct learnt should)
{
	assert_int_equal(is.upstream, should.upstream);
	assert_int_equal(is.model, should.model);
	assert_int_equal(is.shut_upstream, should.shut_upstream);
	assert_int_equal(is.shut_model, should.shut_model);
	assert_int_equal(is.came_back, should.came_back);
}

/* ---- what changes ---- */

static void a_good_answer_changes_nothing(void **state)
{
	(void)state;
	assert_learnt(learn(&good, &model, NOW_MS), (struct learnt){ 0 });
	assert_true(u.circuit.breaker.been_well);
	assert_true(model.breaker.been_well);
}

static void one_that_cannot_be_reached_is_down(void **state)
{
	(void)state;
	assert_learnt(learn(&unreachable, &model, NOW_MS),
		      (struct learnt){ .upstream = true, .shut_upstream = true });
	assert_int_equal(u.circuit.stall, STALL_DOWN);
	assert_int_equal(model.stall, STALL_NONE);
	assert_int_equal(u.circuit.said.since, 1700000000);
	assert_non_null(strstr(u.circuit.said.text, "no route for "));
	assert_null(strstr(u.circuit.said.text, "secret")); /* a key is not told */
	/* the second says nothing new */
	assert_learnt(learn(&unreachable, &model, NOW_MS + 1), (struct learnt){ 0 });
}

static void it_comes_back_with_an_answer(void **state)
{
	(void)state;
	(void)learn(&unreachable, &model, NOW_MS);
	assert_learnt(learn(&good, &model, NOW_MS + 5000),
		      (struct learnt){ .upstream = true, .came_back = true });
	assert_int_equal(u.circuit.stall, STALL_NONE);
}

static void a_fault_is_the_models(void **state)
{
	(void)state;
	assert_learnt(learn(&fails, &model, NOW_MS),
		      (struct learnt){ .model = true, .shut_model = true });
	assert_int_equal(model.stall, STALL_DOWN);
	assert_int_equal(u.circuit.stall, STALL_NONE);
	assert_string_equal(model.said.text, "HTTP 500");
}

static void a_fault_for_a_model_that_has_no_circuit_is_nobodys(void **state)
{
	(void)state;
	assert_learnt(learn(&fails, NULL, NOW_MS), (struct learnt){ 0 });
}

static void a_refusal_for_too_much_pauses_all_models(void **state)
{
	bool probe;

	(void)state;
	assert_learnt(learn(&many, &model, NOW_MS),
		      (struct learnt){ .upstream = true, .shut_upstream = true });
	assert_int_equal(u.circuit.stall, STALL_THROTTLED);
	assert_int_equal(upstream_due_ms(&u, &model, &model_slots, NOW_MS, &probe),
			 NOW_MS + 3000 + THROTTLE_MORE_MS);
	assert_false(probe);
}

/* 503 without a wait: how engines say both. */
static void one_that_is_busy_is_down_unless_something_is_well(void **state)
{
	(void)state;
	assert_int_equal(upstream_judge(&u, &model, 1, &busy).blame, BLAME_BUSY);
	assert_int_equal(upstream_judge(&u, NULL, 0, &busy).blame, BLAME_THROTTLED);
	(void)learn(&good, &model, NOW_MS);
	assert_int_equal(upstream_judge(&u, &model, 1, &busy).blame, BLAME_THROTTLED);
	assert_int_equal(upstream_judge(&u, &model, 0, &busy).blame,
			 BLAME_THROTTLED); /* well since */
	struct attempt_end later = busy;
	later.sent_us = (NOW_MS + 1000) * 1000;
	assert_int_equal(upstream_judge(&u, &model, 0, &later).blame, BLAME_BUSY);
}

static void or_its_engine_says_that_it_serves(void **state)
{
	struct attempt_end end = busy;

	(void)state;
	end.sent_us = NOW_MS * 1000;
	u.has_gauges = true;
	u.gauges = (struct gauges){ .kind = GAUGES_VLLM, .running = 6 };
	u.gauges_asked_us = (NOW_MS - 1000) * 1000;
	assert_int_equal(upstream_judge(&u, &model, 1, &end).blame, BLAME_THROTTLED);
	u.gauges_asked_us = (NOW_MS - 3000) * 1000; /* too old */
	assert_int_equal(upstream_judge(&u, &model, 1, &end).blame, BLAME_BUSY);
	u.gauges_asked_us = NOW_MS * 1000;
	u.gauges.running = 0;
	assert_int_equal(upstream_judge(&u, &model, 1, &end).blame, BLAME_BUSY);
	u.gauges.running = 6;
	u.has_gauges = false;
	assert_int_equal(upstream_judge(&u, &model, 1, &end).blame, BLAME_BUSY);
}

/* A queue that is full: what is open stays open, with the limit that follows from the refusal. */
static void a_refusal_beside_others_is_no_slow_start(void **state)
{
	static const struct attempt_end full = { .status = 429 };

	(void)state;
	u.slots.held = u.slots.sent = 3;
	assert_learnt(learn(&full, &model, NOW_MS), (struct learnt){ .upstream = true });
	assert_int_equal(u.circuit.stall, STALL_THROTTLED);
	u.slots.held = u.slots.sent = 0;
	assert_learnt(learn(&full, &model, NOW_MS + 10), (struct learnt){ .shut_upstream = true });
}

static void an_outage_ends_a_pause(void **state)
{
	(void)state;
	(void)learn(&many, &model, NOW_MS);
	(void)learn(&unreachable, &model, NOW_MS + 100);
	(void)learn(&good, &model, NOW_MS + 5000);
	assert_false(throttle_pauses(&u.throttle));
	assert_int_equal(u.circuit.stall, STALL_NONE);
}

static void a_key_that_is_refused_is_the_operators(void **state)
{
	(void)state;
	assert_learnt(learn(&no_key, &model, NOW_MS),
		      (struct learnt){ .upstream = true, .shut_upstream = true });
	assert_int_equal(u.circuit.stall, STALL_REFUSED);
	assert_false(u.certificate);
	const struct attempt_end certificate = { .how = EXCHANGE_CERTIFICATE };
	(void)learn(&certificate, &model, NOW_MS + 1);
	assert_true(u.certificate);
}

static void a_path_that_is_not_there_is_the_models(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < BREAKER_FAULTS_MAX; i++)
		(void)learn(&no_path, &model, NOW_MS + i);
	assert_int_equal(model.stall, STALL_REFUSED);
	assert_int_equal(u.circuit.stall, STALL_NONE);
}

static void a_pause_ends_by_time_once_a_request_was_let_through(void **state)
{
	bool probe;

	(void)state;
	const struct attempt_end untold = { .status = 429 };
	(void)learn(&untold, &model, NOW_MS);
	assert_false(upstream_tick(&u, NOW_MS + 500, 1));
	uint64_t due = upstream_due_ms(&u, &model, &model_slots, NOW_MS, &probe);
	upstream_sent(&u, 1, due);
	assert_true(upstream_tick(&u, due + THROTTLE_TAKEN_MS, 1));
	assert_int_equal(u.circuit.stall, STALL_NONE);
}

/* ---- may a request go? ---- */

static void its_models_are_waited_for_at_the_start(void **state)
{
	bool probe;

	(void)state;
	assert_int_equal(upstream_due_ms(&u, &model, &model_slots, NOW_MS, &probe), NOW_MS);
	u.asked = false;
	assert_int_equal(upstream_due_ms(&u, &model, &model_slots, NOW_MS, &probe), NOW_MS + 2000);
	assert_int_equal(upstream_due_ms(&u, &model, &model_slots, NOW_MS + 2000, &probe),
			 NOW_MS + 2000);
}

static void the_later_of_two_circuits_counts(void **state)
{
	struct slots batch = { 0 };
	struct slot slot = { .lane = &model_slots, .batch = &batch, .probe = true, .units = 1 };
	bool probe;

	(void)state;
	(void)learn(&unreachable, &model, NOW_MS);
	assert_int_equal(upstream_due_ms(&u, &model, &model_slots, NOW_MS, &probe),
			 NOW_MS + BREAKER_PROBE_MS);
	assert_true(probe);
	(void)learn(&fails, &model, NOW_MS + 500);
	slot_take(&slot, NOW_MS + 600);
	assert_int_equal(upstream_due_ms(&u, &model, &model_slots, NOW_MS + 700, &probe),
			 NOW_MS + 600 + CIRCUIT_PROBE_PATIENCE_MS);
}

static void limits_a_minute_hold_lines_back(void **state)
{
	const struct upstream_config config = { .name = T("a"),
						.base_url = T("http://a/v1"),
						.max_concurrency = 8,
						.tokens_per_minute = 6000 };
	struct upstream_config copy;
	struct attempt_end end = good;
	bool probe;

	(void)state;
	assert_true(upstream_config_copy(&config, &copy));
	upstream_configure(&u, &copy, NOW_MS);
	assert_null(copy.name); /* it changed hands */
	upstream_sent(&u, 6000, NOW_MS);
	assert_true(upstream_due_ms(&u, &model, &model_slots, NOW_MS, &probe) >= NOW_MS + 60000);
	/* it took nearly nothing: the rest is given back */
	end.sent_us = NOW_MS * 1000;
	end.ended_us = (NOW_MS + 100) * 1000;
	end.tokens.output = 1;
	upstream_settle(&u, &end, BLAME_NOBODY, 6000);
	assert_true(upstream_due_ms(&u, &model, &model_slots, NOW_MS + 1000, &probe) <=
		    NOW_MS + 1000);
	u.rate_limited_until_ms = NOW_MS + 7000;
	assert_int_equal(upstream_due_ms(&u, &model, &model_slots, NOW_MS + 1000, &probe),
			 NOW_MS + 7000);
}

static void a_new_configuration_probes_at_once_and_forgets_what_metrics_said(void **state)
{
	struct upstream_config copy;
	bool probe;

	(void)state;
	(void)learn(&no_key, &model, NOW_MS);
	u.has_gauges = true;
	assert_true(upstream_config_copy(&u.config, &copy));
	copy.metrics = GAUGES_NONE;
	upstream_configure(&u, &copy, NOW_MS + 1);
	assert_int_equal(upstream_due_ms(&u, &model, &model_slots, NOW_MS + 1, &probe), NOW_MS + 1);
	assert_true(probe);
	assert_false(u.has_gauges);
}

static void its_engine_is_what_its_gauges_its_configuration_or_its_models_say(void **state)
{
	static char ours[] = "us", name[] = "sglang";
	struct reported_model models[] = { { .owned_by = NULL }, { .owned_by = ours } };

	(void)state;
	assert_int_equal(upstream_engine(&u), GAUGES_NONE);
	u.reported = (struct reported){ .models = models, .n = 2 };
	assert_int_equal(upstream_engine(&u), GAUGES_NONE);
	models[1].owned_by = name;
	assert_int_equal(upstream_engine(&u), GAUGES_SGLANG);
	u.config.metrics = GAUGES_LLAMACPP;
	assert_int_equal(upstream_engine(&u), GAUGES_LLAMACPP);
	u.has_gauges = true;
	u.gauges.kind = GAUGES_VLLM;
	assert_int_equal(upstream_engine(&u), GAUGES_VLLM);
	u.reported = (struct reported){ 0 };
}

static void it_takes_what_is_new_unless_it_goes(void **state)
{
	(void)state;
	assert_true(upstream_takes(&u));
	u.config.drain = true;
	assert_false(upstream_takes(&u));
	u.config.drain = false;
	u.retired = true;
	assert_false(upstream_takes(&u));
}

static void its_most_is_the_less_of_two(void **state)
{
	(void)state;
	assert_int_equal(upstream_most(&u), 8);
	u.config.concurrency = 3;
	assert_int_equal(upstream_most(&u), 3);
	u.config.concurrency = 9;
	assert_int_equal(upstream_most(&u), 8);
	u.slots.held = 9;
	u.slots.sent = 5;
	u.slots.online = 2;
	assert_int_equal(upstream_load(&u), 7);
}

static void each_end_is_counted_once(void **state)
{
	static const struct {
		struct attempt_end end;
		enum blame blame;
	} ends[] = {
		{ { .status = 200, .tokens = { .input = 2, .output = 3 } }, BLAME_NOBODY },
		{ { .status = 404 }, BLAME_LINE },
		{ { .status = 429 }, BLAME_OPERATOR }, /* a quota */
		{ { .status = 429 }, BLAME_THROTTLED },
		{ { .status = 503 }, BLAME_THROTTLED },
		{ { .status = 503 }, BLAME_BUSY },
		{ { .how = EXCHANGE_BROKEN, .status = 200 }, BLAME_SERVER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		upstream_settle(&u, &ends[i].end, ends[i].blame, 5);
	assert_int_equal(u.counts.answered_2xx, 1);
	assert_int_equal(u.counts.answered_4xx, 2);
	assert_int_equal(u.counts.answered_throttled, 2);
	assert_int_equal(u.counts.answered_5xx, 1);
	assert_int_equal(u.counts.broken, 1);
	assert_int_equal(u.counts.tokens, 5);
	upstream_sent(&u, 1, NOW_MS);
	upstream_online_sent(&u, 1, NOW_MS);
	assert_int_equal(u.counts.sent, 1);
	assert_int_equal(u.counts.online, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_good_answer_changes_nothing),
		TEST(one_that_cannot_be_reached_is_down),
		TEST(it_comes_back_with_an_answer),
		TEST(a_fault_is_the_models),
		TEST(a_fault_for_a_model_that_has_no_circuit_is_nobodys),
		TEST(a_refusal_for_too_much_pauses_all_models),
		TEST(one_that_is_busy_is_down_unless_something_is_well),
		TEST(or_its_engine_says_that_it_serves),
		TEST(a_refusal_beside_others_is_no_slow_start),
		TEST(an_outage_ends_a_pause),
		TEST(a_key_that_is_refused_is_the_operators),
		TEST(a_path_that_is_not_there_is_the_models),
		TEST(a_pause_ends_by_time_once_a_request_was_let_through),
		TEST(its_models_are_waited_for_at_the_start),
		TEST(the_later_of_two_circuits_counts),
		TEST(limits_a_minute_hold_lines_back),
		TEST(a_new_configuration_probes_at_once_and_forgets_what_metrics_said),
		TEST(its_engine_is_what_its_gauges_its_configuration_or_its_models_say),
		TEST(it_takes_what_is_new_unless_it_goes),
		TEST(its_most_is_the_less_of_two),
		TEST(each_end_is_counted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
