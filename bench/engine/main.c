/* main.c: a simulated LLM engine behind an OpenAI-compatible API, for `make bench-scheduling`: it
 * takes the time of a real one and computes nothing.
 *
 *	POST /v1/chat/completions, /v1/completions   streaming or not
 *	GET  /v1/models, /health
 *	GET  /metrics   Prometheus text with vLLM's names; 404 with --no-metrics
 *	GET  /stats     {"now_s", "requests", "finished", "refused", "cancelled", "running", "waiting",
 *	                "running_seconds", "waiting_seconds", "busy_seconds", "prefill_tokens",
 *	                "cached_tokens", "output_tokens", "steps", "paused_requests",
 *	                "down_requests", "first_after_down_s"}
 *	POST /control   {"down_s": S} resets all connections and refuses new ones for so long;
 *	                {"refuse": SHARE} as --refuse
 *
 * How long things take is in engine.h. A token is 4 bytes of the raw `messages`, `prompt` or
 * `input`. A run with one seed and the same arrivals answers the same. One thread, one epoll loop.
 * Prints its base URL on the first line, then nothing. Ends on SIGTERM and SIGINT. */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "api.h"

#define SLOTS_MAX 65536
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
};

static const struct argp_option known[] = {
	{ "port", KEY_PORT, "PORT", 0, "Listen on 127.0.0.1:PORT (default 0: any free one)", 0 },
	{ "model", KEY_MODEL, "NAME", 0, "The one model (default sim)", 0 },
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
	{ "seed", KEY_SEED, "N", 0, "Of what is random (default 1)", 0 },
	{ 0 },
};

static struct api api = {
	.model = "sim",
	.random = 1,
	.engine.options = { .slots = 64,
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

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct engine_options *o = &api.engine.options;

	switch (key) {
	case KEY_PORT:
		api.http.port = (uint16_t)number_parse(arg, 0, PORT_MAX, state);
		return 0;
	case KEY_MODEL:
		api.model = arg;
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
		return ARGP_ERR_UNKNOWN;
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
		int64_t due_ns = engine_run(&api.engine, now_ns());

		if (api.up_at_ns < due_ns)
			due_ns = api.up_at_ns;
		http_turn(&api.http, due_ns == NEVER_NS ? NEVER_NS : due_ns - now_ns(), &waiting);
		api_turn(&api);
	}
	api_close(&api);
	return 0;
}
