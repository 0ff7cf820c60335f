/* test_judge.c: whose fault an answer is: the table of contract 8.3, row by row. */
#include "unit.h"

#include "upstream/judge.h"

static struct judgement judge(int status, const char *body, bool been_well)
{
	struct answer_facts facts;
	struct attempt_end e = { .status = status, .body = slice_of(body) };
	if (status >= 200 && status < 300) {
		answer_scan(e.body, &facts);
		e.facts = &facts;
	}
	return attempt_judge(&e, been_well);
}

static void expect(int status, const char *body, bool been_well, enum blame blame)
{
	struct judgement j = judge(status, body, been_well);
	if (j.blame != blame)
		fail_msg("%d %s: %d, not %d", status, body, j.blame, blame);
}

static void successes(void **state)
{
	(void)state;
	static const char *const good[] = {
		"{\"choices\":[{\"message\":{\"content\":\"error\"},\"finish_reason\":\"stop\"}]}",
		"{\"choices\":[{\"finish_reason\":\"length\"}],\"error\":null}",
		"{\"choices\":[{\"finish_reason\":\"content_filter\"}]}",
		"{\"choices\":[{\"text\":\"x\",\"finish_reason\":null}],\"error\":\"\"}",
		"{\"object\":\"list\",\"data\":[{\"embedding\":[0.1]}]}",
		"{\"object\":\"response\",\"status\":\"completed\",\"error\":null}",
		"{\"object\":\"response\",\"status\":\"incomplete\"}",
		"{\"results\":[],\"detail\":\"fine\"}",
		"{\"type\":\"message\",\"content\":[],\"stop_reason\":\"end_turn\"}",
		"{\"type\":\"message\",\"content\":[{\"type\":\"error\"}],\"error\":null}",
		"{\"status\":\"failed\",\"id\":\"no Responses object\"}",
		"\xef\xbb\xbf{\"choices\":[{}]}", /* U10: a BOM */
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect(200, good[i], false, BLAME_NOBODY);
}

/* U8, U10 */
static void successes_that_are_none(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"{\"error\":{\"message\":\"x\"}}",
		"{\"error\":\"text\"}",
		"{\"error\":{}}",
		"{\"object\":\"error\",\"message\":\"x\"}",
		"{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"x\"}}",
		"{\"type\":\"error\",\"message\":\"x\"}", /* of /v1/messages */
		"{\"detail\":\"Not Found\"}",
		"{}",
		"null",
		"\"ok\"",
		"[]",
		"7",
		"",
		"{\"cut\":",
		"plain text",
		"{\"choices\":[]}",
		"{\"choices\":[{\"finish_reason\":\"abort\"}]}",
		"{\"choices\":[{\"finish_reason\":\"stop\"},{\"finish_reason\":\"error\"}]}",
		"{\"object\":\"response\",\"status\":\"failed\"}",
		"{\"status\":\"cancelled\",\"object\":\"response\"}",
		"{\"object\":\"response\",\"status\":\"in_progress\"}",
		"{\"object\":\"response\",\"status\":\"queued\"}",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct judgement j = judge(200, bad[i], true);
		if (j.blame != BLAME_SERVER || j.fault != OUTCOME_INVALID || j.message == NULL)
			fail_msg("%s: %d", bad[i], j.blame);
	}
	expect(200, "<!DOCTYPE html><title>Sign in</title>", true, BLAME_SERVER);
	expect(200, "\r\n <html>", false, BLAME_PATH);
}

static void statuses(void **state)
{
	(void)state;
	static const int servers[] = { 500, 501, 502, 504, 507, 520, 522,
				       524, 530, 599, 408, 409, 425 };
	static const int lines[] = { 400, 413, 415, 422, 424, 451 };
	static const int operators[] = { 401, 402, 403, 407 };
	static const int paths[] = { 301, 302, 307, 304, 404, 405 };
	for (size_t i = 0; i < ARRAY_LEN(servers); i++)
		expect(servers[i], "{\"error\":{\"message\":\"x\"}}", true, BLAME_SERVER);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		expect(lines[i], "{\"error\":{\"message\":\"x\"}}", false, BLAME_LINE);
	for (size_t i = 0; i < ARRAY_LEN(operators); i++)
		expect(operators[i], "{}", true, BLAME_OPERATOR);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		expect(paths[i], "{}", false, BLAME_PATH);
		expect(paths[i], "{}", true, BLAME_LINE);
	}
	expect(429, "", false, BLAME_THROTTLED);
	expect(503, "Loading model", false, BLAME_BUSY);
	expect(529, "", true, BLAME_BUSY);
	/* a queue that is full: vLLM, SGLang, Triton, Google */
	static const char *const full[] = {
		"{\"error\":{\"message\":\"The engine is currently busy and cannot accept new "
		"requests. Please try again later or on a different instance.\",\"type\":\"Service "
		"Unavailable\",\"param\":null,\"code\":503}}",
		"{\"object\":\"error\",\"message\":\"The request queue is full.\"}",
		"{\"error\":\"Exceeds maximum queue size\"}",
		"{\"error\":{\"code\":503,\"message\":\"The model is Overloaded.\"}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(full); i++) {
		expect(503, full[i], false, BLAME_THROTTLED);
		expect(500, full[i], true, BLAME_SERVER);
	}
	expect(503, "{\"error\":{\"code\":503,\"message\":\"Loading model\"}}", true, BLAME_BUSY);
	expect(503, "no healthy upstream", true, BLAME_BUSY);
	struct attempt_end told = { .status = 503, .wait_ms = 1000 };
	assert_int_equal(attempt_judge(&told, false).blame, BLAME_THROTTLED);
	/* T4: nginx that wants a client's certificate */
	expect(400, "<html><h1>400 Bad Request</h1>No required SSL certificate was sent", false,
	       BLAME_PATH);
	expect(400, "<html>", true, BLAME_LINE);
}

/* T8: throttling and quota by code or type, whatever the status. */
static void codes(void **state)
{
	(void)state;
	expect(400, "{\"__type\":\"ThrottlingException\",\"message\":\"x\"}", true,
	       BLAME_THROTTLED);
	expect(400, "{\"__type\":\"com.amazon#ThrottlingException\"}", true, BLAME_THROTTLED);
	expect(424, "{\"error\":{\"code\":\"throttling\"}}", true, BLAME_THROTTLED);
	expect(500, "{\"error\":{\"type\":\"rate_limit_error\"}}", true, BLAME_THROTTLED);
	expect(403, "{\"error\":{\"code\":\"insufficient_quota\"}}", true, BLAME_OPERATOR);
	expect(429, "{\"error\":{\"type\":\"insufficient_quota\"}}", true, BLAME_OPERATOR);
	expect(429, "{\"error\":{\"type\":\"exceeded_current_quota_error\"}}", true,
	       BLAME_OPERATOR);
	expect(400, "{\"error\":{\"message\":\"ThrottlingException in a text\"}}", true,
	       BLAME_LINE);
	struct attempt_end e = { .status = 400,
				 .error_type = SLICE("ThrottlingException:http://x/") };
	assert_int_equal(attempt_judge(&e, true).blame, BLAME_THROTTLED);
}

static void ends_that_are_no_answer(void **state)
{
	(void)state;
	static const struct {
		enum exchange_end how;
		enum blame blame;
		enum outcome_fault fault;
	} rows[] = {
		{ EXCHANGE_UNREACHABLE, BLAME_UNREACHABLE, OUTCOME_UPSTREAM },
		{ EXCHANGE_CERTIFICATE, BLAME_OPERATOR, OUTCOME_UPSTREAM },
		{ EXCHANGE_BROKEN, BLAME_SERVER, OUTCOME_UPSTREAM },
		{ EXCHANGE_STALE, BLAME_SERVER, OUTCOME_UPSTREAM },
		{ EXCHANGE_MALFORMED, BLAME_SERVER, OUTCOME_UPSTREAM },
		{ EXCHANGE_TIMEOUT, BLAME_SERVER, OUTCOME_TIMEOUT },
		{ EXCHANGE_UNPROCESSED, BLAME_THROTTLED, OUTCOME_UPSTREAM },
		{ EXCHANGE_CODED, BLAME_SERVER, OUTCOME_INVALID },
		{ EXCHANGE_TOO_LARGE, BLAME_LINE, OUTCOME_INVALID },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct attempt_end e = { .how = rows[i].how };
		struct judgement j = attempt_judge(&e, true);
		assert_int_equal(j.blame, rows[i].blame);
		assert_int_equal(j.fault, rows[i].fault);
		assert_int_equal(j.retry_at_once, rows[i].how == EXCHANGE_STALE);
	}
}

static void expect_words(const struct attempt_end *e, const char *want)
{
	char words[224];
	attempt_words(e, "sk-secret", words, sizeof(words));
	assert_string_equal(words, want);
}

static void words(void **state)
{
	(void)state;
	expect_words(&(struct attempt_end){ .status = 503,
					    .body = SLICE("{\"error\":{\"code\":503,\"message\":"
							  "\"Loading model\"}}") },
		     "HTTP 503: Loading model");
	expect_words(
		&(struct attempt_end){ .status = 401,
				       .body = SLICE("{\"error\":\"no: sk-secret\n\\u0007!\"}") },
		"HTTP 401: {\"error\":\"no: ********* \\u0007!\"}");
	expect_words(&(struct attempt_end){ .status = 404,
					    .body = SLICE("{\"detail\":\"Not Found\"}") },
		     "HTTP 404: Not Found");
	expect_words(&(struct attempt_end){ .status = 502, .body = SLICE("<html>") },
		     "HTTP 502: a page (HTML), where JSON was expected");
	expect_words(&(struct attempt_end){ .status = 500 }, "HTTP 500");
	expect_words(&(struct attempt_end){ .how = EXCHANGE_UNREACHABLE,
					    .detail = "Could not resolve host: x" },
		     "Could not resolve host: x");
	expect_words(&(struct attempt_end){ .how = EXCHANGE_TIMEOUT }, "no answer in time");
	char cut[20]; /* never within a character */
	struct attempt_end e = { .status = 500,
				 .body = SLICE("{\"message\":\"\xe2\x82\xac\xe2\x82\xac"
					       "\xe2\x82\xac\xe2\x82\xac\"}") };
	attempt_words(&e, NULL, cut, sizeof(cut));
	assert_int_equal(strncmp(cut, "HTTP 500: ", 10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(successes),
		cmocka_unit_test(successes_that_are_none),
		cmocka_unit_test(statuses),
		cmocka_unit_test(codes),
		cmocka_unit_test(ends_that_are_no_answer),
		cmocka_unit_test(words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
