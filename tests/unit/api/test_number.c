/* Integers of a query: contract 5.2's three codes. */
#include "unit.h"

#include "api/number.h"

static void check(const char *text, const char *code, int64_t value)
{
	struct error err;
	int64_t n;

	bool ok = number_read("limit", slice_of(text), 1, 100, &n, &err);
	if (code == NULL) {
		assert_true(ok);
		assert_int_equal(n, value);
		return;
	}
	if (ok)
		fail_msg("'%s' was taken as %lld", text, (long long)n);
	assert_string_equal(err.code, code);
	assert_string_equal(err.param, "limit");
}

static void numbers(void **state)
{
	static const char *const none[] = { "",   "-",  "a",  "1.5",  "1e1",
					    "+1", " 1", "1 ", "0x10", "--1" };
	static const char *const above[] = { "101", "9223372036854775807", "9223372036854775808",
					     "99999999999999999999999" };
	static const char *const below[] = { "0", "-0", "-1", "-99999999999999999999999" };

	(void)state;
	check("1", NULL, 1);
	check("100", NULL, 100);
	check("0042", NULL, 42);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		check(none[i], "invalid_type", 0);
	for (size_t i = 0; i < ARRAY_LEN(above); i++)
		check(above[i], "integer_above_max_value", 0);
	for (size_t i = 0; i < ARRAY_LEN(below); i++)
		check(below[i], "integer_below_min_value", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(numbers) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
