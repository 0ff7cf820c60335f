/* One record of a table: where it ends, its fields, what is wrong with it, and the way back. */
#include "unit.h"

#include "rows/csv.h"

static struct csv_record record;

/* The fields, unquoted, with | between them. */
static const char *fields_of(struct slice text)
{
	static char shown[512];
	size_t n = 0;

	for (size_t i = 0; i < record.count; i++) {
		const struct csv_field *f = &record.fields[i];
		struct slice field = { text.p + f->at, f->n };

		if (i > 0)
			shown[n++] = '|';
		if (f->doubled)
			n += csv_unquote(field, shown + n);
		else if (f->n > 0) {
			memcpy(shown + n, field.p, field.n);
			n += field.n;
		}
	}
	shown[n] = '\0';
	return shown;
}

static void reads_what_rfc_4180_has(void **state)
{
	static const struct {
		const char *text, *fields;
		size_t bytes, end;
	} cases[] = {
		{ "a,b\nc", "a|b", 3, 1 },
		{ "a,b\r\nc", "a|b", 3, 2 },
		{ "a,b\rc", "a|b", 3, 1 },
		{ "a,b", "a|b", 3, 0 },
		{ ",\n", "|", 1, 1 },
		{ "\"\"\n", "", 2, 1 },
		{ "\"a,b\",c\n", "a,b|c", 7, 1 },
		{ "\"a\r\nb\",c\n", "a\r\nb|c", 8, 1 },
		{ "\"a\"\"b\"\"\",c\n", "a\"b\"|c", 10, 1 },
		{ "a\"b\",c \"d\"\n", "a\"b\"|c \"d\"", 10, 1 },
		{ " \"a\"\n", " \"a\"", 4, 1 },
		{ "\"\"\"\"\n", "\"", 4, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice text = slice_of(cases[i].text);
		assert_int_equal(csv_read(text, true, ',', &record), CSV_RECORD);
		assert_string_equal(fields_of(text), cases[i].fields);
		assert_int_equal(record.bytes, cases[i].bytes);
		assert_int_equal(record.end_bytes, cases[i].end);
	}
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	assert_int_equal(csv_read(SLICE("a,\"b\n"), true, ',', &record), CSV_OPEN);
	assert_int_equal(csv_read(SLICE("a,\"b\" ,c\n"), true, ',', &record), CSV_TRAILING);
	assert_int_equal(record.count, 2);
	assert_int_equal(csv_read(SLICE("a,\"b\"c\n"), true, ',', &record), CSV_TRAILING);
}

/* Never too early: a quote may be doubled, a CR may be half of a line end. */
static void waits_for_what_decides(void **state)
{
	static const char *const cut[] = { "a", "a,", "\"a", "\"a\"", "\"a\"\"", "a\r", "\"a\"\r" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cut); i++)
		assert_int_equal(csv_read(slice_of(cut[i]), false, ',', &record), CSV_MORE);
	assert_int_equal(csv_read(SLICE("a\n"), false, ',', &record), CSV_RECORD);
	assert_int_equal(csv_read(SLICE("a\rb"), false, ',', &record), CSV_RECORD);
}

static void counts_lines(void **state)
{
	(void)state;
	assert_int_equal(csv_read(SLICE("\"a\n\nb\",\"\n\"\r\nx"), true, ',', &record), CSV_RECORD);
	assert_int_equal(record.lines, 4);
}

static void counts_fields_beyond_those_it_keeps(void **state)
{
	size_t n = CSV_FIELDS_MAX + 10;
	char *many = malloc(n);

	(void)state;
	assert_non_null(many);
	memset(many, ',', n);
	assert_int_equal(csv_read((struct slice){ many, n }, true, ',', &record), CSV_RECORD);
	assert_int_equal(record.count, n + 1);
	assert_int_equal(record.room, CSV_FIELDS_MAX);
	free(many);
}

static void finds_the_delimiter_where_it_is_sure(void **state)
{
	static const struct {
		const char *header;
		char delimiter;
	} cases[] = {
		{ "a,b\n1;2", ',' },
		{ "a;b\n", ';' },
		{ "a\tb", '\t' },
		{ "a\nb,c", '\0' },
		{ "a,b;c", '?' },
		{ "id,\"text; more\"\n", ',' },
		{ "\"a,\"\"\n;\"\tb", '\t' },
		{ "a\"b,\"c;\"", ',' },
	};
	char found;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(csv_delimiter(slice_of(cases[i].header), true, &found));
		assert_int_equal(found, cases[i].delimiter);
	}
	assert_false(csv_delimiter(SLICE("a,b"), false, &found));
}

static void writes_quotes_where_they_are_needed(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "a b", "a b" },
		{ "a,b", "\"a,b\"" },
		{ "a;b", "a;b" },
		{ "\"", "\"\"\"\"" },
		{ "a\nb", "\"a\nb\"" },
		{ "a\rb", "\"a\rb\"" },
	};
	AUTO(buf_free) struct buf to = BUF(1024);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&to);
		csv_write(&to, slice_of(cases[i][0]), ',');
		assert_true(slice_is(buf_slice(&to), cases[i][1]));
	}
}

static int done(void **state)
{
	(void)state;
	csv_record_done(&record);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_rfc_4180_has),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(waits_for_what_decides),
		cmocka_unit_test(counts_lines),
		cmocka_unit_test(counts_fields_beyond_those_it_keeps),
		cmocka_unit_test(finds_the_delimiter_where_it_is_sure),
		cmocka_unit_test(writes_quotes_where_they_are_needed),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
