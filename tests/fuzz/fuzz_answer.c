/* An upstream's answer: its head, and the counts in its body. What the client is told lies in the
 * head, none of it goes out as more than one header, and what was found is the same wherever head
 * and body end in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "batch/answer.h"
#include "client/headers.h"
#include "dispatch/wait.h"
#include "fuzz.h"
#include "http/server.h"

static bool is_inside(struct slice part, struct slice head)
{
	return part.n == 0 || (part.p >= head.p && part.p + part.n <= head.p + head.n);
}

/* As api/online.c does with it. */
static void head_pass_on(const struct exchange_head *h, struct slice head)
{
	struct http_response r;
	size_t passed = 0;

	PROMISE(h->header_count <= HEAD_HEADERS_MAX);
	http_response_init(&r);
	for (size_t i = 0; i < h->header_count; i++) {
		struct slice name = h->headers[i].name, value = h->headers[i].value;
		size_t before = r.fields.n;
		PROMISE(is_inside(name, head) && is_inside(value, head));
		if (!header_is_end_to_end(h->headers, h->header_count, name))
			continue;
		http_pass_header(&r, name, value);
		PROMISE(r.fields.n == before || r.fields.n == before + name.n + value.n + 4);
		passed += r.fields.n > before;
	}
	size_t ends = 0;
	for (size_t i = 0; i < r.fields.n; i++) {
		const char *at = r.fields.p + i;
		ends += *at == '\n';
		PROMISE(*at != '\0' && (*at != '\n' || at[-1] == '\r'));
		PROMISE(*at != '\r' || at[1] == '\n');
	}
	PROMISE(ends == passed && r.fields.n == r.passed_n);
	http_response_done(&r);
}

static void head_of(const uint8_t *data, size_t size)
{
	struct header headers[HEAD_HEADERS_MAX];
	struct exchange_head heads[2] = { 0 };
	const char *why[2];
	char *longer = malloc(size + 1);

	PROMISE(longer != NULL);
	memcpy(longer, data, size);
	for (int i = 0; i < 2; i++) { /* nothing behind its end counts */
		longer[size] = i == 0 ? '7' : '\n';
		why[i] = head_read((struct slice){ longer, size }, headers, &heads[i]);
	}
	PROMISE(why[0] == why[1] && heads[0].length == heads[1].length &&
		heads[0].header_count == heads[1].header_count);
	if (why[0] == NULL)
		head_pass_on(&heads[1], (struct slice){ longer, size });
	free(longer);
}

static void body_of(const uint8_t *data, size_t size)
{
	struct slice body = { (const char *)data, size };
	struct usage tokens, again;
	struct answer_facts facts;
	char message[64];

	answer_tokens_find(body, &tokens);
	char *longer = malloc(size + 1); /* a digit behind the body is not of it */
	PROMISE(longer != NULL);
	memcpy(longer, data, size);
	longer[size] = '7';
	answer_tokens_find((struct slice){ longer, size }, &again);
	PROMISE(tokens.input == again.input && tokens.output == again.output);
	free(longer);
	answer_scan(body, &facts);
	if (!facts.json)
		PROMISE(facts.fault != ANSWER_GOOD && facts.usage.total == 0 &&
			facts.usage.input == 0 && facts.usage.output == 0);
	static const char *const codes[] = { "x", NULL };
	(void)answer_code_is(body, codes);
	answer_message(body, message, sizeof(message));
	PROMISE(strlen(message) < sizeof(message));
	/* The same bytes as a header's value. */
	struct wait_headers h = { .retry_after = body,
				  .retry_after_ms = body,
				  .reset_tokens = body };
	PROMISE(wait_read_ms(&h, 1787176071) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	log_set_level(LOG_OFF);
	head_of(data, size);
	body_of(data, size);
	return 0;
}
