/* An upstream's answer: the head as libcurl hands it over, line by line, and the counts in its body.
 * What the client is told lies in the head, none of it goes out as more than one header, and what was
 * found in a body is the same wherever the body ends in memory. */
// NOLINTNEXTLINE(bugprone-suspicious-include): its statics are what is tested
#include "../../src/dispatch/online.c"

#include "base/log.h"
#include "batch/answer.h"
#include "dispatch/wait.h"
#include "fuzz.h"
#include "http/server.h"

static const struct online_call *at_hand;
static unsigned heads;
static uint64_t length; /* the last one told */

static bool is_inside(struct slice part, const struct buf *head)
{
	return part.n == 0 || (part.p >= head->p && part.p + part.n <= head->p + head->n);
}

/* As api/online.c does with it. */
static void on_head(void *ctx, const struct online_head *h)
{
	struct http_response r;
	size_t passed = 0;

	(void)ctx;
	heads++;
	length = h->length;
	PROMISE(h->header_count <= HEADERS_MAX);
	http_response_init(&r);
	for (size_t i = 0; i < h->header_count; i++) {
		struct slice name = h->headers[i].name, value = h->headers[i].value;
		size_t before = r.passed.n;
		PROMISE(is_inside(name, &at_hand->head) && is_inside(value, &at_hand->head));
		http_pass_header(&r, name, value);
		PROMISE(r.passed.n == before || r.passed.n == before + name.n + value.n + 2);
		passed += r.passed.n > before;
	}
	size_t texts = 0;
	for (size_t i = 0; i < r.passed.n; i++) {
		texts += r.passed.p[i] == '\0';
		PROMISE(r.passed.p[i] != '\n' && r.passed.p[i] != '\r');
	}
	PROMISE(texts == 2 * passed);
	http_response_done(&r);
}

static void head_of(const uint8_t *data, size_t size)
{
	static const struct online_ops ops = { .head = on_head };
	static struct upstream upstream;
	struct online online = { .ops = &ops };
	struct online_call call = { .online = &online, .head = BUF(HEAD_MAX) };
	char *copy = malloc(size + 1);

	PROMISE(copy != NULL);
	memcpy(copy, data, size);
	upstream.config.name = (char *)"fuzz";
	call.transfer.upstream = &upstream;
	at_hand = &call;
	heads = 0;
	for (size_t at = 0, n; at < size; at += n) {
		const char *lf = memchr(copy + at, '\n', size - at);
		n = lf != NULL ? (size_t)(lf + 1 - (copy + at)) : size - at;
		PROMISE(on_header(copy + at, 1, n, &call) == n);
	}
	PROMISE(heads == 0); /* libcurl has said nothing of a status yet */
	/* Nothing behind its end counts. */
	uint64_t lengths[2] = { UINT64_MAX, UINT64_MAX };
	for (int i = 0; i < 2 && buf_reserve(&call.head, 2); i++) {
		memcpy(call.head.p + call.head.n, i == 0 ? "7\n" : "x\n", 2);
		(void)head_tell(&call, 200);
		lengths[i] = length;
	}
	PROMISE(heads == 0 || lengths[0] == lengths[1]);
	buf_free(&call.head);
	free(copy);
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
