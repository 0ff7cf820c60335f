/* test_outcome.c: result lines (contract 9), bodies as they came (8.2), token sums (8.2). */
#include "unit.h"

#include "batch/outcome.h"

/* The line of an answer, NUL-ended; the buf is the caller's. */
static struct buf line_of(int status, const char *body, bool *ret_success, struct usage *ret_usage)
{
	struct outcome *o = outcome_new(NULL, 0, SLICE("caf\\u00e9"));
	struct buf line = BUF(1 << 20);
	assert_non_null(o);
	o->http_status = status;
	strcpy(o->request_id, "up-1");
	o->body = BUF(1 << 20);
	buf_text(&o->body, body);
	outcome_line(o, &line);
	buf_char(&line, '\0');
	*ret_success = o->success;
	if (ret_usage != NULL)
		*ret_usage = o->usage;
	outcome_free(o);
	return line;
}

static void expect_tail(int status, const char *body, bool success, const char *tail)
{
	bool ok;
	struct buf line = line_of(status, body, &ok, NULL);
	const char *at = strstr(line.p, ",\"custom_id\":");
	assert_int_equal(strncmp(line.p, "{\"id\":\"batch_req_", 17), 0);
	assert_non_null(at);
	assert_string_equal(at, tail);
	assert_int_equal(ok, success);
	buf_free(&line);
}

static void answers(void **state)
{
	(void)state;
	expect_tail(200, "{\"a\": 9223372036854775808, \"a\":1.0,\n\t\"s\":\"\\u00e9\\n\"}\r\n",
		    true,
		    ",\"custom_id\":\"caf\\u00e9\",\"response\":{\"status_code\":200,"
		    "\"request_id\":\"up-1\",\"body\":{\"a\": 9223372036854775808, \"a\":1.0,"
		    "\t\"s\":\"\\u00e9\\n\"}},\"error\":null}\n");
	expect_tail(400, "{\"error\":{\"message\":\"no\"}}", false,
		    ",\"custom_id\":\"caf\\u00e9\",\"response\":{\"status_code\":400,"
		    "\"request_id\":\"up-1\",\"body\":{\"error\":{\"message\":\"no\"}}},"
		    "\"error\":null}\n");
	expect_tail(
		500, "<b>\"oops\"\n", false,
		",\"custom_id\":\"caf\\u00e9\",\"response\":{\"status_code\":500,"
		"\"request_id\":\"up-1\",\"body\":{\"error\":{\"message\":\"<b>\\\"oops\\\"\\n\","
		"\"type\":\"upstream_error\",\"param\":null,\"code\":\"upstream_non_json\"}}},"
		"\"error\":null}\n");
	expect_tail(200, "{\"cut\":", false,
		    ",\"custom_id\":\"caf\\u00e9\",\"response\":null,\"error\":{\"code\":"
		    "\"invalid_upstream_response\",\"message\":\"The upstream's answer is not "
		    "JSON: {\\\"cut\\\":\"}}\n");
}

static void long_text_is_cut_between_characters(void **state)
{
	(void)state;
	bool ok;
	char *text = malloc(3 * 3000 + 1);
	assert_non_null(text);
	for (int i = 0; i < 3000; i++)
		memcpy(text + 3 * i, "\xe2\x82\xac", 4);
	struct buf line = line_of(502, text, &ok, NULL);
	assert_null(strstr(line.p, "\\ufffd"));
	assert_null(strstr(line.p, "\xef\xbf\xbd"));
	assert_true(line.n < 4096 + 400);
	buf_free(&line);
	free(text);
}

static void missing(void **state)
{
	(void)state;
	struct buf line = BUF(4096);
	outcome_missing_line((struct slice){ NULL, 0 }, OUTCOME_CANCELLED, &line);
	buf_char(&line, '\0');
	assert_non_null(strstr(line.p,
			       "\"custom_id\":null,\"response\":null,\"error\":{\"code\":"
			       "\"batch_cancelled\",\"message\":\"This request was not executed "
			       "because the batch was cancelled.\"}}\n"));
	buf_free(&line);
}

static void a_bad_line_says_which_and_why(void **state)
{
	(void)state;
	struct buf line = BUF(4096);
	outcome_bad_line(SLICE("a\\u0062"),
			 &(struct finding){ .code = "invalid_url",
					    .line = 7,
					    .param = "url",
					    .message = "not \"this\"" },
			 &line);
	buf_char(&line, '\0');
	assert_non_null(strstr(line.p, "{\"id\":\"batch_req_"));
	assert_non_null(strstr(line.p,
			       "\"custom_id\":\"a\\u0062\",\"response\":null,\"error\":{\"code\":"
			       "\"invalid_url\",\"line\":7,\"message\":\"not \\\"this\\\"\","
			       "\"param\":\"url\"}}\n"));
	buf_free(&line);
}

static void usage(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		struct usage want;
	} cases[] = {
		{ "{\"usage\":null}", { 0 } },
		/* U12: numbers that are whole, however written */
		{ "{\"usage\":{\"prompt_tokens\":10.0,\"completion_tokens\":1e1,\"total_tokens\":"
		  "2.0E1}}",
		  { 10, 0, 10, 0, 20 } },
		{ "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}",
		  { 3, 0, 4, 0, 7 } },
		{ "{\"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"input_tokens_details\":"
		  "{\"x\":[],\"cached_tokens\":2},\"output_tokens_details\":{\"reasoning_tokens\":1}}}",
		  { 3, 2, 4, 1, 7 } },
		{ "{\"usage\":{\"prompt_tokens\":9,\"cached_tokens\":5,\"prompt_tokens_details\":"
		  "{\"cached_tokens\":5}}}",
		  { 9, 5, 0, 0, 9 } },
		{ "{\"usage\":{\"prompt_tokens\":9,\"cached_tokens\":5}}", { 9, 5, 0, 0, 9 } },
		/* Anthropic's names, of /v1/messages (contract 1) */
		{ "{\"usage\":{\"input_tokens\":9,\"cache_creation_input_tokens\":1,"
		  "\"cache_read_input_tokens\":5,\"output_tokens\":3}}",
		  { 9, 5, 3, 0, 12 } },
		{ "{\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":1.5,\"total_tokens\":"
		  "\"7\"}}",
		  { 0 } },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct usage got;
		bool ok;
		struct buf line = line_of(200, cases[i].body, &ok, &got);
		assert_true(ok);
		assert_memory_equal(&got, &cases[i].want, sizeof(got));
		buf_free(&line);
		line = line_of(400, cases[i].body, &ok, &got); /* only 2xx lines count */
		assert_int_equal(got.total + got.input + got.output, 0);
		buf_free(&line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(a_bad_line_says_which_and_why),
		cmocka_unit_test(long_text_is_cut_between_characters),
		cmocka_unit_test(missing),
		cmocka_unit_test(usage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
