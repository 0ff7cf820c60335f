/* What a result line says, for a cell: of each endpoint, and of what has no answer. */
#include "unit.h"

#include "rows/answer_text.h"

static void answer_is(const char *body, const char *value)
{
	struct row_answer a = ANSWER_EMPTY;
	char *line;

	assert_true(asprintf(&line,
			     "{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":%s},"
			     "\"error\":null}",
			     body) > 0);
	assert_true(answer_read(slice_of(line), &a));
	assert_true(a.good);
	if (!slice_is(a.value, value))
		fail_msg("%s: %.*s", body, SLICE_ARG(a.value));
	answer_done(&a);
	free(line);
}

static void takes_the_text_of_each_endpoint(void **state)
{
	(void)state;
	answer_is("{\"choices\":[{\"message\":{\"content\":\"yes\\n\"}}]}", "\"yes\\n\"");
	answer_is("{\"choices\":[{\"message\":{\"content\":null}}]}", "\"\"");
	answer_is("{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":1}]}}]}",
		  "[{\"id\":1}]");
	answer_is(
		"{\"choices\":[{\"message\":{\"content\":\"a\"}},{\"message\":{\"content\":\"b\"}}]}",
		"[\"a\",\"b\"]");
	answer_is("{\"choices\":[{\"text\":\"t\"}]}", "\"t\"");
	answer_is("{\"data\":[{\"embedding\":[0.5,-1]}]}", "[0.5,-1]");
	answer_is(
		"{\"output\":[{\"type\":\"reasoning\",\"content\":[{\"type\":\"x\",\"text\":\"no\"}]},"
		"{\"content\":[{\"type\":\"output_text\",\"text\":\"a\\u00e9\"},"
		"{\"type\":\"output_text\",\"text\":\"b\"}]}]}",
		"\"a\\u00e9b\"");
	answer_is("{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"c\"}]}",
		  "\"c\"");
	answer_is("{\"results\":[1]}", "{\"results\":[1]}");
}

static void error_is(const char *rest, const char *error)
{
	struct row_answer a = ANSWER_EMPTY;
	char *line;

	assert_true(asprintf(&line, "{\"custom_id\":\"a\",%s}", rest) > 0);
	assert_true(answer_read(slice_of(line), &a));
	assert_false(a.good);
	if (!slice_is(buf_slice(&a.error), error))
		fail_msg("%s: %.*s", rest, SLICE_ARG(buf_slice(&a.error)));
	answer_done(&a);
	free(line);
}

static void says_why_there_is_none(void **state)
{
	(void)state;
	error_is("\"response\":null,\"error\":{\"code\":\"batch_expired\",\"message\":\"late\"}",
		 "batch_expired: late");
	error_is(
		"\"response\":{\"status_code\":400,\"body\":{\"error\":{\"code\":\"c\",\"message\":\"m\"}}},"
		"\"error\":null",
		"400 c: m");
	error_is(
		"\"response\":{\"status_code\":400,\"body\":{\"error\":{\"code\":400,\"message\":\"m\"}}}",
		"400: m");
	error_is("\"response\":{\"status_code\":422,\"body\":{\"detail\":[\"d\"]}}",
		 "422: [\"d\"]");
	error_is("\"response\":{\"status_code\":500,\"body\":[1]}", "500: [1]");
	error_is("\"error\":{}", "unknown");
	error_is("\"response\":{\"status_code\":200,\"body\":{\"choices\":[{\"message\":"
		 "{\"content\":null,\"refusal\":\"I cannot\"}}]}}",
		 "refusal: I cannot");
}

static void knows_what_is_no_result_line(void **state)
{
	static const char *const lines[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"custom_id\":\"a\"} x",
		"{\"custom_id\":\"a\",\"response\":null,\"error\":null}"
	};
	struct row_answer a = ANSWER_EMPTY;
	struct slice id;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_false(answer_read(slice_of(lines[i]), &a));
	assert_false(answer_id(SLICE("{\"custom_id\":1}"), &id));
	assert_true(
		answer_id(SLICE("{\"x\":{\"custom_id\":\"b\"},\"custom_id\":\"a\\u0041\"}"), &id));
	assert_true(slice_is(id, "a\\u0041"));
	answer_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_text_of_each_endpoint),
		cmocka_unit_test(says_why_there_is_none),
		cmocka_unit_test(knows_what_is_no_result_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
