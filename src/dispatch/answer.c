/* answer.c: see answer.h. */
#include "dispatch/answer.h"

#define BACKOFF_BASE_MS 500u
#define BACKOFF_CAP_MS 30000u

static struct answer_decision decide_status(long status)
{
	struct answer_decision d = { .verdict = ANSWER_FINAL, .fault = OUTCOME_ANSWERED };
	if (status == 408 || status == 409 || status == 425 || status == 429 || status >= 500)
		d.verdict = ANSWER_RETRY;
	/* What gateways and engines that are starting or gone answer. A 500 is the line's own. */
	d.upstream_suspect = status >= 502 && status <= 504;
	d.slow_down = status == 429 || status == 503;
	return d;
}

struct answer_decision answer_decide(CURLcode code, long http_status, bool connected,
				     bool too_large)
{
	if (too_large)
		return (struct answer_decision){
			.verdict = ANSWER_FINAL,
			.fault = OUTCOME_INVALID,
			.message = "The upstream's answer is larger than the limit.",
		};
	if (code == CURLE_OK)
		return decide_status(http_status);
	if (!connected)
		return (struct answer_decision){
			.verdict = ANSWER_NOT_SENT,
			.fault = OUTCOME_UPSTREAM,
		};
	if (code == CURLE_OPERATION_TIMEDOUT)
		return (struct answer_decision){ .verdict = ANSWER_RETRY,
						 .fault = OUTCOME_TIMEOUT };
	/* A request that breaks its connection may be one that kills the engine: it spends attempts. */
	return (struct answer_decision){ .verdict = ANSWER_RETRY, .fault = OUTCOME_UPSTREAM };
}

uint64_t answer_backoff_ms(uint32_t attempt, int64_t retry_after_s, uint32_t random)
{
	uint64_t ceiling = BACKOFF_CAP_MS;
	if (attempt < 8 && (BACKOFF_BASE_MS << (attempt - 1)) < BACKOFF_CAP_MS)
		ceiling = BACKOFF_BASE_MS << (attempt - 1);
	uint64_t wait = ceiling * random >> 32;
	if (retry_after_s > RETRY_AFTER_MAX_S)
		retry_after_s = RETRY_AFTER_MAX_S;
	if (retry_after_s > 0 && wait < (uint64_t)retry_after_s * 1000)
		/* a little behind the moment asked for, so that not all come back in one instant */
		wait = (uint64_t)retry_after_s * 1000 + (wait >> 3);
	return wait;
}
