/* main.c: a simulated LLM engine behind an OpenAI-compatible API, for `make bench-scheduling`: it
 * takes the time of a real one and computes nothing.
 *
 *	POST /v1/chat/completions, /v1/completions   streaming or not
 *	POST /v1/embeddings
 *	GET  /v1/models, /health
 *	GET  /props, /slots        with --names llamacpp
 *	GET  /server_info          with --names sglang
 *	GET  /metrics   Prometheus text with the names of --names; 404 with --no-metrics
 *	GET  /stats     {"now_s", "requests", "finished", "refused", "cancelled", "running", "waiting",
 *	                "running_seconds", "waiting_seconds", "busy_seconds", "prefill_tokens",
 *	                "slot_seconds", "cached_tokens", "output_tokens", "steps", "tokens",
 *	                "rejected", "preemptions", "waiting_most", "paused_requests",
 *	                "down_requests", "first_after_down_s",
 *	                "since_mark": {"seconds", "waiting_most", "tokens", "output_tokens",
 *	                "steps", "rejected", "preemptions", "running_seconds",
 *	                "waiting_seconds", "slot_seconds"}}
 *	POST /control   {"down_s": S} resets all connections and refuses new ones for so long;
 *	                {"refuse": SHARE} as --refuse;
 *	                {"dead": true} the engine's process dies behind a living server: 500 for
 *	                all, /health 503, /metrics as they were; false: it is back;
 *	                {"slots": N} that many from now on; {"answer_factor": F} answers are F
 *	                times as long as asked; {"lie": NAME} what /metrics says from now on
 *	                (metrics.h); {"mark": true} waiting_most and since_mark begin anew
 *
 * How long things take is in engine.h. A token is 4 bytes of the raw `messages`, `prompt` or
 * `input`. A run with one seed and the same arrivals answers the same. One thread, one epoll loop.
 * Prints its base URL on the first line, then nothing. Ends on SIGTERM and SIGINT. */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "api.h"

#define PORT_MAX 65535

enum key {
	KEY_PORT = 'p',
	KEY_MODEL = 'm',
	KEY_SLOTS = 'k',
	KEY_STEP = 256,
	KEY_SEQ,
	KEY_PREFILL,
	KEY_BUDGET,
	KEY_CACHE,
	KEY_KV,
	KEY_PRIORITY,
	KEY_NO_METRICS,
	KEY_REFUSE,
	KEY_SLOW_EVERY,
	KEY_SLOW_FACTOR,
	KEY_SLOW_SPREAD,
	KEY_SEED,
	KEY_STEP_END,
	KEY_POOLING,
	KEY_LORAS,
	KEY_MAX_LORAS,
	KEY_ENGINES,
	KEY_METRICS_MS,
	KEY_MAX_QUEUED,
	KEY_PREEMPT,
	KEY_NAMES,
	KEY_SLOT_CACHE,
};

static const struct argp_option known[] = {
	{ "port", KEY_PORT, "PORT", 0, "Listen on 127.0.0.1:PORT (default 0: any free one)", 0 },
	{ "model", KEY_MODEL, "NAME", 0, "The model (default sim)", 0 },
	{ "slots", KEY_SLOTS, "K", 0, "Sequences that run at once (default 64)", 0 },
	{ "step-us", KEY_STEP, "US", 0, "Time of a step (default 30000)", 0 },
	{ "seq-us", KEY_SEQ, "US", 0, "and for each sequence that runs (default 50)", 0 },
	{ "prefill-us", KEY_PREFILL, "US", 0, "and for each prompt token (default 50)", 0 },
	{ "budget", KEY_BUDGET, "TOKENS", 0, "Prompt tokens of a step, at most (default 2048)", 0 },
	{ "cache-tokens", KEY_CACHE, "TOKENS", 0,
	  "Prefix cache: what it keeps that no running sequence holds (default 0: no cache)", 0 },
	{ "kv-tokens", KEY_KV, "TOKENS", 0,
	  "Prompt and output tokens of all running sequences (default 0: no bound)", 0 },
	{ "priority", KEY_PRIORITY, NULL, 0, "Lower `priority` of the body goes first", 0 },
	{ "no-metrics", KEY_NO_METRICS, NULL, 0, "No GET /metrics", 0 },
	{ "refuse", KEY_REFUSE, "SHARE", 0, "Answer that share with 429 (default 0)", 0 },
	{ "slow-every", KEY_SLOW_EVERY, "N", 0, "Every N-th request is slow (default 0: none)", 0 },
	{ "slow-factor", KEY_SLOW_FACTOR, "F", 0, "It decodes F times the tokens (default 60)", 0 },
	{ "slow-spread", KEY_SLOW_SPREAD, NULL, 0, "All requests share that time evenly", 0 },
	{ "gauges-at-step-end", KEY_STEP_END, NULL, 0, "Gauges as vLLM takes them", 0 },
	{ "pooling", KEY_POOLING, NULL, 0, "Embeddings only; none is ever seen to run", 0 },
	{ "loras", KEY_LORAS, "A,B,C", 0, "More models under the same gauges", 0 },
	{ "max-loras", KEY_MAX_LORAS, "N", 0, "Of them run at once (default 0: all)", 0 },
	{ "engines", KEY_ENGINES, "N", 0, "Data-parallel ones, with slots each (default 1)", 0 },
	{ "metrics-ms", KEY_METRICS_MS, "LOW-HIGH", 0, "Time of GET /metrics (default 0-0)", 0 },
	{ "max-queued", KEY_MAX_QUEUED, "N", 0,
	  "503 beyond so many that run and wait (default 0: no bound)", 0 },
	{ "preempt", KEY_PREEMPT, NULL, 0, "With --kv-tokens: room is taken token by token", 0 },
	{ "names", KEY_NAMES, "ENGINE", 0, "vllm (default), sglang or llamacpp", 0 },
	{ "slot-cache", KEY_SLOT_CACHE, NULL, 0, "Each slot keeps its last prompt", 0 },
	{ "seed", KEY_SEED, "N", 0, "Of what is random (default 1)", 0 },
	{ 0 },
};

static struct api api = {
	.metrics = { .models = { "sim" }, .n_models = 1 },
	.random = 1,
	.sim.options = { .slots = 64,
			 .step_us = 30000,
			 .seq_us = 50,
			 .prefill_us = 50,
			 .budget = 2048,
			 .slow_factor = 60 },
};

static volatile sig_atomic_t stopped;

static void on_stop(int number)
{
	(void)number;
	stopped = 1;
}

static double number_parse(const char *arg, double least, double most, struct argp_state *state)
{
	char *end;
	double n = strtod(arg, &end);

	if (end == arg || *end != '\0')
		argp_error(state, "'%s' is not a number", arg);
	if (!(n >= least && n <= most))
		argp_error(state, "'%s' is not between %.15g and %.15g", arg, least, most);
	return n;
}

static void loras_parse(char *arg, struct argp_state *state)
{
	struct metrics *m = &api.metrics;

	for (char *name = strtok(arg, ","); name != NULL; name = strtok(NULL, ",")) {
		if (m->n_models > METRICS_LORAS_MAX)
			argp_error(state, "more than %u adapters", METRICS_LORAS_MAX);
		m->models[m->n_models++] = name;
	}
	api.sim.options.loras = m->n_models - 1;
}

static void names_parse(const char *arg, struct argp_state *state)
{
	unsigned i = 0;

	while (metrics_names_words[i] != NULL && strcmp(arg, metrics_names_words[i]) != 0)
		i++;
	if (metrics_names_words[i] == NULL)
		argp_error(state, "'%s' is none of vllm, sglang, llamacpp", arg);
	api.metrics.names = (enum metrics_names)i;
}

static void metrics_ms_parse(char *arg, struct argp_state *state)
{
	char *dash = strchr(arg, '-');

	if (dash == NULL) {
		argp_error(state, "'%s' is not LOW-HIGH", arg);
		return;
	}
	*dash = '\0';
	api.metrics_ms_low = number_parse(arg, 0, 60000, state);
	api.metrics_ms_high = number_parse(dash + 1, api.metrics_ms_low, 60000, state);
}

/* The switches that make the engine like a real one in what it shows. */
static error_t likeness_parse(int key, char *arg, struct argp_state *state)
{
	struct sim_options *o = &api.sim.options;

	switch (key) {
	case KEY_STEP_END:
		o->gauges_at_step_end = true;
		return 0;
	case KEY_POOLING:
		o->pooling = true;
		return 0;
	case KEY_LORAS:
		loras_parse(arg, state);
		return 0;
	case KEY_MAX_LORAS:
		o->max_loras = (unsigned)number_parse(arg, 0, METRICS_LORAS_MAX, state);
		return 0;
	case KEY_ENGINES:
		o->engines = (unsigned)number_parse(arg, 1, METRICS_ENGINES_MAX, state);
		return 0;
	case KEY_METRICS_MS:
		metrics_ms_parse(arg, state);
		return 0;
	case KEY_MAX_QUEUED:
		o->max_queued = (size_t)number_parse(arg, 0, 1e9, state);
		return 0;
	case KEY_PREEMPT:
		o->preempt = true;
		return 0;
	case KEY_NAMES:
		names_parse(arg, state);
		return 0;
	case KEY_SLOT_CACHE:
		o->slot_cache = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct sim_options *o = &api.sim.options;

	switch (key) {
	case KEY_PORT:
		api.http.port = (uint16_t)number_parse(arg, 0, PORT_MAX, state);
		return 0;
	case KEY_MODEL:
		api.metrics.models[0] = arg;
		return 0;
	case KEY_SLOTS:
		o->slots = (unsigned)number_parse(arg, 1, SLOTS_MAX, state);
		return 0;
	case KEY_STEP:
		o->step_us = number_parse(arg, 0, 1e9, state);
		return 0;
	case KEY_SEQ:
		o->seq_us = number_parse(arg, 0, 1e9, state);
		return 0;
	case KEY_PREFILL:
		o->prefill_us = number_parse(arg, 0, 1e9, state);
		return 0;
	case KEY_BUDGET:
		o->budget = (uint64_t)number_parse(arg, 1, 1e9, state);
		return 0;
	case KEY_CACHE:
		o->cache_tokens = (uint64_t)number_parse(arg, 0, 1e12, state);
		return 0;
	case KEY_KV:
		o->kv_tokens = (uint64_t)number_parse(arg, 0, 1e12, state);
		return 0;
	case KEY_PRIORITY:
		o->priority = true;
		return 0;
	case KEY_NO_METRICS:
		api.no_metrics = true;
		return 0;
	case KEY_REFUSE:
		api.refuse = number_parse(arg, 0, 1, state);
		return 0;
	case KEY_SLOW_EVERY:
		o->slow_every = (uint64_t)number_parse(arg, 0, 1e9, state);
		return 0;
	case KEY_SLOW_FACTOR:
		o->slow_factor = number_parse(arg, 1, 1e6, state);
		return 0;
	case KEY_SLOW_SPREAD:
		o->slow_spread = true;
		return 0;
	case KEY_SEED:
		api.random = (uint64_t)number_parse(arg, 0, 1e15, state);
		return 0;
	default:
		return likeness_parse(key, arg, state);
	}
}

/* SIGTERM comes while the loop waits, at no other time: none is missed. */
static void signals_set(sigset_t *ret_waiting)
{
	struct sigaction stop = { .sa_handler = on_stop };
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, ret_waiting);
	sigdelset(ret_waiting, SIGTERM);
	sigdelset(ret_waiting, SIGINT);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void limits_set(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* else a step ends 50 us late */
}

int main(int argc, char **argv)
{
	const struct argp argp = { known, option_parse,
				   NULL,  "A simulated LLM engine with continuous batching.",
				   NULL,  NULL,
				   NULL };
	sigset_t waiting;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	signals_set(&waiting);
	limits_set();
	api_open(&api);
	printf("http://127.0.0.1:%u/v1\n", api.http.port);
	fflush(stdout);
	while (!stopped) {
		int64_t due_ns = api_turn(&api);

		http_turn(&api.http, due_ns == NEVER_NS ? NEVER_NS : due_ns - now_ns(), &waiting);
	}
	api_close(&api);
	return 0;
}
