/* Why a text is not JSON: one case a rule of the grammar, and agreement with the scanner on any
 * text. */
#include "unit.h"

#include <stdlib.h>

#include "base/attr.h"
#include "base/json.h"
#include "base/json_fault.h"

static void each_fault_has_a_place_and_a_reason(void **state)
{
	static const struct {
		const char *text;
		size_t column;
		const char *reason;
		enum json_fault_kind kind;
	} cases[] = {
		{ "{\"custom_id\":\"1\",}", 18, "a comma is followed by }", JSON_FAULT_OTHER },
		{ "{\"a\":1} ,", 9, "a comma follows the object", JSON_FAULT_END_COMMA },
		{ "{\"a\":1}, {\"b\":2}", 8, "something follows the value", JSON_FAULT_OTHER },
		{ "{\"a\":1}{\"b\":2}", 8, "a second object", JSON_FAULT_OTHER },
		{ "{\"a\": NaN}", 7, "NaN is no number in JSON", JSON_FAULT_NAN },
		{ "{\"a\": -Infinity}", 7, "Infinity is no number in JSON", JSON_FAULT_NAN },
		{ "{\"a\": None}", 7, "None is Python; JSON has null", JSON_FAULT_OTHER },
		{ "{\"a\": True}", 7, "JSON has true", JSON_FAULT_OTHER },
		{ "{\"a\": hello}", 7, "'hello' is no value", JSON_FAULT_OTHER },
		{ "{\"a\": 'x'}", 7, "single quotes", JSON_FAULT_OTHER },
		{ "{'a': 1}", 2, "a name stands in single quotes", JSON_FAULT_OTHER },
		{ "{a: 1}", 2, "a name in double quotes", JSON_FAULT_OTHER },
		{ "{\"a\" 1}", 6, "1 stands where a colon must", JSON_FAULT_OTHER },
		{ "{\"a\": 1 \"b\": 2}", 9, "a comma or }", JSON_FAULT_OTHER },
		{ "{\"a\": [1 2]}", 10, "a comma or ]", JSON_FAULT_OTHER },
		{ "{\"a\": [1,]}", 10, "] stands where a value must", JSON_FAULT_OTHER },
		{ "{\"a\": 01}", 8, "a comma or }", JSON_FAULT_OTHER },
		{ "{\"a\": 1.x}", 7, "no number", JSON_FAULT_OTHER },
		{ "{\"\u00fc\u00fc\": \"\\q\"}", 9, "no escape", JSON_FAULT_OTHER },
		{ "{\"a\": \"x\ty\"}", 9, "U+0009 stands in a text unescaped", JSON_FAULT_OTHER },
		{ "{\"a\": \"\xff\"}", 8, "byte 0xFF is not UTF-8", JSON_FAULT_OTHER },
		{ "{", 2, "the line ends inside an object", JSON_FAULT_CUT },
		{ "{\"a\": \"x", 9, "the line ends inside a text", JSON_FAULT_CUT },
		{ "{\"a\": [1,", 10, "the line ends inside", JSON_FAULT_CUT },
		{ "{\"a\"", 5, "the line ends inside an object", JSON_FAULT_CUT },
		{ "\xff\xfe{", 1, "byte 0xFF stands where a value must", JSON_FAULT_OTHER },
		{ "", 1, "the line ends inside a value", JSON_FAULT_CUT },
		{ "}", 1, "} stands where a value must", JSON_FAULT_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct json_fault fault;
		assert_true(json_fault_find(slice_of(cases[i].text), &fault));
		if (strstr(fault.reason, cases[i].reason) == NULL)
			fail_msg("%s: '%s', not '%s'", cases[i].text, fault.reason,
				 cases[i].reason);
		if (fault.column != cases[i].column)
			fail_msg("%s: column %zu, not %zu", cases[i].text, fault.column,
				 cases[i].column);
		assert_int_equal(fault.kind, cases[i].kind);
	}
}

static void deep_text_is_told(void **state)
{
	char text[JSON_DEPTH_MAX + 2];
	struct json_fault fault;

	(void)state;
	memset(text, '[', sizeof(text));
	assert_true(json_fault_find((struct slice){ text, sizeof(text) }, &fault));
	assert_non_null(strstr(fault.reason, "nested"));
	assert_int_equal(fault.column, JSON_DEPTH_MAX + 1);
}

/* Whatever the text, it has a fault exactly where the scanner refuses it, inside the text. */
static void it_agrees_with_the_scanner(void **state)
{
	static const char alphabet[] = "{}[]\",:\\u0a1-.eN \xc3\xbc\xfft'";
	unsigned bad = 0;

	(void)state;
	srand(1); // NOLINT(cert-msc32-c,cert-msc51-cpp): the same texts each time
	for (unsigned i = 0; i < 200000; i++) {
		char text[24];
		struct json j;
		struct slice value;
		struct json_fault fault;
		size_t n = (size_t)rand() % sizeof(text); // NOLINT: any numbers will do
		for (size_t k = 0; k < n; k++)
			text[k] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)]; // NOLINT
		if (i % 2 == 0 && n > 0)
			text[0] = '{';
		json_init(&j, (struct slice){ text, n });
		bool good = json_skip(&j, &value) && json_end(&j);
		assert_int_equal(json_fault_find((struct slice){ text, n }, &fault), !good);
		if (good)
			continue;
		bad++;
		assert_in_range(fault.column, 1, n + 1);
		assert_true(fault.reason[0] != '\0');
	}
	assert_true(bad > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fault_has_a_place_and_a_reason),
		cmocka_unit_test(deep_text_is_told),
		cmocka_unit_test(it_agrees_with_the_scanner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
