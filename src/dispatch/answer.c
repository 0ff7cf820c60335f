/* answer.c: see answer.h. */
#include "dispatch/answer.h"

#include <string.h>

#define BACKOFF_BASE_MS 500u
#define BACKOFF_CAP_MS 30000u

#define LOOK_BYTES 1024u /* from either end of an answer, for its token counts */

static struct answer_decision decide_status(long status, int64_t retry_after_s)
{
	struct answer_decision d = { .verdict = ANSWER_FINAL, .fault = OUTCOME_ANSWERED };
	if (status == 408 || status == 409 || status == 425 || status == 429 || status >= 500)
		d.verdict = ANSWER_RETRY;
	d.refused = status == 429 || (status == 503 && retry_after_s > 0);
	/* What gateways and engines that are starting or gone answer. A 500 is the line's own. */
	d.upstream_suspect = status >= 502 && status <= 504 && !d.refused;
	return d;
}

struct answer_decision answer_decide(CURLcode code, long http_status, bool connected,
				     bool too_large, int64_t retry_after_s)
{
	if (too_large)
		return (struct answer_decision){
			.verdict = ANSWER_FINAL,
			.fault = OUTCOME_INVALID,
			.message = "The upstream's answer is larger than the limit.",
		};
	if (code == CURLE_OK)
		return decide_status(http_status, retry_after_s);
	if (!connected)
		return (struct answer_decision){
			.verdict = ANSWER_NOT_SENT,
			.fault = OUTCOME_UPSTREAM,
		};
	/* A request that breaks its connection may be one that kills the engine: it spends attempts. If
	 * line after line does, it is the upstream. */
	return (struct answer_decision){
		.verdict = ANSWER_RETRY,
		.fault = code == CURLE_OPERATION_TIMEDOUT ? OUTCOME_TIMEOUT : OUTCOME_UPSTREAM,
		.broken = true,
	};
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

/* The number behind the last `"NAME":` of `text`; false: there is none. */
static bool count_find(struct slice text, struct slice name, uint64_t *ret)
{
	const char *at = NULL, *end = text.p + text.n;

	for (const char *p = text.p; (p = memmem(p, (size_t)(end - p), name.p, name.n)) != NULL;
	     p += name.n)
		at = p + name.n;
	if (at == NULL)
		return false;
	while (at < end && (*at == ' ' || *at == ':' || *at == '\t'))
		at++;
	uint64_t n = 0;
	const char *digits = at;
	for (; at < end && *at >= '0' && *at <= '9' && n < UINT32_MAX; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	*ret = n;
	return at > digits;
}

static bool tokens_in(struct slice part, struct answer_tokens *ret)
{
	bool prompt = count_find(part, SLICE("\"prompt_tokens\""), &ret->prompt) ||
		      count_find(part, SLICE("\"input_tokens\""), &ret->prompt);
	bool output = count_find(part, SLICE("\"completion_tokens\""), &ret->output) ||
		      count_find(part, SLICE("\"output_tokens\""), &ret->output);
	return prompt || output;
}

void answer_tokens_find(struct slice body, struct answer_tokens *ret)
{
	*ret = (struct answer_tokens){ 0 };
	size_t n = body.n < LOOK_BYTES ? body.n : LOOK_BYTES;
	if (n == 0 || tokens_in((struct slice){ body.p + body.n - n, n }, ret))
		return;
	(void)tokens_in((struct slice){ body.p, n }, ret);
}
