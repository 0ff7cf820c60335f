/* Metadata: limits in characters, echoed as it was written. */
#include "unit.h"

#include "api/metadata.h"
#include "base/buf.h"

static void gives(const char *text, const char *expected)
{
	struct error err;
	char *echo;

	assert_true(metadata_read(slice_of(text), &echo, &err));
	assert_string_equal(echo, expected);
	free(echo);
}

static void refused(const char *text, const char *param, const char *code)
{
	struct error err;
	char *echo;

	if (metadata_read(slice_of(text), &echo, &err))
		fail_msg("taken: %s", text);
	assert_string_equal(err.param, param);
	assert_string_equal(err.code, code);
}

static void is_echoed_as_written(void **state)
{
	(void)state;
	gives("{}", "{}");
	gives(" { \n } ", "{}");
	gives("{ \"a\" : \"b\" ,\n\"c\":\"d\"}", "{\"a\":\"b\",\"c\":\"d\"}");
	gives("{\"\":\"\"}", "{\"\":\"\"}");
	gives("{\"\\u0061\\n\":\"\\ud83d\\ude00\\u0000\xf0\x9f\x98\x80\"}",
	      "{\"\\u0061\\n\":\"\\ud83d\\ude00\\u0000\xf0\x9f\x98\x80\"}");
}

static void other_types_are_named(void **state)
{
	struct error err;
	char *echo;

	(void)state;
	refused("{\"good\":\"x\",\"tags\":[]}", "metadata.tags", "invalid_type");
	refused("{\"n\":1}", "metadata.n", "invalid_type");
	refused("{\"n\":null}", "metadata.n", "invalid_type");
	assert_false(metadata_read(SLICE("{\"t\":[1]}"), &echo, &err));
	assert_string_equal(err.message, "Invalid type for 'metadata.t': expected a string, but "
					 "got an array instead.");
	assert_false(metadata_read(SLICE("{\"t\":1.5}"), &echo, &err));
	assert_non_null(strstr(err.message, "got a decimal number"));
}

/* `n` characters, each written as `character`. */
static void add_text(struct buf *to, const char *character, size_t n)
{
	buf_char(to, '"');
	while (n-- > 0)
		buf_text(to, character);
	buf_char(to, '"');
}

static void check_lengths(const char *character, size_t key, size_t value, const char *code)
{
	struct buf text = BUF(1 << 20);
	struct error err;
	char *echo = NULL;

	buf_char(&text, '{');
	add_text(&text, character, key);
	buf_char(&text, ':');
	add_text(&text, character, value);
	buf_char(&text, '}');
	assert_int_equal(metadata_read(buf_slice(&text), &echo, &err), code == NULL);
	if (code != NULL)
		assert_string_equal(err.code, code);
	free(echo);
	buf_free(&text);
}

static void lengths_are_counted_in_characters(void **state)
{
	static const char *const characters[] = {
		"a",       "\xc3\xa9",       "\xe4\xb8\x96", "\xf0\x9f\x98\x80",
		"\\u00e9", "\\ud83d\\ude00", "\\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(characters); i++) {
		check_lengths(characters[i], 64, 512, NULL);
		check_lengths(characters[i], 65, 512, "property_name_above_max_length");
		check_lengths(characters[i], 64, 513, "string_above_max_length");
	}
}

static void pairs_are_counted(void **state)
{
	(void)state;
	for (int n = 15; n <= 18; n++) {
		char text[400] = "{";
		for (int i = 0; i < n; i++)
			sprintf(text + strlen(text), "%s\"k%d\":\"v\"", i > 0 ? "," : "", i);
		strcat(text, "}");
		if (n <= 16)
			gives(text, text);
		else
			refused(text, "metadata", "object_above_max_properties");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_echoed_as_written),
		cmocka_unit_test(other_types_are_named),
		cmocka_unit_test(lengths_are_counted_in_characters),
		cmocka_unit_test(pairs_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
