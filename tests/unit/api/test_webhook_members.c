/* Bodies of /v1/webhook_endpoints (5.2, 12). */
#include "unit.h"

#include "api/webhook_members.h"

#define GOOD "{\"name\":\"n\",\"url\":\"https://example.com/\",\"event_types\":[\"batch.failed\"]}"

static struct error err;

static bool reads(const char *text, bool all, struct webhook_members *ret)
{
	return webhook_members_read(slice_of(text), all, false, ret, &err);
}

static void a_whole_body(void **state)
{
	struct webhook_members m;

	(void)state;
	assert_true(reads(GOOD, true, &m));
	assert_string_equal(m.name, "n");
	assert_string_equal(m.url, "https://example.com/");
	assert_int_equal(m.event_types, 1u << BATCH_FAILED);
	assert_true(reads("{\"event_types\":[\"batch.\\u0065xpired\",\"batch.failed\",\"batch."
			  "failed\"]}",
			  false, &m));
	assert_int_equal(m.event_types, 1u << BATCH_FAILED | 1u << BATCH_EXPIRED);
	assert_string_equal(m.name, "");
	assert_true(reads("{\"name\":null,\"more\":[1]}", false, &m));
	assert_int_equal(m.event_types, 0);
	assert_true(webhook_members_read(SLICE("{\"url\":\"http://127.0.0.1/\"}"), false, true, &m,
					 &err));
}

static void refusals(void **state)
{
	static const struct {
		const char *body, *param, *code;
	} cases[] = {
		{ "[]", "", NULL },
		{ "{", "", NULL },
		{ "{}", "name", "missing_required_parameter" },
		{ "{\"name\":\"n\"}", "url", "missing_required_parameter" },
		{ "{\"name\":\"n\",\"url\":\"https://example.com\"}", "event_types",
		  "missing_required_parameter" },
		{ "{\"name\":{}}", "name", "invalid_type" },
		{ "{\"name\":\"\"}", "name", "invalid_value" },
		{ "{\"name\":\"a\\u0000b\"}", "name", "invalid_value" },
		{ "{\"name\":\"n\",\"url\":false}", "url", "invalid_type" },
		{ "{\"name\":\"n\",\"url\":\"http://example.com\"}", "url", "invalid_value" },
		{ "{\"name\":\"n\",\"url\":\"https://a.b\",\"event_types\":\"batch.failed\"}",
		  "event_types", "invalid_type" },
		{ "{\"name\":\"n\",\"url\":\"https://a.b\",\"event_types\":[]}", "event_types",
		  "invalid_value" },
		{ "{\"name\":\"n\",\"url\":\"https://a.b\",\"event_types\":[null]}", "event_types",
		  "invalid_type" },
		{ "{\"name\":\"n\",\"url\":\"https://a.b\",\"event_types\":[\"batch\"]}",
		  "event_types", "invalid_value" },
	};
	struct webhook_members m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (reads(cases[i].body, true, &m))
			fail_msg("%s passes", cases[i].body);
		assert_int_equal(err.kind, ERR_INVALID);
		assert_string_equal(err.param, cases[i].param);
		if (cases[i].code == NULL)
			assert_null(err.code);
		else
			assert_string_equal(err.code, cases[i].code);
	}
}

static void bodies_that_may_be_empty(void **state)
{
	enum batch_status type;
	bool keep;

	(void)state;
	assert_true(webhook_keep_old_read(SLICE(""), &keep, &err) && keep);
	assert_true(webhook_keep_old_read(SLICE("{}"), &keep, &err) && keep);
	assert_true(webhook_keep_old_read(SLICE("{\"keep_old_secret_active_for_24_hours\":false}"),
					  &keep, &err) &&
		    !keep);
	assert_false(webhook_keep_old_read(SLICE("{\"keep_old_secret_active_for_24_hours\":0}"),
					   &keep, &err));
	assert_string_equal(err.code, "invalid_type");
	assert_true(webhook_event_type_read(SLICE(""), BATCH_FAILED, &type, &err));
	assert_int_equal(type, BATCH_FAILED);
	assert_true(webhook_event_type_read(SLICE("{\"event_type\":\"batch.expired\"}"),
					    BATCH_FAILED, &type, &err));
	assert_int_equal(type, BATCH_EXPIRED);
	assert_false(webhook_event_type_read(SLICE("{\"event_type\":\"x\"}"), BATCH_FAILED, &type,
					     &err));
	assert_string_equal(err.param, "event_type");
	assert_true(webhook_body_check(SLICE(""), &err) && webhook_body_check(SLICE("{}"), &err));
	assert_false(webhook_body_check(SLICE("[]"), &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_body),
		cmocka_unit_test(refusals),
		cmocka_unit_test(bodies_that_may_be_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
