/* prompt_cache.h: the prefix cache of an upstream's engine: whether its slots share it, and whether
 * lines find in it what the order of sending lets one expect.
 *
 * Where they find far less, all ways to send are measured for an interval each, in turn: the usual
 * one, fewer prefixes open at once, and, where nobody has said of what kind the cache is, the other
 * kind. Another way is kept if its share of cached prompt tokens is clearly larger than the usual
 * one's. What was found is the engine's own counters, or else what answers say
 * (usage.prompt_tokens_details.cached_tokens).
 *
 * Pure. Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "batch/batch.h"
#include "schedule/schedule.h"
#include "upstream/gauges.h"

#define CACHE_WAYS 5u

/* Zeroed at first. */
struct prompt_cache {
	enum gauges_kind engine; /* as it was told last */
	unsigned way;            /* see ways[] in prompt_cache.c; 0: no other was tried */
	bool searches;
	double looked_for;        /* the share that was expected when the search began */
	double share[CACHE_WAYS]; /* of prompt tokens that were cached, of those tried so far */
	uint64_t again_ms;        /* after a search, no other before this */

	/* of the interval */
	uint64_t since_ms, lines, online;
	double expected, estimated; /* tokens, as struct schedule_line has them */
	double prompt, cached;      /* tokens, as answers say */
	double queries, hits;       /* the counters at its beginning */
	bool answers_tell;          /* some answer has said that tokens were cached */
};

/* What is known of the upstream at the moment. */
struct prompt_cache_view {
	enum gauges_kind engine; /* upstream_engine() */
	double queries, hits;    /* the engine's counters, in tokens; < 0: not told */
	uint64_t online;         /* online requests sent there, ever */
	unsigned in_flight;      /* lines */
	uint64_t now_ms;
};

/* What a search has found. */
struct prompt_cache_news {
	double expected, found_before, found; /* shares of prompt tokens */
	enum schedule_cache cache;
	unsigned prefixes; /* SCHEDULE_PREFIXES_ANY: as many as fill the slots */
};

/* Where nobody has said otherwise, the slots share a cache: that is so for vLLM, SGLang,
 * TensorRT-LLM and for services. What llama.cpp loses by the mistake is a prefix computed once a
 * slot; what a shared cache loses by the other one is nearly all that it could save. */
enum schedule_cache prompt_cache_kind(const struct prompt_cache *c, enum gauges_kind engine);
/* Prefixes that may be open at once. */
unsigned prompt_cache_prefixes(const struct prompt_cache *c);

/* A line was answered with these tokens. */
void prompt_cache_learn(struct prompt_cache *c, const struct schedule_line *l,
			const struct usage *tokens);
/* To be called about once a second. True: a search has ended; for the log. */
bool prompt_cache_tick(struct prompt_cache *c, const struct prompt_cache_view *v,
		       struct prompt_cache_news *ret);
