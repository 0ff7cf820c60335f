/* answer.h: what to do with one attempt's end: pure decisions (contract 8.2, "retried"). */
#pragma once

#include <curl/curl.h>
#include <stdint.h>

#include "batch/outcome.h"

enum answer_verdict {
	ANSWER_FINAL,   /* the line has ended; `fault` says whether with an HTTP answer */
	ANSWER_RETRY,   /* again, if attempts are left; else it ends with `fault` */
	ANSWER_NOT_SENT /* the upstream was not reached: again, and no attempt is spent */
};

struct answer_decision {
	enum answer_verdict verdict;
	enum outcome_fault fault;
	const char *message; /* static, or NULL: the fault's own */
	/* It speaks for the upstream and not for the line: enough of these in a row and the upstream
	 * counts as down. */
	bool upstream_suspect;
	bool slow_down; /* 429 or 503: obey Retry-After for the whole upstream */
};

/* `code` and `http_status` as libcurl gives them; `connected`: the request went out; `too_large`: the
 * answer went over the limit. */
struct answer_decision answer_decide(CURLcode code, long http_status, bool connected,
				     bool too_large);

/* How long to wait before attempt `attempt` + 1 (`attempt` from 1): full jitter over an exponential
 * backoff, never less than what Retry-After asked for. `random` is uniform over 32 bits;
 * `retry_after_s` <= 0: none. */
uint64_t answer_backoff_ms(uint32_t attempt, int64_t retry_after_s, uint32_t random);

#define RETRY_AFTER_MAX_S 60
