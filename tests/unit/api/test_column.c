/* Members of a struct, found by a table: each type as text. */
#include "unit.h"

#include <math.h>

#include "api/column.h"

struct row {
	bool yes;
	unsigned small;
	uint64_t large;
	int64_t below;
	double real;
	struct slice slice;
	const char *text;
	char *owned;
	char chars[8];
};

static char owned[] = "o";
static const struct row row = {
	.yes = true,
	.small = UINT_MAX,
	.large = UINT64_MAX,
	.below = INT64_MIN,
	.real = 0.1,
	.slice = SLICE("s"),
	.text = "t",
	.owned = owned,
	.chars = "c",
};
static const struct row nothing = { .real = NAN };

static void number_is(struct column c, unsigned decimals, const char *expected)
{
	AUTO(buf_free) struct buf to = BUF(1024);

	column_number(c, &row, decimals, &to);
	assert_false(column_is_text(c));
	assert_true(slice_is(buf_slice(&to), expected));
}

static void numbers(void **state)
{
	(void)state;
	number_is((struct column){ COLUMN_ONE, 0 }, 0, "1");
	number_is((struct column)COLUMN(struct row, yes), 0, "1");
	number_is((struct column)COLUMN(struct row, small), 0, "4294967295");
	number_is((struct column)COLUMN(struct row, large), 0, "18446744073709551615");
	number_is((struct column)COLUMN(struct row, below), 0, "-9223372036854775808");
	number_is((struct column)COLUMN(struct row, real), 0, "0.10000000000000001");
	number_is((struct column)COLUMN(struct row, real), 3, "0.100");
	number_is((struct column)COLUMN(struct row, real), DECIMALS_NONE, "0");
}

static void text_is(struct column c, const char *expected)
{
	assert_true(column_is_text(c));
	assert_true(slice_is(column_text(c, &row), expected));
	assert_false(column_is_empty(c, &row));
	assert_true(column_is_empty(c, &nothing));
}

static void texts(void **state)
{
	(void)state;
	text_is((struct column)COLUMN(struct row, slice), "s");
	text_is((struct column)COLUMN(struct row, text), "t");
	text_is((struct column)COLUMN(struct row, owned), "o");
	text_is((struct column)COLUMN(struct row, chars), "c");
}

static void what_is_empty_negative_or_unknown(void **state)
{
	static const struct column of[] = {
		COLUMN(struct row, yes),
		COLUMN(struct row, small),
		COLUMN(struct row, large),
		COLUMN(struct row, below),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		assert_false(column_is_empty(of[i], &row));
		assert_true(column_is_empty(of[i], &nothing));
		assert_false(column_is_unknown(of[i], &nothing));
	}
	assert_true(column_is_negative(of[3], &row));
	assert_false(column_is_negative(of[3], &nothing));
	assert_true(column_is_unknown((struct column)COLUMN(struct row, real), &nothing));
	assert_false(column_is_unknown((struct column)COLUMN(struct row, real), &row));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(texts),
		cmocka_unit_test(what_is_empty_negative_or_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
