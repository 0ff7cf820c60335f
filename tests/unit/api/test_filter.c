/* What a list of batches is asked for (contract 11.3), and how a bad value is refused (5.2). */
#include "unit.h"

#include "api/filter.h"

static struct batch_filter filter;
static struct error err;

static bool add(const char *name, const char *value)
{
	return filter_add(&filter, name, value, &err);
}

static void refused(const char *name, const char *value, const char *param, const char *code)
{
	filter_begin(&filter);
	if (add(name, value))
		fail_msg("%s=%s was taken", name, value);
	assert_int_equal(err.kind, ERR_INVALID);
	assert_string_equal(err.param, param);
	assert_string_equal(err.code, code);
}

static void what_is_asked_for(void **state)
{
	(void)state;
	filter_begin(&filter);
	assert_int_equal(filter.query.statuses, 0);
	assert_true(add("status", "failed,expired") && add("status", "failed") &&
		    add("status[]", "in_progress"));
	assert_int_equal(filter.query.statuses,
			 1u << BATCH_FAILED | 1u << BATCH_EXPIRED | 1u << BATCH_IN_PROGRESS);
	assert_true(add("created_after", "0") && add("created_before", "0"));
	assert_int_equal(filter.query.created_after, 0);
	assert_int_equal(filter.query.created_before, 1); /* nothing was */
	assert_true(add("created_after", "1750000000") && add("created_before", "1750000001"));
	assert_int_equal(filter.query.created_after, 1750000000);
	assert_int_equal(filter.query.created_before, 1750000001);
	assert_true(add("metadata[a[b]]", "x=y&z") && add("metadata[]", ""));
	assert_int_equal(filter.query.label_count, 2);
	assert_string_equal(filter.query.labels[0].key, "a[b]");
	assert_string_equal(filter.query.labels[0].value, "x=y&z");
	assert_string_equal(filter.query.labels[1].key, "");
	assert_true(add("limit", "no") && add("anything", "") && add("metadat", "x") &&
		    add("metadataa", ""));
}

static void bad_values(void **state)
{
	static const char *const statuses[] = { "",
						"done",
						"failed,",
						",failed",
						"failed,,expired",
						"failed, expired",
						"Failed",
						"failed;expired" };
	static const char *const names[] = { "metadata", "metadata[", "metadata[a", "metadata[a]b",
					     "metadata[\xff]" };
	char text[600], name[600];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		refused("status", statuses[i], "status", "invalid_value");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		refused(names[i], "x", "metadata", "invalid_value");
	refused("created_after", "yesterday", "created_after", "invalid_type");
	refused("created_before", "", "created_before", "invalid_type");
	refused("created_before", "1.5", "created_before", "invalid_type");
	refused("created_after", "-1", "created_after", "integer_below_min_value");
	refused("metadata[a]", "\xc3", "metadata.a", "invalid_value");
	memset(text, 'v', 513);
	text[513] = '\0';
	refused("metadata[a]", text, "metadata.a", "string_above_max_length");
	snprintf(name, sizeof(name), "metadata[%.65s]", text);
	refused(name, "x", "metadata", "property_name_above_max_length");
	snprintf(name, sizeof(name), "metadata[%.300s]", text);
	refused(name, "x", "metadata", "property_name_above_max_length");
}

/* Lengths are characters, not bytes; as many pairs as a batch may have. */
static void the_longest_and_the_most(void **state)
{
	char key[300] = "metadata[", value[2100] = "", name[32];

	(void)state;
	for (int i = 0; i < METADATA_KEY_CHARACTERS_MAX; i++)
		strcat(key, "\U0001f600");
	strcat(key, "]");
	for (int i = 0; i < METADATA_VALUE_CHARACTERS_MAX; i++)
		strcat(value, "\U0001f600");
	filter_begin(&filter);
	assert_true(add(key, value));
	assert_int_equal(strlen(filter.query.labels[0].key), 256);
	for (unsigned i = 1; i < BATCH_LABELS_MAX; i++) {
		snprintf(name, sizeof(name), "metadata[%u]", i);
		assert_true(add(name, "v"));
	}
	assert_false(add("metadata[more]", "v"));
	assert_string_equal(err.param, "metadata");
	assert_string_equal(err.code, "object_above_max_properties");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_for),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(the_longest_and_the_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
