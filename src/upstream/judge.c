/* judge.c: words and codes of known services, then the status, decide whose fault an end is. */
#include "upstream/judge.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/attr.h"

/* Codes by which services say "too many", whatever the status: AWS's, Google's, Azure's,
 * OpenAI's. */
static const char *const throttling[] = {
	"ThrottlingException",
	"Throttling",
	"ThrottledException",
	"TooManyRequestsException",
	"RequestLimitExceeded",
	"TooManyRequests",
	"RESOURCE_EXHAUSTED",
	"rate_limit_exceeded",
	"rate_limit_error",
	"rate_limit_reached_error",
	"engine_overloaded_error",
	"overloaded_error",
	NULL,
};

/* Codes by which they say "pay". */
static const char *const quota[] = {
	"insufficient_quota",
	"exceeded_current_quota_error",
	"billing_hard_limit_reached",
	"insufficient_balance",
	NULL,
};

/* What a server of bounded queue says when the queue is full, with 503 and no time to wait: vLLM's
 * (--max-num-queued-reqs), SGLang's (--max-queued-requests), Triton's, Google's and OpenAI's words.
 * One that is starting or broken says none of these. */
static const char *const full_words[] = {
	"currently busy",
	"queue is full",
	"maximum queue size",
	"overloaded",
};

static bool says_full(const struct attempt_end *e)
{
	char said[256];

	answer_message(e->body, said, sizeof(said));
	for (size_t i = 0; i < ARRAY_LEN(full_words); i++)
		if (strcasestr(said, full_words[i]) != NULL)
			return true;
	return false;
}

static bool error_is(const struct attempt_end *e, const char *const *words)
{
	/* "ThrottlingException:http://…" */
	const char *colon = e->error_type.n > 0 ? memchr(e->error_type.p, ':', e->error_type.n)
						: NULL;
	size_t n = colon != NULL ? (size_t)(colon - e->error_type.p) : e->error_type.n;

	for (const char *const *w = words; n > 0 && *w != NULL; w++)
		if (strlen(*w) == n && strncasecmp(*w, e->error_type.p, n) == 0)
			return true;
	return answer_code_is(e->body, words);
}

/* A page for people: a proxy's, or another server's. */
static bool is_page(const struct attempt_end *e)
{
	struct slice body = answer_text(e->body);
	size_t i = 0;

	if (e->content_type.n >= 9 && strncasecmp(e->content_type.p, "text/html", 9) == 0)
		return true;
	while (i < body.n && strchr(" \t\r\n", body.p[i]) != NULL && body.p[i] != '\0')
		i++;
	return i < body.n && body.p[i] == '<';
}

static struct judgement judge_success(const struct attempt_end *e, bool been_well)
{
	struct judgement j = { .blame = BLAME_NOBODY, .fault = OUTCOME_ANSWERED };

	if (e->facts == NULL || e->facts->fault == ANSWER_GOOD)
		return j;
	j.blame = e->facts->json || been_well || !is_page(e) ? BLAME_SERVER : BLAME_PATH;
	j.fault = OUTCOME_INVALID;
	j.message = answer_fault_words(e->facts->fault);
	return j;
}

static enum blame blame_status(const struct attempt_end *e, bool been_well)
{
	int status = e->status;

	if (status == 401 || status == 402 || status == 403 || status == 407)
		return status == 403 && error_is(e, throttling) ? BLAME_THROTTLED : BLAME_OPERATOR;
	if (error_is(e, quota))
		return BLAME_OPERATOR;
	if (status == 429)
		return BLAME_THROTTLED;
	if (status == 503 || status == 529)
		return e->wait_ms > 0 || says_full(e) ? BLAME_THROTTLED : BLAME_BUSY;
	if (error_is(e, throttling))
		return BLAME_THROTTLED;
	if (status >= 500 || status == 408 || status == 409 || status == 425)
		return BLAME_SERVER;
	bool elsewhere = status < 400 || status == 404 || status == 405 || is_page(e);
	return elsewhere && !been_well ? BLAME_PATH : BLAME_LINE;
}

struct judgement attempt_judge(const struct attempt_end *e, bool been_well)
{
	switch (e->how) {
	case EXCHANGE_WHOLE:
		break;
	case EXCHANGE_UNREACHABLE:
		return (struct judgement){ .blame = BLAME_UNREACHABLE, .fault = OUTCOME_UPSTREAM };
	case EXCHANGE_CERTIFICATE:
	case EXCHANGE_PROXY:
		return (struct judgement){ .blame = BLAME_OPERATOR, .fault = OUTCOME_UPSTREAM };
	case EXCHANGE_BROKEN:
	case EXCHANGE_MALFORMED:
		return (struct judgement){ .blame = BLAME_SERVER, .fault = OUTCOME_UPSTREAM };
	case EXCHANGE_STALE:
		return (struct judgement){ .blame = BLAME_SERVER,
					   .retry_at_once = true,
					   .fault = OUTCOME_UPSTREAM };
	case EXCHANGE_TIMEOUT:
		return (struct judgement){ .blame = BLAME_SERVER, .fault = OUTCOME_TIMEOUT };
	case EXCHANGE_UNPROCESSED:
		return (struct judgement){ .blame = BLAME_THROTTLED, .fault = OUTCOME_UPSTREAM };
	case EXCHANGE_CODED:
		return (struct judgement){
			.blame = BLAME_SERVER,
			.fault = OUTCOME_INVALID,
			.message = "The upstream's answer has a content coding that was not asked "
				   "for and cannot be read",
		};
	case EXCHANGE_TOO_LARGE:
		return (struct judgement){
			.blame = BLAME_LINE,
			.fault = OUTCOME_INVALID,
			.message = "The upstream's answer is larger than the limit "
				   "(execution.response_bytes)",
		};
	}
	if (e->status >= 200 && e->status < 300)
		return judge_success(e, been_well);
	return (struct judgement){ .blame = blame_status(e, been_well), .fault = OUTCOME_ANSWERED };
}

bool blame_is_well(enum blame blame)
{
	return blame == BLAME_NOBODY || blame == BLAME_LINE;
}

static void blot(char *text, const char *secret)
{
	size_t n = secret != NULL ? strlen(secret) : 0;

	for (char *p = text; n > 0 && (p = strstr(p, secret)) != NULL; p += n)
		memset(p, '*', n);
}

void attempt_words(const struct attempt_end *e, const char *secret, char *to, size_t size)
{
	char said[256];
	const char *detail = e->detail != NULL ? e->detail : "";
	const char *by_way = e->by_way != NULL ? e->by_way : "";

	if (e->how != EXCHANGE_WHOLE) {
		snprintf(to, size, "%s%s", by_way,
			 detail[0] != '\0'            ? detail
			 : e->how == EXCHANGE_TIMEOUT ? "no answer in time"
						      : "the connection broke");
		blot(to, secret);
		return;
	}
	if (is_page(e))
		snprintf(said, sizeof(said), "a page (HTML), where JSON was expected");
	else
		answer_message(e->body, said, sizeof(said));
	const char *what = e->facts != NULL ? answer_fault_words(e->facts->fault) : NULL;
	snprintf(to, size, "%sHTTP %d%s%s%s%s", by_way, e->status, what != NULL ? ": " : "",
		 what != NULL ? what : "", said[0] != '\0' ? ": " : "", said);
	blot(to, secret);
}
