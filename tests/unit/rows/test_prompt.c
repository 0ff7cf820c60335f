/* Prompts with columns in them. */
#include "unit.h"

#include "rows/prompt.h"

static void puts_values_in_their_places(void **state)
{
	static const struct slice values[] = { SLICE("A{b}"), SLICE("B\n") };
	AUTO(buf_free) struct buf text = BUF(1024);
	struct column_names names = { 0 };
	struct prompt p;
	struct error err;

	(void)state;
	assert_true(prompt_read("--prompt", "{{{a}}} {b c}{a}", &names, &p, &err));
	assert_int_equal(names.count, 2);
	assert_string_equal(names.list[0], "a");
	assert_string_equal(names.list[1], "b c");
	prompt_fill(&p, values, &text);
	assert_true(slice_is(buf_slice(&text), "{A{b}} B\nA{b}"));
	prompt_done(&p);
	names_done(&names);
}

static void refuses_a_brace_that_stands_alone(void **state)
{
	static const char *const texts[] = { "{a", "a}", "{a{b}", "{", "}", "x {a} }", "{{{" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct column_names names = { 0 };
		struct prompt p;
		struct error err;

		assert_false(prompt_read("--prompt", texts[i], &names, &p, &err));
		assert_int_equal(err.kind, ERR_INVALID);
		assert_non_null(strstr(err.message, "written twice"));
		names_done(&names);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_values_in_their_places),
		cmocka_unit_test(refuses_a_brace_that_stands_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
