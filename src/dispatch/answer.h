/* answer.h: what to do with one attempt's end: pure decisions (contract 8.2, "retried"). */
#pragma once

#include <curl/curl.h>
#include <stdint.h>

#include "batch/outcome.h"
#include "upstream/health.h" /* RETRY_AFTER_MAX_S */

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
	bool broken;  /* so does this, but less: the connection broke, or nothing came in time */
	bool refused; /* 429, or 503 with Retry-After: the upstream lives and wants a pause */
};

/* `code` and `http_status` as libcurl gives them; `connected`: the request went out; `too_large`: the
 * answer went over the limit; `retry_after_s` <= 0: none. */
struct answer_decision answer_decide(CURLcode code, long http_status, bool connected,
				     bool too_large, int64_t retry_after_s);

/* Tokens that an answer says it took, looked for near its end and its beginning: good enough for
 * shares and speeds, and cheap. What is counted for the client is read by batch/outcome.h. */
struct answer_tokens {
	uint64_t prompt, output; /* 0: not found */
};
void answer_tokens_find(struct slice body, struct answer_tokens *ret);

/* How long to wait before attempt `attempt` + 1 (`attempt` from 1): full jitter over an exponential
 * backoff, never less than what Retry-After asked for. `random` is uniform over 32 bits;
 * `retry_after_s` <= 0: none. */
uint64_t answer_backoff_ms(uint32_t attempt, int64_t retry_after_s, uint32_t random);
