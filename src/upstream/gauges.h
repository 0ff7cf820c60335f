/* gauges.h: what an engine says of itself, read from its Prometheus text; and how many slots it
 * has, from what else it answers.
 *
 *	waiting      vllm:num_requests_waiting, sglang:num_queue_reqs, llamacpp:requests_deferred
 *	running      vllm:num_requests_running, sglang:num_running_reqs,
 *	             llamacpp:requests_processing
 *	deferred     vllm:num_requests_waiting_by_reason{reason="deferred"}
 *	cache, 0..1  vllm:kv_cache_usage_perc (older: gpu_cache_usage_perc), sglang:token_usage,
 *	             llamacpp:kv_cache_usage_ratio (builds of today: none)
 *	preemptions  vllm:num_preemptions_total, sglang:num_retracted_requests_total
 *	prefix       vllm:prefix_cache_queries_total, prefix_cache_hits_total;
 *	queries,     sglang:prompt_tokens_total, cached_tokens_total;
 *	hits         llamacpp:prompt_tokens_total, which are those that it read, with
 *	             prompt_tokens_cached_total (older builds: none): queries are their sum
 *	output       vllm:generation_tokens_total, sglang:generation_tokens_total,
 *	             llamacpp:tokens_predicted_total
 *	slots        SGLang: GET /server_info (older: /get_server_info), llama.cpp: GET /props
 *
 * Series of several models, or of several engines behind one address, are added up (the cache's
 * use: the largest counts), and so are series of the same labels. SGLang repeats itself, and what
 * it repeats is left out: with priorities there is a series of each beside the total (label
 * `priority` not empty), each stage of a pipeline prints the same counts (`pp_rank` not 0), and if
 * it was told so, each tensor rank (`tp_rank` not 0; where there is a `dp_rank`, ranks are engines
 * of their own and count). SGLang's num_retracted_reqs is of the last step alone, and no counter.
 *
 * vLLM of several API servers prints HELP and TYPE of a gauge before its first request, and no
 * sample: where neither count has one, and both have a TYPE, the engine is idle.
 *
 * A gateway that prints both counts of each server behind it (label `server`) is added up like
 * engines behind one address: that is right where it stands before all of them. The router of
 * vLLM's production stack prints its own count of what is in flight as num_requests_running, and
 * never a sample of num_requests_waiting: what waits in its engines would count as running. That is
 * one count of two, and so no reading.
 *
 * Pure. */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

enum gauges_kind { GAUGES_AUTO, GAUGES_NONE, GAUGES_VLLM, GAUGES_SGLANG, GAUGES_LLAMACPP };
/* "auto", "none", "vllm", "sglang", "llamacpp", NULL: in the order of the enum, for the
 * settings. */
extern const char *const gauges_kind_words[];

#define GAUGES_REQUESTS_MAX 1e6 /* no engine holds more */

/* Counters grow from the engine's start and begin again at 0 when it is restarted. */
struct gauges {
	enum gauges_kind kind; /* that the text is of */
	double waiting, running;
	double deferred; /* of `waiting`: those that wait for something of their own; 0: not told */
	double cache;    /* < 0: not told */
	double preemptions;                 /* counter; < 0: not told */
	double prefix_queries, prefix_hits; /* counters, in tokens; < 0: not told */
	double output_tokens;               /* counter; < 0: not told */
	double slots; /* requests that run at once at most; < 0: not told (gauges_read(): never) */
};

/* Reads `text`, of any bytes. `kind` GAUGES_AUTO: the first of the three that the text holds.
 * False: the two request counts of that kind are not in it, or one of them is what no engine has:
 * over GAUGES_REQUESTS_MAX, negative, not finite. Then *ret_why says so, for people; static.
 * A line that cannot be read is as if it were not there, and so is a value out of range of a series
 * that is no request count. */
bool gauges_read(struct slice text, enum gauges_kind kind, struct gauges *ret,
		 const char **ret_why);
/* Reads the answer, JSON, of SGLang's /server_info or llama.cpp's /props: how many requests run at
 * once at most. 0: it does not say. */
unsigned gauges_slots_read(struct slice text, enum gauges_kind kind);
