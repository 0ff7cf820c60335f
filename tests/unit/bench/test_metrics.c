/* test_metrics.c: the text of the simulated engine's metrics, as lowtide reads it. */
#include "unit.h"

#include "base/attr.h"
#include "base/buf.h"
#include "metrics.h"
#include "upstream/gauges.h"

static struct sim sim;
static struct metrics metrics;

static void on_token(struct seq *s)
{
	(void)s;
}

static void on_end(struct sim_job *j)
{
	(void)j;
}

/* Two engines of 4 slots each, 20 requests: 4 + 4 run, 6 + 6 wait. */
static void engine_open(enum metrics_names names)
{
	struct sim_job *job;
	struct slice input = SLICE("1234567890123456");
	const struct sim_ask ask = { .inputs = &input, .n_inputs = 1, .max_tokens = 100 };

	sim = (struct sim){ .options = { .slots = 4,
					 .engines = 2,
					 .step_us = 1000,
					 .budget = 1000,
					 .kv_tokens = 1040 },
			    .on_token = on_token,
			    .on_end = on_end };
	sim_init(&sim, 0);
	metrics = (struct metrics){ .names = names, .models = { "m" }, .n_models = 1 };
	for (int i = 0; i < 20; i++)
		assert_int_equal(sim_submit(&sim, &ask, &sim, 0, &job), SIM_TAKEN);
	sim_run(&sim, 0);
}

static bool gauges_poll(struct gauges *ret, struct buf *text)
{
	const char *why;

	buf_clear(text);
	metrics_write(&metrics, &sim, text);
	assert_false(text->failed);
	return gauges_read(buf_slice(text), GAUGES_AUTO, ret, &why);
}

static bool has(const struct buf *text, const char *line)
{
	return text->n > 0 && memmem(text->p, text->n, line, strlen(line)) != NULL;
}

static void each_kind_is_read(void **state)
{
	static const enum gauges_kind kinds[] = { GAUGES_VLLM, GAUGES_SGLANG, GAUGES_LLAMACPP };
	AUTO(buf_free) struct buf text = BUF(1u << 20);
	struct gauges g;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		bool one = kinds[i] == GAUGES_LLAMACPP; /* which has one engine */

		engine_open((enum metrics_names)i);
		assert_true(gauges_poll(&g, &text));
		assert_int_equal(g.kind, kinds[i]);
		assert_true(g.running == (one ? 4 : 8) && g.waiting == (one ? 6 : 12));
		assert_true(one ? g.cache < 0 : g.cache > 0.39 && g.cache < 0.41);
		sim_free(&sim);
	}
}

static void vllm_tells_its_engines_apart(void **state)
{
	AUTO(buf_free) struct buf text = BUF(1u << 20);
	struct gauges g;
	(void)state;

	engine_open(METRICS_VLLM);
	metrics.models[1] = "ada";
	assert_true(gauges_poll(&g, &text));
	assert_true(has(&text, "vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 4\n"));
	assert_true(has(&text, "vllm:num_requests_waiting_by_reason{engine=\"0\",model_name=\"m\","
			       "reason=\"capacity\"} 6\n"));
	assert_true(has(&text, "vllm:admission_rejections_total{model_name=\"m\","
			       "reason=\"max_num_queued_reqs\"} 0\n"));
	sim_free(&sim);
}

static void lies_are_told(void **state)
{
	AUTO(buf_free) struct buf text = BUF(1u << 20);
	struct gauges g;
	(void)state;

	engine_open(METRICS_VLLM);
	metrics.lie = METRICS_CONSTANT;
	assert_true(gauges_poll(&g, &text) && g.running == 8 &&
		    g.waiting == 0); /* 4 of each engine */
	metrics.lie = METRICS_ZERO;
	assert_true(gauges_poll(&g, &text) && g.running == 0 && g.waiting == 0);
	metrics.lie = METRICS_HUGE;
	assert_false(gauges_poll(&g, &text));
	assert_true(has(&text, "num_requests_running{engine=\"0\",model_name=\"m\"} 1e+18\n"));
	metrics.lie = METRICS_NEGATIVE;
	assert_false(gauges_poll(&g, &text));
	assert_true(has(&text, "num_requests_waiting{engine=\"0\",model_name=\"m\"} -5\n"));
	metrics.lie = METRICS_OTHER;
	for (int i = 0; i < 100; i++)
		assert_true(gauges_poll(&g, &text) && g.running >= 6 && g.waiting >= 2);
	metrics.lie = METRICS_FROZEN;
	assert_true(gauges_poll(&g, &text) && g.running == 8 && g.waiting == 12);
	sim_cancel(&sim, sim.jobs, 0); /* the youngest, which waits */
	assert_true(gauges_poll(&g, &text) && g.waiting == 12);
	metrics.lie = METRICS_TRUE;
	assert_true(gauges_poll(&g, &text) && g.waiting == 11);
	metrics.lie = METRICS_TURNS;
	metrics.polls = 0;
	assert_true(gauges_poll(&g, &text) && g.running == 4 && g.waiting == 6);
	assert_true(has(&text, "num_requests_running{engine=\"0\""));
	assert_true(gauges_poll(&g, &text) && g.running == 4);
	assert_true(has(&text, "num_requests_running{engine=\"1\""));
	metrics.lie = METRICS_KIND;
	metrics.polls = 0;
	for (int i = 0; i < 40; i++)
		assert_true(gauges_poll(&g, &text) && g.running == 8 &&
			    g.kind == (i / 10 % 2 == 0 ? GAUGES_VLLM : GAUGES_SGLANG));
	sim_free(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_is_read),
		cmocka_unit_test(vllm_tells_its_engines_apart),
		cmocka_unit_test(lies_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
