/* Contract 2.3, row by row, in both profiles. */
#include "unit.h"

#include "api/errors.h"

static const struct {
	enum error_kind kind;
	int status;
	const char *kimi, *openai, *code;
} contract[] = {
	{ ERR_INVALID, 400, "invalid_request_error", "invalid_request_error", "null" },
	{ ERR_NO_KEY, 401, "invalid_authentication_error", "invalid_request_error", "null" },
	{ ERR_BAD_KEY, 401, "incorrect_api_key_error", "invalid_request_error",
	  "\"invalid_api_key\"" },
	{ ERR_FORBIDDEN, 403, "permission_denied_error", "invalid_request_error", "null" },
	{ ERR_NOT_FOUND, 404, "resource_not_found_error", "invalid_request_error", "null" },
	{ ERR_METHOD, 405, "invalid_request_error", "invalid_request_error",
	  "\"method_not_supported\"" },
	{ ERR_CONFLICT, 409, "invalid_request_error", "invalid_request_error", "null" },
	{ ERR_TOO_LARGE, 413, "invalid_request_error", "invalid_request_error",
	  "\"request_too_large\"" },
	{ ERR_MEDIA_TYPE, 415, "invalid_request_error", "invalid_request_error",
	  "\"unsupported_media_type\"" },
	{ ERR_KEY_REUSED, 422, "invalid_request_error", "invalid_request_error",
	  "\"idempotency_key_reused\"" },
	{ ERR_INTERNAL, 500, "server_error", "server_error", "null" },
	{ ERR_UPSTREAM, 502, "server_error", "server_error", "\"upstream_error\"" },
	{ ERR_UNAVAILABLE, 503, "server_error", "server_error", "null" },
	{ ERR_TIMEOUT, 504, "server_error", "server_error", "\"request_timeout\"" },
};

static void check_body(const struct error *err, enum profile profile, const char *expected)
{
	struct buf to = BUF(4096);

	error_write(&to, err, profile);
	buf_char(&to, '\0');
	assert_false(to.failed);
	assert_string_equal(to.p, expected);
	buf_free(&to);
}

static void the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(contract); i++) {
		struct error err;
		char expected[400];

		assert_false(fail(&err, contract[i].kind, "m"));
		assert_int_equal(error_kind_info(err.kind)->http_status, contract[i].status);
		for (enum profile p = PROFILE_KIMI; p <= PROFILE_OPENAI; p++) {
			snprintf(expected, sizeof(expected),
				 "{\"error\":{\"message\":\"m\",\"type\":\"%s\",\"param\":null,"
				 "\"code\":%s}}",
				 p == PROFILE_KIMI ? contract[i].kimi : contract[i].openai,
				 contract[i].code);
			check_body(&err, p, expected);
		}
	}
}

static void param_and_code(void **state)
{
	struct error err;

	(void)state;
	assert_false(fail_param(&err, "metadata.k\"", "invalid_type", "a \"b\"\n\xff"));
	check_body(&err, PROFILE_KIMI,
		   "{\"error\":{\"message\":\"a \\\"b\\\"\\n\xef\xbf\xbd\","
		   "\"type\":\"invalid_request_error\",\"param\":\"metadata.k\\\"\","
		   "\"code\":\"invalid_type\"}}");
	assert_false(fail_param(&err, NULL, NULL, "m"));
	check_body(&err, PROFILE_OPENAI,
		   "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\","
		   "\"param\":null,\"code\":null}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table),
		cmocka_unit_test(param_and_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
