/* test_answer.c: which attempts are final, and how long to wait (contract 8.2, "retried"). */
#include "unit.h"

#include "base/attr.h"
#include "dispatch/answer.h"

static void statuses(void **state)
{
	(void)state;
	static const int again[] = { 408, 409, 425, 429, 500, 501, 502, 503, 504, 520, 599 };
	static const int final[] = {
		200, 201, 204, 301, 302, 400, 401, 403, 404, 413, 415, 422, 451
	};
	for (size_t i = 0; i < ARRAY_LEN(again); i++) {
		struct answer_decision d = answer_decide(CURLE_OK, again[i], true, false, 0);
		assert_int_equal(d.verdict, ANSWER_RETRY);
		assert_int_equal(d.fault, OUTCOME_ANSWERED); /* its last answer is kept */
	}
	for (size_t i = 0; i < ARRAY_LEN(final); i++)
		assert_int_equal(answer_decide(CURLE_OK, final[i], true, false, 0).verdict,
				 ANSWER_FINAL);
}

static void transport_faults(void **state)
{
	(void)state;
	struct answer_decision d = answer_decide(CURLE_COULDNT_CONNECT, 0, false, false, 0);
	assert_int_equal(d.verdict, ANSWER_NOT_SENT);
	d = answer_decide(CURLE_OPERATION_TIMEDOUT, 0, false, false, 0);
	assert_int_equal(d.verdict, ANSWER_NOT_SENT);
	d = answer_decide(CURLE_OPERATION_TIMEDOUT, 0, true, false, 0);
	assert_int_equal(d.verdict, ANSWER_RETRY);
	assert_int_equal(d.fault, OUTCOME_TIMEOUT);
	assert_true(d.broken && !d.upstream_suspect);
	d = answer_decide(CURLE_PARTIAL_FILE, 200, true, false, 0);
	assert_int_equal(d.verdict, ANSWER_RETRY);
	assert_int_equal(d.fault, OUTCOME_UPSTREAM);
	assert_true(d.broken); /* the upstream's doing if line after line does it */
	d = answer_decide(CURLE_WRITE_ERROR, 200, true, true, 0);
	assert_int_equal(d.verdict, ANSWER_FINAL);
	assert_int_equal(d.fault, OUTCOME_INVALID);
}

static void refusals(void **state)
{
	(void)state;
	assert_true(answer_decide(CURLE_OK, 429, true, false, 0).refused);
	assert_true(answer_decide(CURLE_OK, 503, true, false, 3).refused);
	assert_false(answer_decide(CURLE_OK, 503, true, false, 3).upstream_suspect);
	assert_false(answer_decide(CURLE_OK, 503, true, false, 0).refused);
	assert_true(answer_decide(CURLE_OK, 503, true, false, 0).upstream_suspect);
	assert_false(answer_decide(CURLE_OK, 200, true, false, 9).refused);
}

static void assert_tokens(const char *body, uint64_t prompt, uint64_t output)
{
	struct answer_tokens t;
	answer_tokens_find(slice_of(body), &t);
	assert_int_equal(t.prompt, prompt);
	assert_int_equal(t.output, output);
}

static void tokens(void **state)
{
	(void)state;
	assert_tokens("", 0, 0);
	assert_tokens("{}", 0, 0);
	assert_tokens("{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}", 7, 3);
	assert_tokens("{\"usage\":{\"input_tokens\" : 12 , \"output_tokens\" :\t 34}}", 12, 34);
	assert_tokens("{\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}", 5, 0);
	assert_tokens("{\"usage\":{\"prompt_tokens\":null,\"completion_tokens\":-1}}", 0, 0);
	assert_tokens("{\"prompt_tokens\"", 0, 0); /* cut off behind the name */
	assert_tokens("{\"prompt_tokens\":99999999999999999999999}", 9999999999, 0);
	/* what a model writes about tokens comes before what the engine counts */
	assert_tokens("{\"a\":\"\"prompt_tokens\":1\",\"usage\":{\"prompt_tokens\":2}}", 2, 0);
	char big[5000];
	memset(big, ' ', sizeof(big));
	static const char usage[] = "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}";
	memcpy(big, usage, sizeof(usage) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_tokens(big, 7, 3); /* at the beginning */
	memset(big, ' ', sizeof(big) - 1);
	memcpy(big + 2000, usage, sizeof(usage) - 1);
	assert_tokens(big, 0, 0); /* too far from either end: not looked for */
}

static void backoff(void **state)
{
	(void)state;
	for (uint32_t attempt = 1; attempt < 70; attempt++) {
		assert_int_equal(answer_backoff_ms(attempt, 0, 0), 0);
		uint64_t most = answer_backoff_ms(attempt, 0, UINT32_MAX);
		uint64_t ceiling = attempt < 7 ? 500ull << (attempt - 1) : 30000;
		assert_in_range(most, ceiling - 1 - ceiling / 1000, ceiling);
	}
	assert_int_equal(answer_backoff_ms(1, 5, 0), 5000);
	assert_in_range(answer_backoff_ms(1, 5, UINT32_MAX), 5000, 5100);
	assert_in_range(answer_backoff_ms(1, 31536000, 0), 60000, 60000); /* a year: one minute */
	assert_int_equal(answer_backoff_ms(1, -7, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statuses), cmocka_unit_test(transport_faults),
		cmocka_unit_test(refusals), cmocka_unit_test(tokens),
		cmocka_unit_test(backoff),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
