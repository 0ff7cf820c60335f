/* The request member `lowtide` (contract 11.1): types and values of each of its members. */
#include "unit.h"

#include "api/options.h"

static bool given(const char *text, struct batch_options *o, struct error *err)
{
	struct json j;
	struct slice value;
	struct member m = { .name = "lowtide" };

	*o = (struct batch_options){ 0 };
	if (text == NULL)
		return options_read(&m, o, err);
	json_init(&j, slice_of(text));
	m.type = json_peek(&j);
	assert_true(json_skip(&j, &value) && json_end(&j));
	m.text = value;
	return options_read(&m, o, err);
}

static void all_members_are_taken(void **state)
{
	struct batch_options o;
	struct error err;

	(void)state;
	assert_true(
		given("{\"on_invalid_line\":\"sk\\u0069p\",\"mixed_models\":true,"
		      "\"output_order\":\"completion\",\"max_attempts\":3,\"line_timeout_s\":60,"
		      "\"canary\":10,\"not_before\":1800000000,"
		      "\"hours\":\"22:00-06:00 Europe\\/Berlin\",\"token_budget\":9007199254740993,"
		      "\"override\":{\"model\":\"m\",\n \"n\" : 1.0}}",
		      &o, &err));
	assert_true(o.skip_invalid && o.mixed_models && o.by_completion);
	assert_int_equal(o.max_attempts, 3);
	assert_int_equal(o.line_timeout_s, 60);
	assert_int_equal(o.canary, 10);
	assert_int_equal(o.not_before, 1800000000);
	assert_string_equal(o.hours, "22:00-06:00 Europe/Berlin");
	assert_int_equal(o.token_budget, 9007199254740993);
	assert_string_equal(o.override, "{\"model\":\"m\", \"n\" : 1.0}");
	batch_options_done(&o);
}

static void nothing_is_as_usual(void **state)
{
	static const char *const texts[] = {
		NULL,
		"null",
		"{}",
		"{\"unknown\":[1]}",
		"{\"on_invalid_line\":\"fail\",\"mixed_models\":false}",
		"{\"output_order\":\"input\",\"override\":null,\"hours\":null}",
	};
	const struct batch_options usual = { 0 };
	struct batch_options o;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_true(given(texts[i], &o, &err));
		assert_memory_equal(&o, &usual, sizeof(o));
	}
}

static void others_are_refused(void **state)
{
	static const struct {
		const char *text, *param, *code;
	} rows[] = {
		{ "[]", "lowtide", "invalid_type" },
		{ "\"x\"", "lowtide", "invalid_type" },
		{ "{\"on_invalid_line\":\"drop\"}", "lowtide.on_invalid_line", "invalid_value" },
		{ "{\"on_invalid_line\":true}", "lowtide.on_invalid_line", "invalid_type" },
		{ "{\"mixed_models\":\"true\"}", "lowtide.mixed_models", "invalid_type" },
		{ "{\"mixed_models\":1}", "lowtide.mixed_models", "invalid_type" },
		{ "{\"output_order\":\"\"}", "lowtide.output_order", "invalid_value" },
		{ "{\"max_attempts\":0}", "lowtide.max_attempts", "integer_below_min_value" },
		{ "{\"max_attempts\":-1}", "lowtide.max_attempts", "integer_below_min_value" },
		{ "{\"max_attempts\":1.5}", "lowtide.max_attempts", "invalid_type" },
		{ "{\"max_attempts\":\"3\"}", "lowtide.max_attempts", "invalid_type" },
		{ "{\"max_attempts\":1e999}", "lowtide.max_attempts", "invalid_type" },
		{ "{\"line_timeout_s\":99999999999}", "lowtide.line_timeout_s",
		  "integer_above_max_value" },
		{ "{\"canary\":[1]}", "lowtide.canary", "invalid_type" },
		{ "{\"not_before\":1800000000000}", "lowtide.not_before",
		  "integer_above_max_value" },
		{ "{\"hours\":\"22-6\"}", "lowtide.hours", "invalid_value" },
		{ "{\"hours\":22}", "lowtide.hours", "invalid_type" },
		{ "{\"hours\":\"22:00-06:00 Europe/Atlantis\"}", "lowtide.hours", "invalid_value" },
		{ "{\"hours\":\"22:00-06:00 ../../etc/passwd\"}", "lowtide.hours",
		  "invalid_value" },
		{ "{\"hours\":\"22:00-06:00 /etc/localtime\"}", "lowtide.hours", "invalid_value" },
		{ "{\"hours\":\"22:00-06:00 Europe\"}", "lowtide.hours", "invalid_value" },
		{ "{\"token_budget\":0}", "lowtide.token_budget", "integer_below_min_value" },
		{ "{\"token_budget\":99999999999999999999}", "lowtide.token_budget",
		  "integer_above_max_value" },
		{ "{\"override\":[]}", "lowtide.override", "invalid_type" },
		{ "{\"override\":\"{}\"}", "lowtide.override", "invalid_type" },
		{ "{\"override\":{\"stream\":true}}", "lowtide.override", "invalid_value" },
		{ "{\"override\":{\"str\\u0065am\":1}}", "lowtide.override", "invalid_value" },
		{ "{\"override\":{\"background\":true}}", "lowtide.override", "invalid_value" },
		{ "{\"override\":{\"model\":\"\"}}", "lowtide.override", "invalid_value" },
		{ "{\"override\":{\"model\":null}}", "lowtide.override", "invalid_type" },
		{ "{\"override\":{\"model\":7}}", "lowtide.override", "invalid_type" },
	};
	struct batch_options o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		if (given(rows[i].text, &o, &err))
			fail_msg("taken: %s", rows[i].text);
		assert_int_equal(err.kind, ERR_INVALID);
		assert_string_equal(err.param, rows[i].param);
		assert_string_equal(err.code, rows[i].code);
		batch_options_done(&o);
	}
}

static void an_override_is_bounded(void **state)
{
	static char text[OVERRIDE_BYTES_MAX + 100];
	struct batch_options o;
	struct error err;
	int n = snprintf(text, sizeof(text), "{\"override\":{\"a\":\"");

	(void)state;
	memset(text + n, 'x', OVERRIDE_BYTES_MAX);
	memcpy(text + n + OVERRIDE_BYTES_MAX, "\"}}", 4);
	assert_false(given(text, &o, &err));
	assert_string_equal(err.param, "lowtide.override");
	n = snprintf(text, sizeof(text), "{\"override\":{");
	for (int i = 0; i <= 64; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"%d\":0", i > 0 ? "," : "",
			      i);
	snprintf(text + n, sizeof(text) - (size_t)n, "}}");
	assert_false(given(text, &o, &err));
	assert_string_equal(err.code, "object_above_max_properties");
	batch_options_done(&o);
}

/* Two creates are the same only if their options are (contract 2.4). */
static void content_tells_options_apart(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"on_invalid_line\":\"skip\"}",
		"{\"mixed_models\":true}",
		"{\"output_order\":\"completion\"}",
		"{\"max_attempts\":1}",
		"{\"line_timeout_s\":1}",
		"{\"canary\":1}",
		"{\"not_before\":1}",
		"{\"hours\":\"01:00-02:00\"}",
		"{\"token_budget\":1}",
		"{\"override\":{}}",
	};
	struct buf contents[ARRAY_LEN(texts)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct batch_options o;
		struct error err;
		contents[i] = (struct buf)BUF(4096);
		assert_true(given(texts[i], &o, &err));
		options_content(&o, &contents[i]);
		batch_options_done(&o);
		for (size_t k = 0; k < i; k++)
			assert_false(slice_eq(buf_slice(&contents[k]), buf_slice(&contents[i])));
	}
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		buf_free(&contents[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_members_are_taken),
		cmocka_unit_test(nothing_is_as_usual),
		cmocka_unit_test(others_are_refused),
		cmocka_unit_test(an_override_is_bounded),
		cmocka_unit_test(content_tells_options_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
