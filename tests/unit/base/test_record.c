#include "unit.h"

#include <math.h>

#include "base/record.h"

struct row {
	bool flag;
	unsigned count;
	uint64_t big;
	int64_t at;
	double rate;
	struct slice name;
	const char *word;
	char message[8];
};

#define R(member) RECORD(struct row, member)
static const struct record_field fields[] = { R(flag), R(count), R(big),  R(at),
					      R(rate), R(name),  R(word), R(message) };

static char text[400];

static bool read_text(const char *line, struct row *ret)
{
	char *next = text, *rest;

	snprintf(text, sizeof(text), "%s", line);
	assert_string_equal(record_next(&next, &rest), "row");
	*ret = (struct row){ 0 };
	return record_read(rest, fields, ARRAY_LEN(fields), ret);
}

static void what_is_written_is_read(void **state)
{
	const struct row row = { true,          4000000000u, UINT64_MAX,
				 INT64_MIN + 1, 0.25,        SLICE("a\tb\nc%d\xc3\xa4\x01"),
				 "w",           "seven77" };
	AUTO(buf_free) struct buf to = BUF(1000);
	struct row back;

	(void)state;
	record_write(&to, "row", fields, ARRAY_LEN(fields), &row);
	buf_char(&to, '\0');
	assert_string_equal(to.p,
			    "row\t1\t4000000000\t18446744073709551615\t-9223372036854775807\t0.25\t"
			    "a%09b%0ac%25d%c3%a4%01\tw\tseven77\n");
	assert_true(read_text(to.p, &back));
	assert_true(back.flag && back.count == row.count && back.big == row.big &&
		    back.at == row.at);
	assert_true(back.rate == row.rate && slice_eq(back.name, row.name));
	assert_string_equal(back.word, "w");
	assert_string_equal(back.message, "seven77");
}

static void what_is_not_there_is_read(void **state)
{
	struct row row = { .rate = NAN }, back;
	AUTO(buf_free) struct buf to = BUF(1000);

	(void)state;
	record_write(&to, "row", fields, ARRAY_LEN(fields), &row);
	buf_char(&to, '\0');
	assert_true(read_text(to.p, &back));
	assert_true(isnan(back.rate) && back.word == NULL && back.name.n == 0);
}

static void lines_of_others_are_read_or_refused(void **state)
{
	struct row back;

	(void)state;
	assert_true(read_text("row\t0\t1\t2\t3\t4\tn\tw\tmuch too long\tmore\tof it\n", &back));
	assert_string_equal(back.message, "much to");
	const char *bad[] = { "row\n",
			      "row\t0\t1\t2\t3\t4\tn\tw\n",
			      "row\t2\t1\t2\t3\t4\tn\tw\tm\n",
			      "row\t0\t4294967296\t2\t3\t4\tn\tw\tm\n",
			      "row\t0\t-1\t2\t3\t4\tn\tw\tm\n",
			      "row\t0\t1\t18446744073709551616\t3\t4\tn\tw\tm\n",
			      "row\t0\t1\t2\t3\tinf\tn\tw\tm\n",
			      "row\t0\t1\t2\t3\t4x\tn\tw\tm\n",
			      "row\t0\t1\t2\t3\t\tn\tw\tm\n",
			      "row\t0\t1\t2\t--3\t4\tn\tw\tm\n",
			      "row\t0\t1\t2\t3\t4\tn%0\tw\tm\n",
			      "row\t0\t1\t2\t3\t4\tn%00\tw\tm\n",
			      "row\t0\t1\t2\t3\t4\t%zz\tw\tm\n",
			      "row\t0\t1\t2\t9223372036854775808\t4\tn\tw\tm\n" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(read_text(bad[i], &back));
}

static void lines_one_after_another(void **state)
{
	char lines[] = "a\tx\n\nb", *next = lines, *rest;

	(void)state;
	assert_string_equal(record_next(&next, &rest), "a");
	assert_string_equal(rest, "x");
	assert_string_equal(record_next(&next, &rest), "");
	assert_null(rest);
	assert_string_equal(record_next(&next, &rest), "b");
	assert_null(record_next(&next, &rest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_is_not_there_is_read),
		cmocka_unit_test(lines_of_others_are_read_or_refused),
		cmocka_unit_test(lines_one_after_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
