/* Errors: what the functions fill in, and that the texts are fit for a client. */
#include "unit.h"

#include "base/error.h"

static void every_kind_has_a_status_and_types(void **state)
{
	(void)state;
	for (int kind = ERR_INVALID; kind <= ERR_NO_SPACE; kind++) {
		const struct error_kind_info *info = error_kind_info((enum error_kind)kind);
		assert_in_range(info->http_status, 400, 599);
		assert_non_null(info->type_kimi);
		assert_non_null(info->type_openai);
	}
	assert_int_equal(error_kind_info(ERR_NOT_FOUND)->http_status, 404);
	assert_string_equal(error_kind_info(ERR_NOT_FOUND)->type_kimi, "resource_not_found_error");
	assert_string_equal(error_kind_info(ERR_BAD_KEY)->code, "invalid_api_key");
}

static void fail_fills_all_of_it(void **state)
{
	struct error err;

	(void)state;
	memset(&err, 0x55, sizeof(err));
	assert_false(fail(&err, ERR_CONFLICT, "batch %d is %s", 7, "done"));
	assert_int_equal(err.kind, ERR_CONFLICT);
	assert_string_equal(err.message, "batch 7 is done");
	assert_int_equal(err.sys, 0);
	assert_int_equal(err.line, 0);
	assert_null(err.code);
	assert_string_equal(err.param, "");
	assert_string_equal(err.detail, "");
}

static void fail_param_names_the_member(void **state)
{
	struct error err;

	(void)state;
	assert_false(fail_param(&err, "metadata.tags", "invalid_type", "expected a %s", "string"));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_string_equal(err.param, "metadata.tags");
	assert_string_equal(err.code, "invalid_type");
	assert_string_equal(err.message, "expected a string");
	assert_false(fail_param(&err, NULL, NULL, "no"));
	assert_string_equal(err.param, "");
}

static void fail_sys_tells_a_full_disk_from_other_faults(void **state)
{
	struct error err;

	(void)state;
	for (int i = 0; i < 2; i++) {
		int full = i == 0 ? ENOSPC : EDQUOT;
		assert_false(fail_sys(&err, full, "writing %s", "/data/tmp/x"));
		assert_int_equal(err.kind, ERR_NO_SPACE);
		assert_int_equal(err.sys, full);
		assert_string_equal(err.message, "The server's disk is full; nothing was stored. "
						 "Try again later.");
	}
	assert_false(fail_sys(&err, EMFILE, "opening %s", "/data/tmp/x"));
	assert_int_equal(err.kind, ERR_UNAVAILABLE); /* E1: it may pass */
	assert_int_equal(err.sys, EMFILE);
	assert_false(fail_sys(&err, EIO, "writing %s", "/data/tmp/x"));
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_string_equal(err.message, "The server had an error while processing your request.");
	assert_string_equal(err.detail, "writing /data/tmp/x");
	assert_false(fail_memory(&err));
	assert_int_equal(err.sys, ENOMEM);
}

static void an_error_may_quote_itself(void **state)
{
	struct error err;

	(void)state;
	assert_false(fail(&err, ERR_INVALID, "bad size"));
	assert_false(fail(&err, ERR_INVALID, "line 3: %s", err.message));
	assert_string_equal(err.message, "line 3: bad size");
}

static void a_long_message_is_cut_between_characters(void **state)
{
	struct error err;
	char text[1024];

	(void)state;
	for (size_t lead = 0; lead < 4; lead++) { /* the cut falls on each byte of a character */
		memset(text, 'x', lead);
		text[lead] = '\0';
		while (strlen(text) < 1000)
			strcat(text, "潮"); /* three bytes */
		assert_false(fail(&err, ERR_INVALID, "%s", text));
		size_t n = strlen(err.message);
		assert_in_range(n, sizeof(err.message) - 3, sizeof(err.message) - 1);
		assert_int_equal((n - lead) % 3, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_has_a_status_and_types),
		cmocka_unit_test(fail_fills_all_of_it),
		cmocka_unit_test(fail_param_names_the_member),
		cmocka_unit_test(fail_sys_tells_a_full_disk_from_other_faults),
		cmocka_unit_test(an_error_may_quote_itself),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
