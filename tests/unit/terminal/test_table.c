/* Tables: widths, what gives way where there is little room, alignment, colour, many rows. */
#include "unit.h"

#include "terminal/member.h"
#include "terminal/table.h"

#define NOW 1000000

static void put_state(struct table_cell *cell, const json_t *object)
{
	buf_text(cell->text, member_string(object, "state"));
	cell->color = COLOR_GREEN;
}

static const struct table_column columns[] = {
	{ "ID", "id" },
	{ "STATE", .put = put_state },
	{ "LINES", "counts.total", TABLE_NUMBER, .gives_way = 1 },
	{ "CREATED", "created_at", TABLE_AGE, .gives_way = 2 },
	{ "NAME", "name", .shrinks = true },
};

static struct buf out;

static struct table table(size_t width)
{
	return (struct table){
		.columns = columns, .count = ARRAY_LEN(columns), .width = width, .now_s = NOW
	};
}

static int setup(void **state)
{
	(void)state;
	out = BUF(64 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

static json_t *object(const char *id, const char *state, json_int_t total, json_int_t at,
		      const char *name)
{
	json_t *o = json_pack("{s:s, s:s, s:{s:I}, s:I, s:s?}", "id", id, "state", state, "counts",
			      "total", total, "created_at", at, "name", name);

	assert_non_null(o);
	return o;
}

static void add(struct table *t, const char *id, const char *state, json_int_t total, json_int_t at,
		const char *name)
{
	json_t *o = object(id, state, total, at, name);

	table_row(t, o, &out);
	json_decref(o);
}

static const char *said(void)
{
	assert_false(out.failed);
	buf_char(&out, '\0');
	return out.p;
}

static const char *two_rows(size_t width)
{
	struct table t = table(width);

	add(&t, "b_1", "done", 1234567, NOW - 7500, "a name that is rather long");
	add(&t, "b_22", "running", 5, NOW - 1, NULL);
	table_end(&t, &out);
	return said();
}

static void numbers_stand_on_the_right_and_what_is_not_there_is_a_dash(void **state)
{
	(void)state;
	assert_string_equal(two_rows(SIZE_MAX),
			    "ID    STATE        LINES  CREATED    NAME\n"
			    "b_1   done     1,234,567  2h05m ago  a name that is rather long\n"
			    "b_22  running          5  1s ago     -\n");
}

static void long_values_are_cut_before_columns_go(void **state)
{
	(void)state;
	assert_string_equal(two_rows(51),
			    "ID    STATE        LINES  CREATED    NAME\n"
			    "b_1   done     1,234,567  2h05m ago  a name that i\xe2\x80\xa6\n"
			    "b_22  running          5  1s ago     -\n");
}

static void the_least_needed_column_goes_first(void **state)
{
	(void)state;
	assert_string_equal(two_rows(48),
			    "ID    STATE        LINES  NAME\n"
			    "b_1   done     1,234,567  a name that is rather\xe2\x80\xa6\n"
			    "b_22  running          5  -\n");
}

static void ids_stay_whole_however_narrow(void **state)
{
	(void)state;
	assert_string_equal(two_rows(5), "ID    STATE    NAME\n"
					 "b_1   done     a name that\xe2\x80\xa6\n"
					 "b_22  running  -\n");
}

/* At every width a line is no wider, as long as something can give way. */
static void lines_fit_at_every_width(void **state)
{
	(void)state;
	for (size_t width = 27; width < 80; width++) {
		buf_clear(&out);
		const char *line = two_rows(width);
		while (*line != '\0') {
			size_t n = strcspn(line, "\n"), cut = 0;
			for (size_t i = 0; i < n; i++)
				cut += (line[i] & 0xc0) == 0x80;
			assert_true(n - cut <= width);
			line += n + 1;
		}
	}
}

static void wide_characters_keep_columns_in_line(void **state)
{
	static const struct table_column names[] = { { "NAME", "name", .shrinks = true },
						     { "ID", "id" } };
	struct table t = { .columns = names, .count = 2, .width = SIZE_MAX };

	(void)state;
	add(&t, "b_1", "", 0, 0, "\xe4\xbd\xa0\xe5\xa5\xbd");
	add(&t, "b_2", "", 0, 0, "caf\xc3\xa9!");
	add(&t, "b_3", "", 0, 0, "x\x1b[31my");
	table_end(&t, &out);
	assert_string_equal(said(), "NAME     ID\n"
				    "\xe4\xbd\xa0\xe5\xa5\xbd     b_1\n"
				    "caf\xc3\xa9!    b_2\n"
				    "x\xef\xbf\xbd[31my  b_3\n");
}

static void colour_takes_no_room(void **state)
{
	struct table t = table(SIZE_MAX);

	(void)state;
	t.count = 2;
	t.colored = true;
	add(&t, "b_1", "done", 0, 0, NULL);
	table_end(&t, &out);
	assert_string_equal(said(), "\033[1mID\033[0m   \033[1mSTATE\033[0m\n"
				    "b_1  \033[32mdone\033[0m\n");
}

static void a_table_without_rows_is_nothing(void **state)
{
	struct table t = table(80);

	(void)state;
	table_end(&t, &out);
	assert_string_equal(said(), "");
}

/* Rows beyond the first thousand come at once, in the widths of these. */
static void of_many_rows_the_first_make_the_widths(void **state)
{
	struct table t = table(SIZE_MAX);

	(void)state;
	t.count = 2;
	for (unsigned i = 0; i < TABLE_ROWS - 1; i++)
		add(&t, "b_1", "done", 0, 0, NULL);
	assert_int_equal(out.n, 0);
	add(&t, "b_1", "done", 0, 0, NULL);
	size_t thousand = out.n;
	assert_int_equal(thousand,
			 sizeof("ID   STATE\n") - 1 + TABLE_ROWS * (sizeof("b_1  done\n") - 1));
	add(&t, "b_1234", "done", 0, 0, NULL);
	assert_int_equal(out.n, thousand + sizeof("b_1234  done\n") - 1);
	assert_null(t.rows);
	table_end(&t, &out);
}

static void put_lines(struct table_cell *cell, const json_t *object)
{
	(void)object;
	buf_text(cell->text, "first\nsecond\n");
}

static void an_object_has_a_line_for_each_value(void **state)
{
	static const struct table_column of_object[] = {
		{ "id", "id" },
		{ "lines", "counts.total", TABLE_NUMBER },
		{ "name", "name" },
		{ "expires", "expires_at", TABLE_TIME },
		{ "errors", .put = put_lines },
		{ "created", "created_at", TABLE_TIME },
	};
	struct table t = { .columns = of_object,
			   .count = ARRAY_LEN(of_object),
			   .width = SIZE_MAX,
			   .now_s = 1796072405 };
	json_t *o = object("b_1", "done", 1000, 1796072345, NULL);

	(void)state;
	setenv("TZ", "UTC", 1);
	table_object(&t, o, &out);
	assert_string_equal(said(), "id       b_1\n"
				    "lines    1,000\n"
				    "errors   first\n"
				    "         second\n"
				    "created  2026-11-30 20:59:05 (1m00s ago)\n");
	json_decref(o);
}

/* What a server sends may be of any type. */
static void a_value_of_another_type_is_shown_as_it_is(void **state)
{
	struct table t = table(SIZE_MAX);
	json_t *o = json_pack("{s:[i,i], s:i, s:s, s:b, s:{s:s}}", "id", 1, 2, "state", 5, "counts",
			      "none", "created_at", 1, "name", "a", "b");

	(void)state;
	assert_non_null(o);
	table_row(&t, o, &out);
	table_row(&t, NULL, &out);
	table_end(&t, &out);
	assert_string_equal(said(), "ID     STATE  LINES  CREATED  NAME\n"
				    "[1,2]  -          -  true     {\"a\":\"b\"}\n"
				    "-      -          -  -        -\n");
	json_decref(o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(numbers_stand_on_the_right_and_what_is_not_there_is_a_dash),
		TEST(long_values_are_cut_before_columns_go),
		TEST(the_least_needed_column_goes_first),
		TEST(ids_stay_whole_however_narrow),
		TEST(lines_fit_at_every_width),
		TEST(wide_characters_keep_columns_in_line),
		TEST(colour_takes_no_room),
		TEST(a_table_without_rows_is_nothing),
		TEST(of_many_rows_the_first_make_the_widths),
		TEST(an_object_has_a_line_for_each_value),
		TEST(a_value_of_another_type_is_shown_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
