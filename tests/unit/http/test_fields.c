/* What a header may be (RFC 9110, 5.5 and 5.6.2; RFC 9112, 5.2), byte by byte: rows W1, W2, W4. */
#include "unit.h"

#include "http/fields.h"

static void every_byte_of_a_name(void **state)
{
	static const char others[] = "!#$%&'*+-.^_`|~"
				     "0123456789"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	(void)state;
	for (int c = 0; c < 256; c++) {
		char name[] = { 'a', (char)c, 'b' };
		bool token = c != 0 && strchr(others, c) != NULL;
		assert_int_equal(field_fault((struct slice){ name, 3 }, SLICE("v")) == NULL, token);
		assert_int_equal(field_is_token((struct slice){ name + 1, 1 }), token);
	}
	assert_non_null(field_fault(SLICE(""), SLICE("v")));
}

static void every_byte_of_a_value(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char value[] = { 'a', (char)c, 'b' };
		bool allowed = c == '\t' || (c >= ' ' && c != 0x7f);
		assert_int_equal(field_fault(SLICE("n"), (struct slice){ value, 3 }) == NULL,
				 allowed);
	}
	assert_null(field_fault(SLICE("n"), SLICE("")));
}

static void lines(void **state)
{
	static const struct {
		struct slice line;
		const char *name, *value; /* NULL: refused */
	} cases[] = {
		{ SLICE("A: b"), "A", "b" },
		{ SLICE("A:b"), "A", "b" },
		{ SLICE("A: \t b c\t "), "A", "b c" },
		{ SLICE("A:"), "A", "" },
		{ SLICE("A: :b:"), "A", ":b:" },
		{ SLICE(""), NULL, NULL },
		{ SLICE(" A: b"), NULL, NULL },
		{ SLICE("\tA: b"), NULL, NULL },
		{ SLICE(" "), NULL, NULL },
		{ SLICE("A b"), NULL, NULL },
		{ SLICE("A : b"), NULL, NULL },
		{ SLICE(": b"), NULL, NULL },
		{ SLICE("A: b\r"), NULL, NULL },
		{ SLICE("A: b\0c"), NULL, NULL },
		{ SLICE("A\0: c"), NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice name, value;
		bool ok = field_read(cases[i].line, &name, &value) == NULL;
		assert_int_equal(ok, cases[i].name != NULL);
		if (ok)
			assert_true(slice_is(name, cases[i].name) &&
				    slice_is(value, cases[i].value));
	}
}

static void names_and_lists(void **state)
{
	(void)state;
	assert_true(field_is_hop_by_hop(SLICE("transfer-ENCODING")));
	assert_true(field_is_hop_by_hop(SLICE("Te")));
	assert_false(field_is_hop_by_hop(SLICE("Ten")));
	assert_false(field_is_hop_by_hop(SLICE("")));
	assert_true(field_list_has(SLICE("close, X-Hop"), SLICE("x-hop")));
	assert_true(field_list_has(SLICE("X-Hop ,close"), SLICE("x-hop")));
	assert_true(field_list_has(SLICE(",,\tx-hop"), SLICE("X-Hop")));
	assert_false(field_list_has(SLICE("x-hop-2, x"), SLICE("x-hop")));
	assert_false(field_list_has(SLICE(""), SLICE("x")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_a_name),
		cmocka_unit_test(every_byte_of_a_value),
		cmocka_unit_test(lines),
		cmocka_unit_test(names_and_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
