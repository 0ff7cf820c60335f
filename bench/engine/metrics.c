#include "metrics.h"

#include <inttypes.h>

#include "base/memory.h"

#define KIND_POLLS 10u
#define OTHER_WAITING_MAX 60

const char *const metrics_names_words[] = { "vllm", "sglang", "llamacpp", NULL };
const char *const metrics_lie_words[] = { "none",  "constant", "zero",   "huge",  "negative",
					  "other", "kind",     "frozen", "turns", NULL };

/* What the text says of one engine. */
struct told {
	bool shown;
	double running, waiting, deferred, cache;
};

/* -1, 0 or 1; splitmix64. */
static int random_step(struct metrics *m)
{
	uint64_t z = m->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (int)((z ^ (z >> 31)) % 3) - 1;
}

/* All slots but one or two are taken, and what waits wanders. */
static struct told told_other(struct metrics *m, const struct sim *s)
{
	m->other_waiting += 4 * random_step(m);
	m->other_waiting = m->other_waiting < 1                   ? 1
			   : m->other_waiting > OTHER_WAITING_MAX ? OTHER_WAITING_MAX
								  : m->other_waiting;
	m->other_running = s->options.slots - (random_step(m) > 0 ? 1 : 0);
	return (struct told){ true, m->other_running, m->other_waiting, 0, 0.5 };
}

/* The first text after it was said is true. */
static struct sim_gauges frozen_of(struct metrics *m, const struct sim *s, unsigned core)
{
	for (unsigned i = 0; i < s->n_cores && !m->has_frozen; i++)
		m->frozen[i] = sim_gauges(s, i);
	m->has_frozen = true;
	return m->frozen[core];
}

static struct told told_of(struct metrics *m, const struct sim *s, unsigned core)
{
	struct sim_gauges g = sim_gauges(s, core);

	switch (m->lie) {
	case METRICS_CONSTANT:
		return (struct told){ true, 4, 0, 0, 0.25 };
	case METRICS_ZERO:
		return (struct told){ true, 0, 0, 0, 0 };
	case METRICS_HUGE:
		return (struct told){ true, 1e18, 1e18, 0, 1 };
	case METRICS_NEGATIVE:
		return (struct told){ true, -5, -5, 0, -5 };
	case METRICS_OTHER:
		return told_other(m, s);
	case METRICS_FROZEN:
		g = frozen_of(m, s, core);
		break;
	case METRICS_TRUE:
	case METRICS_KIND:
	case METRICS_TURNS:
		break;
	}
	bool shown = m->lie != METRICS_TURNS || m->polls % s->n_cores == core;
	return (struct told){ shown, g.running, (double)g.waiting, (double)g.deferred, g.cache };
}

static void head_write(struct buf *to, const char *prefix, const char *name, const char *type)
{
	buf_printf(to, "# HELP %s:%s Of the simulated engine.\n# TYPE %s:%s %s\n", prefix, name,
		   prefix, name, type);
}

/* ---- vLLM ---- */

static void vllm_line(struct buf *to, const struct metrics *m, const char *name, unsigned core,
		      const char *more, double value)
{
	buf_printf(to, "vllm:%s{engine=\"%u\",model_name=\"%s\"%s} %.17g\n", name, core,
		   m->models[0], more, value);
}

static void vllm_gauge(struct buf *to, const struct metrics *m, const char *name, unsigned core,
		       const char *more, const struct told *of, double value)
{
	if (of->shown)
		vllm_line(to, m, name, core, more, value);
}

static void vllm_gauges(struct buf *to, const struct metrics *m, const struct told *told,
			unsigned n)
{
	head_write(to, "vllm", "num_requests_running", "gauge");
	for (unsigned i = 0; i < n; i++)
		vllm_gauge(to, m, "num_requests_running", i, "", &told[i], told[i].running);
	head_write(to, "vllm", "num_requests_waiting", "gauge");
	for (unsigned i = 0; i < n; i++)
		vllm_gauge(to, m, "num_requests_waiting", i, "", &told[i], told[i].waiting);
	head_write(to, "vllm", "num_requests_waiting_by_reason", "gauge");
	for (unsigned i = 0; i < n; i++) {
		vllm_gauge(to, m, "num_requests_waiting_by_reason", i, ",reason=\"capacity\"",
			   &told[i], told[i].waiting - told[i].deferred);
		vllm_gauge(to, m, "num_requests_waiting_by_reason", i, ",reason=\"deferred\"",
			   &told[i], told[i].deferred);
	}
	head_write(to, "vllm", "kv_cache_usage_perc", "gauge");
	for (unsigned i = 0; i < n; i++)
		vllm_gauge(to, m, "kv_cache_usage_perc", i, "", &told[i], told[i].cache);
	head_write(to, "vllm", "engine_sleep_state", "gauge");
	for (unsigned i = 0; i < n; i++)
		vllm_line(to, m, "engine_sleep_state", i, ",sleep_state=\"awake\"", 1);
}

static void vllm_counters(struct buf *to, const struct metrics *m, const struct sim *s)
{
	for (unsigned i = 0; i < s->n_cores; i++) {
		const struct sim_stats *t = &s->cores[i].stats;
		const struct {
			const char *name, *more;
			uint64_t value;
		} counters[] = {
			{ "num_preemptions_total", "", t->preemptions },
			{ "prompt_tokens_total", "", t->prompt_tokens },
			{ "prompt_tokens_cached_total", "", t->cached_tokens },
			{ "generation_tokens_total", "", t->output_tokens },
			{ "iteration_tokens_total_count", "", t->steps },
			{ "prefix_cache_queries_total", "", t->prompt_tokens },
			{ "prefix_cache_hits_total", "", t->cached_tokens },
			{ "request_success_total", ",finished_reason=\"length\"", t->finished },
		};
		for (size_t k = 0; k < ARRAY_LEN(counters); k++) {
			if (i == 0)
				buf_printf(to, "# TYPE vllm:%s counter\n", counters[k].name);
			vllm_line(to, m, counters[k].name, i, counters[k].more,
				  (double)counters[k].value);
		}
	}
	buf_printf(
		to,
		"# TYPE vllm:admission_rejections_total counter\n"
		"vllm:admission_rejections_total{model_name=\"%s\",reason=\"max_num_queued_reqs\""
		"} %" PRIu64 "\n",
		m->models[0], s->n_rejected);
}

static void lora_names(struct buf *to, const struct metrics *m, const unsigned *counts)
{
	bool any = false;

	for (unsigned k = 1; k < m->n_models; k++) {
		if (counts[k] == 0)
			continue;
		buf_printf(to, "%s%s", any ? "," : "", m->models[k]);
		any = true;
	}
}

static void vllm_loras(struct buf *to, const struct metrics *m, const struct sim *s)
{
	unsigned running[METRICS_LORAS_MAX + 1] = { 0 }, waiting[METRICS_LORAS_MAX + 1] = { 0 };

	if (m->n_models < 2)
		return;
	for (unsigned i = 0; i < s->n_cores; i++) {
		const struct core *c = &s->cores[i];

		for (unsigned k = 0; k < m->n_models; k++)
			running[k] += c->lora_runs[k];
		for (size_t k = 0; k < c->n_waiting; k++)
			waiting[c->queue[k]->lora]++;
	}
	buf_printf(to,
		   "# TYPE vllm:lora_requests_info gauge\n"
		   "vllm:lora_requests_info{max_lora=\"%u\",running_lora_adapters=\"",
		   s->options.max_loras);
	lora_names(to, m, running);
	buf_text(to, "\",waiting_lora_adapters=\"");
	lora_names(to, m, waiting);
	buf_text(to, "\"} 1\n");
}

/* ---- the others ---- */

static void sglang_line(struct buf *to, const struct metrics *m, const struct sim *s,
			const char *name, unsigned core, double value)
{
	buf_printf(to, "sglang:%s{engine_type=\"unified\",model_name=\"%s\"", name, m->models[0]);
	if (s->n_cores > 1)
		buf_printf(to, ",dp_rank=\"%u\"", core);
	buf_printf(to, ",pp_rank=\"0\",tp_rank=\"0\"} %.17g\n", value);
}

static void sglang_write(struct buf *to, const struct metrics *m, const struct sim *s,
			 const struct told *told)
{
	static const struct {
		const char *name, *type;
	} names[] = {
		{ "num_running_reqs", "gauge" },
		{ "num_queue_reqs", "gauge" },
		{ "token_usage", "gauge" },
		{ "prompt_tokens_total", "counter" },
		{ "cached_tokens_total", "counter" },
		{ "generation_tokens_total", "counter" },
		{ "num_retracted_requests_total", "counter" },
	};

	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		head_write(to, "sglang", names[k].name, names[k].type);
		for (unsigned i = 0; i < s->n_cores; i++) {
			const struct sim_stats *t = &s->cores[i].stats;
			const double values[ARRAY_LEN(names)] = {
				told[i].running,
				told[i].waiting,
				told[i].cache,
				(double)t->prompt_tokens,
				(double)t->cached_tokens,
				(double)t->output_tokens,
				(double)t->preemptions,
			};

			if (told[i].shown)
				sglang_line(to, m, s, names[k].name, i, values[k]);
		}
	}
}

static void llamacpp_write(struct buf *to, const struct sim *s, const struct told *told)
{
	const struct sim_stats *t = &s->cores[0].stats;

	head_write(to, "llamacpp", "prompt_tokens_total", "counter");
	buf_printf(to, "llamacpp:prompt_tokens_total %" PRIu64 "\n", t->prefill_tokens);
	head_write(to, "llamacpp", "tokens_predicted_total", "counter");
	buf_printf(to, "llamacpp:tokens_predicted_total %" PRIu64 "\n", t->output_tokens);
	head_write(to, "llamacpp", "n_decode_total", "counter");
	buf_printf(to, "llamacpp:n_decode_total %" PRIu64 "\n", t->steps);
	head_write(to, "llamacpp", "requests_processing", "gauge");
	buf_printf(to, "llamacpp:requests_processing %.17g\n", told[0].running);
	head_write(to, "llamacpp", "requests_deferred", "gauge");
	buf_printf(to, "llamacpp:requests_deferred %.17g\n", told[0].waiting);
}

void metrics_write(struct metrics *m, const struct sim *s, struct buf *to)
{
	struct told *told = must_calloc(s->n_cores, sizeof(*told));
	enum metrics_names names = m->names;

	if (m->lie == METRICS_KIND && m->polls / KIND_POLLS % 2 == 1)
		names = names == METRICS_SGLANG ? METRICS_VLLM : METRICS_SGLANG;
	for (unsigned i = 0; i < s->n_cores; i++)
		told[i] = told_of(m, s, i);
	m->polls++;
	if (names == METRICS_SGLANG) {
		sglang_write(to, m, s, told);
	} else if (names == METRICS_LLAMACPP) {
		llamacpp_write(to, s, told);
	} else {
		vllm_gauges(to, m, told, s->n_cores);
		vllm_counters(to, m, s);
		vllm_loras(to, m, s);
	}
	free(told);
}
