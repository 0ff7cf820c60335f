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
		struct answer_decision d = answer_decide(CURLE_OK, again[i], true, false);
		assert_int_equal(d.verdict, ANSWER_RETRY);
		assert_int_equal(d.fault, OUTCOME_ANSWERED); /* its last answer is kept */
	}
	for (size_t i = 0; i < ARRAY_LEN(final); i++)
		assert_int_equal(answer_decide(CURLE_OK, final[i], true, false).verdict,
				 ANSWER_FINAL);
}

static void transport_faults(void **state)
{
	(void)state;
	struct answer_decision d = answer_decide(CURLE_COULDNT_CONNECT, 0, false, false);
	assert_int_equal(d.verdict, ANSWER_NOT_SENT);
	d = answer_decide(CURLE_OPERATION_TIMEDOUT, 0, false, false);
	assert_int_equal(d.verdict, ANSWER_NOT_SENT);
	d = answer_decide(CURLE_OPERATION_TIMEDOUT, 0, true, false);
	assert_int_equal(d.verdict, ANSWER_RETRY);
	assert_int_equal(d.fault, OUTCOME_TIMEOUT);
	assert_false(d.upstream_suspect);
	d = answer_decide(CURLE_PARTIAL_FILE, 200, true, false);
	assert_int_equal(d.verdict, ANSWER_RETRY);
	assert_int_equal(d.fault, OUTCOME_UPSTREAM);
	assert_false(d.upstream_suspect); /* it may be the line's own doing */
	d = answer_decide(CURLE_WRITE_ERROR, 200, true, true);
	assert_int_equal(d.verdict, ANSWER_FINAL);
	assert_int_equal(d.fault, OUTCOME_INVALID);
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
		cmocka_unit_test(statuses),
		cmocka_unit_test(transport_faults),
		cmocka_unit_test(backoff),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
