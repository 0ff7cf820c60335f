/* The body of a create: contract 5.1, 5.2. Touches no store. */
#include "unit.h"

#include "api/create.h"

static const struct api_config kimi = {
	.profile = PROFILE_KIMI,
	.windows = { .min_s = 12 * 3600, .max_s = 7 * 86400 },
};
static const struct api_config openai = {
	.profile = PROFILE_OPENAI,
	.windows = { .only_24h = true },
};

#define GOOD "\"input_file_id\":\"file-1\",\"endpoint\":\"/v1/chat/completions\","
#define WINDOW "\"completion_window\":\"24h\""

static void taken(const struct api_config *config, const char *body, struct batch *b)
{
	struct error err;
	uint64_t window_s;

	*b = (struct batch){ 0 };
	if (!create_read(slice_of(body), config, b, &window_s, &err))
		fail_msg("refused: %s\n%s", body, err.message);
	assert_true(window_s >= 12 * 3600);
}

static void refused(const char *body, const char *param, const char *code, const char *message)
{
	const struct api_config *configs[] = { &kimi, &openai };

	for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
		struct batch b = { 0 };
		struct error err;
		uint64_t window_s;
		if (create_read(slice_of(body), configs[i], &b, &window_s, &err))
			fail_msg("taken: %s", body);
		assert_int_equal(err.kind, ERR_INVALID);
		assert_string_equal(err.param, param);
		if (code != NULL)
			assert_string_equal(err.code, code);
		else
			assert_null(err.code);
		if (message != NULL)
			assert_string_equal(err.message, message);
		batch_done(&b);
	}
}

static void takes_what_is_right(void **state)
{
	struct batch b;

	(void)state;
	taken(&kimi, "{" GOOD WINDOW "}", &b);
	assert_string_equal(b.input_file_id, "file-1");
	assert_string_equal(b.endpoint, "/v1/chat/completions");
	assert_string_equal(b.completion_window, "24h");
	assert_null(b.metadata);
	assert_int_equal(b.output_expires_after_s, 0);
	taken(&openai,
	      " {\"x\":[{}],\"metadata\":{\"k\":\"v\"},\"metadata\":null,\"output_expires_after\":"
	      "{\"seconds\":3600,\"anchor\":\"created_at\"}," WINDOW
	      ",\"input_file_id\":\"\\u0061\","
	      "\"endpoint\":\"\\/v1\\/responses\",\"huge\":1e999999,\"int\":123456789012345678901}",
	      &b);
	assert_string_equal(b.input_file_id, "a");
	assert_string_equal(b.endpoint, "/v1/responses");
	assert_null(b.metadata); /* the last of two counts */
	assert_int_equal(b.output_expires_after_s, 3600);
	taken(&kimi, "{" GOOD WINDOW ",\"metadata\":{\"k\":\"v\"}}", &b);
	assert_string_equal(b.metadata, "{\"k\":\"v\"}");
	batch_done(&b);
}

static void refuses_what_is_no_object(void **state)
{
	static const char *const bodies[] = { "",
					      "{",
					      "[]",
					      "null",
					      "\"text\"",
					      "{} x",
					      "{\"a\":NaN}",
					      "{\"a\"}",
					      "{\"a\":\"\xff\"}" };
	static char deep[100001];

	(void)state;
	memset(deep, '[', sizeof(deep) - 1);
	refused(deep, "", NULL, "We could not parse the JSON body of your request.");
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		refused(bodies[i], "", NULL, "We could not parse the JSON body of your request.");
}

static void refuses_missing_members_and_wrong_types(void **state)
{
	static const char *const members[] = { "input_file_id", "endpoint", "completion_window" };
	static const char *const types[] = { "5", "1.5", "true", "[]", "{}" };
	char body[300], message[100];

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(members); m++) {
		snprintf(message, sizeof(message), "Missing required parameter: '%s'.", members[m]);
		snprintf(body, sizeof(body), "{" GOOD WINDOW ",\"%s\":null}", members[m]);
		refused(body, members[m], "missing_required_parameter", message);
		for (size_t t = 0; t < ARRAY_LEN(types); t++) {
			snprintf(body, sizeof(body), "{" GOOD WINDOW ",\"%s\":%s}", members[m],
				 types[t]);
			refused(body, members[m], "invalid_type", NULL);
		}
	}
	refused("{}", "input_file_id", "missing_required_parameter", NULL);
	refused("{" GOOD WINDOW ",\"metadata\":[]}", "metadata", "invalid_type", NULL);
}

static void refuses_values(void **state)
{
	(void)state;
	refused("{\"input_file_id\":\"f\",\"endpoint\":\"/v1/x\"," WINDOW "}", "endpoint",
		"invalid_value", NULL);
	refused("{" GOOD "\"completion_window\":\"1h\"}", "completion_window", "invalid_value",
		NULL);
	refused("{" GOOD "\"completion_window\":\"24h\\u0000\"}", "completion_window",
		"invalid_value", NULL);
	refused("{" GOOD WINDOW ",\"input_file_id\":\"\"}", "input_file_id", "invalid_value", NULL);
	refused("{" GOOD WINDOW ",\"input_file_id\":\"a\\u0000b\"}", "input_file_id",
		"invalid_value", NULL);
	refused("{" GOOD WINDOW
		",\"input_file_id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
		"input_file_id", "invalid_value", NULL);
}

static void refuses_expiry(void **state)
{
	static const struct {
		const char *policy, *param, *code;
	} policies[] = {
		{ "5", "output_expires_after", "invalid_type" },
		{ "{\"seconds\":3600}", "output_expires_after.anchor",
		  "missing_required_parameter" },
		{ "{\"anchor\":\"created_at\"}", "output_expires_after.seconds",
		  "missing_required_parameter" },
		{ "{\"anchor\":\"x\",\"seconds\":3600}", "output_expires_after.anchor",
		  "invalid_value" },
		{ "{\"anchor\":\"created_at\",\"seconds\":\"3600\"}",
		  "output_expires_after.seconds", "invalid_type" },
		{ "{\"anchor\":\"created_at\",\"seconds\":3600.5}", "output_expires_after.seconds",
		  "invalid_type" },
		{ "{\"anchor\":\"created_at\",\"seconds\":3599}", "output_expires_after.seconds",
		  "integer_below_min_value" },
		{ "{\"anchor\":\"created_at\",\"seconds\":2592001}", "output_expires_after.seconds",
		  "integer_above_max_value" },
	};
	char body[400];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
		snprintf(body, sizeof(body), "{" GOOD WINDOW ",\"output_expires_after\":%s}",
			 policies[i].policy);
		refused(body, policies[i].param, policies[i].code, NULL);
	}
}

static void messages_by_profile(void **state)
{
	struct batch b = { 0 };
	struct error err;
	uint64_t window_s;
	struct slice body = SLICE("{" GOOD "\"completion_window\":\"1h\"}");

	(void)state;
	assert_false(create_read(body, &openai, &b, &window_s, &err));
	assert_string_equal(err.message, "Invalid value: '1h'. Supported values are: '24h'.");
	assert_false(create_read(body, &kimi, &b, &window_s, &err));
	assert_non_null(strstr(err.message, "12h"));
	assert_non_null(strstr(err.message, "7d"));
	body = SLICE("{\"input_file_id\":\"f\",\"endpoint\":\"/v1/x\"," WINDOW "}");
	assert_false(create_read(body, &kimi, &b, &window_s, &err));
	assert_string_equal(
		err.message,
		"Invalid value: '/v1/x'. Supported values are: '/v1/chat/completions'.");
}

static void content_tells_creates_apart(void **state)
{
	static const char *const bodies[] = {
		"{" GOOD WINDOW "}",
		"{" GOOD WINDOW ",\"metadata\":{}}",
		"{" GOOD WINDOW ",\"metadata\":{\"k\":\"v\"}}",
		"{" GOOD WINDOW ",\"input_file_id\":\"file-2\"}",
		"{" GOOD "\"completion_window\":\"1d\"}",
		"{" GOOD WINDOW ",\"output_expires_after\":{\"anchor\":\"created_at\","
		"\"seconds\":3600}}",
	};
	struct buf content[ARRAY_LEN(bodies)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct batch b;
		content[i] = BUF(4096);
		taken(&kimi, bodies[i], &b);
		create_content(&b, &content[i]);
		batch_done(&b);
		for (size_t k = 0; k < i; k++)
			assert_false(slice_eq(buf_slice(&content[i]), buf_slice(&content[k])));
	}
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		buf_free(&content[i]);
}

/* ---- a retry (11.3): what it does not say is the parent's ---- */

static void a_retry_takes_from_its_parent_what_it_does_not_say(void **state)
{
	static const char parent_body[] =
		"{" GOOD "\"completion_window\":\"3d\",\"metadata\":{\"k\":\"v\"},\"lowtide\":"
		"{\"on_invalid_line\":\"skip\",\"override\":{\"n\":1}},\"output_expires_after\":"
		"{\"anchor\":\"created_at\",\"seconds\":3600}}";
	static const char *const empty[] = { "", "{}", "{\"metadata\":null,\"lowtide\":null}" };
	struct batch parent, b;
	struct error err;
	uint64_t window_s;

	(void)state;
	taken(&kimi, parent_body, &parent);
	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		b = (struct batch){ 0 };
		assert_true(
			create_read_again(slice_of(empty[i]), &kimi, &parent, &b, &window_s, &err));
		assert_int_equal(window_s, 3 * 86400);
		assert_string_equal(b.endpoint, parent.endpoint);
		assert_string_equal(b.completion_window, "3d");
		assert_string_equal(b.metadata, "{\"k\":\"v\"}");
		assert_int_equal(b.output_expires_after_s, 3600);
		assert_true(b.options.skip_invalid);
		assert_string_equal(b.options.override, "{\"n\":1}");
		assert_ptr_not_equal(b.options.override, parent.options.override);
		batch_done(&b);
	}
	b = (struct batch){ 0 };
	assert_true(create_read_again(
		SLICE("{\"completion_window\":\"1d\",\"metadata\":{},\"lowtide\":"
		      "{\"mixed_models\":true},\"endpoint\":5,\"input_file_id\":[]}"),
		&kimi, &parent, &b, &window_s, &err));
	assert_string_equal(b.completion_window, "1d");
	assert_string_equal(b.metadata, "{}");
	assert_true(b.options.mixed_models);
	assert_false(b.options.skip_invalid); /* `lowtide` is one member */
	assert_null(b.options.override);
	batch_done(&b);
	batch_done(&parent);
}

static void a_retry_refuses_as_a_create_does(void **state)
{
	static const struct {
		const char *body, *param, *code;
	} bad[] = {
		{ "[]", "", NULL },
		{ "{", "", NULL },
		{ "{\"completion_window\":1}", "completion_window", "invalid_type" },
		{ "{\"completion_window\":\"1w\"}", "completion_window", "invalid_value" },
		{ "{\"metadata\":\"x\"}", "metadata", "invalid_type" },
		{ "{\"lowtide\":[]}", "lowtide", "invalid_type" },
		{ "{\"lowtide\":{\"mixed_models\":1}}", "lowtide.mixed_models", "invalid_type" },
	};
	struct batch parent;
	struct error err;
	uint64_t window_s;

	(void)state;
	taken(&kimi, "{" GOOD WINDOW "}", &parent);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct batch b = { 0 };
		assert_false(create_read_again(slice_of(bad[i].body), &kimi, &parent, &b, &window_s,
					       &err));
		assert_int_equal(err.kind, ERR_INVALID);
		assert_string_equal(err.param, bad[i].param);
		if (bad[i].code != NULL)
			assert_string_equal(err.code, bad[i].code);
		batch_done(&b);
	}
	/* the parent's window may have been allowed then, and not be now */
	struct batch b = { 0 };
	strcpy(parent.completion_window, "3d");
	assert_false(create_read_again(SLICE(""), &openai, &parent, &b, &window_s, &err));
	assert_string_equal(err.param, "completion_window");
	batch_done(&b);
	batch_done(&parent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_right),
		cmocka_unit_test(refuses_what_is_no_object),
		cmocka_unit_test(refuses_missing_members_and_wrong_types),
		cmocka_unit_test(refuses_values),
		cmocka_unit_test(refuses_expiry),
		cmocka_unit_test(messages_by_profile),
		cmocka_unit_test(content_tells_creates_apart),
		cmocka_unit_test(a_retry_takes_from_its_parent_what_it_does_not_say),
		cmocka_unit_test(a_retry_refuses_as_a_create_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
