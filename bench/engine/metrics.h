/* metrics.h: the Prometheus text that the simulated engine shows, with the names of vLLM, SGLang or
 * llama.cpp, and with lies where a test wants them. Pure. */
#pragma once

#include "base/buf.h"
#include "engine.h"

#define METRICS_LORAS_MAX 64u
#define METRICS_ENGINES_MAX 64u

enum metrics_names { METRICS_VLLM, METRICS_SGLANG, METRICS_LLAMACPP };
extern const char *const metrics_names_words[]; /* in the order of the enum; NULL at the end */

enum metrics_lie {
	METRICS_TRUE,
	METRICS_CONSTANT, /* 4 running, none waiting, for ever */
	METRICS_ZERO,
	METRICS_HUGE, /* 10^18 */
	METRICS_NEGATIVE,
	METRICS_OTHER,  /* those of another engine, full and queueing, that knows nothing of ours */
	METRICS_KIND,   /* true, but with other names for ten polls of each twenty */
	METRICS_FROZEN, /* as they were when that was said */
	METRICS_TURNS,  /* of several engines one, in turns: as behind a balancer */
};
extern const char *const metrics_lie_words[]; /* "none", ... */

struct metrics {
	enum metrics_names names;
	enum metrics_lie lie;
	const char *models[METRICS_LORAS_MAX + 1]; /* the first, and the adapters' */
	unsigned n_models;
	unsigned polls;
	uint64_t random; /* for the other engine */
	double other_running, other_waiting;
	struct sim_gauges frozen[METRICS_ENGINES_MAX];
	bool has_frozen;
};

/* Appends the text as of now. */
void metrics_write(struct metrics *m, const struct sim *s, struct buf *to);
