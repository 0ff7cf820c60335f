/* gauges.h: what an engine says of its own load, read from its Prometheus text.
 *
 *	kind, prefix  waiting               running               KV cache in use, 0..1
 *	vllm:         num_requests_waiting  num_requests_running  kv_cache_usage_perc
 *	                                                          (older: gpu_cache_usage_perc)
 *	sglang:       num_queue_reqs        num_running_reqs      token_usage
 *	llamacpp:     requests_deferred     requests_processing   kv_cache_usage_ratio
 *	                                                          (builds of today: none)
 *
 * Series of several models, or of several engines behind one address, are added up (the cache's
 * use: the largest counts). SGLang repeats itself, and what it repeats is left out: with priorities
 * there is a series of each beside the total (label `priority` not empty), each stage of a pipeline
 * prints the same counts (`pp_rank` not 0), and if it was told so, each tensor rank (`tp_rank` not
 * 0; where there is a `dp_rank`, ranks are engines of their own and count). Pure. */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

enum gauges_kind { GAUGES_AUTO, GAUGES_NONE, GAUGES_VLLM, GAUGES_SGLANG, GAUGES_LLAMACPP };
/* "auto", "none", "vllm", "sglang", "llamacpp", NULL: in the order of the enum, for the
 * settings. */
extern const char *const gauges_kind_words[];

struct gauges {
	enum gauges_kind kind; /* that the text is of */
	double waiting, running;
	double cache; /* < 0: not told */
};

/* Reads `text`, of any bytes. `kind` GAUGES_AUTO: the one of the three that the text holds. False
 * when the two request counts of that kind are not in it. A series whose value is no finite number
 * from 0 up (of the cache: up to 1) is as if it were not there. */
bool gauges_read(struct slice text, enum gauges_kind kind, struct gauges *ret);
