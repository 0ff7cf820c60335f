/* Buffers: the edge, all or nothing, and JSON strings of whatever bytes. */
#include "unit.h"

#include "base/buf.h"

static void assert_holds(const struct buf *b, const char *text)
{
	assert_int_equal(b->n, strlen(text));
	assert_memory_equal(b->p, text, b->n);
}

static void it_grows_to_its_largest_size_and_no_further(void **state)
{
	struct buf b = BUF(1000);

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_char(&b, (char)('a' + i % 26));
	assert_false(b.failed);
	assert_int_equal(b.n, 1000);
	assert_true(b.cap <= 1000);
	buf_char(&b, '!');
	assert_true(b.failed);
	assert_int_equal(b.n, 1000);
	assert_int_equal(b.p[999], 'a' + 999 % 26);
	buf_clear(&b);
	assert_false(b.failed);
	buf_text(&b, "again");
	assert_holds(&b, "again");
	buf_free(&b);
	assert_int_equal(b.max, 1000);
	buf_text(&b, "and again");
	assert_holds(&b, "and again");
	buf_free(&b);
}

static void after_one_failure_appends_do_nothing(void **state)
{
	struct buf b = BUF(8);

	(void)state;
	buf_text(&b, "1234");
	buf_text(&b, "56789");
	assert_true(b.failed);
	buf_char(&b, 'x'); /* would fit, but the text would have a hole */
	buf_u64(&b, 1);
	buf_printf(&b, "%d", 1);
	assert_false(buf_reserve(&b, 0));
	assert_holds(&b, "1234");
	buf_free(&b);
}

static void sizes_that_overflow_are_refused(void **state)
{
	struct buf b = BUF(SIZE_MAX);

	(void)state;
	buf_char(&b, 'x');
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
	buf_free(&b);
}

static void empty_appends_are_fine(void **state)
{
	struct buf b = BUF(0);

	(void)state;
	buf_append(&b, NULL, 0);
	buf_text(&b, "");
	buf_add(&b, (struct slice){ NULL, 0 });
	assert_false(b.failed);
	assert_int_equal(buf_slice(&b).n, 0);
	buf_free(&b);
}

static void numbers_and_formats(void **state)
{
	struct buf b = BUF(4096);
	char expected[600];

	(void)state;
	buf_u64(&b, 0);
	buf_char(&b, ' ');
	buf_u64(&b, UINT64_MAX);
	buf_printf(&b, " %s-%d", "n", -5);
	assert_holds(&b, "0 18446744073709551615 n--5");
	buf_clear(&b);
	buf_printf(&b, "%*d", 599, 1); /* longer than the room kept on the stack */
	snprintf(expected, sizeof(expected), "%*d", 599, 1);
	assert_holds(&b, expected);
	buf_free(&b);

	struct buf tight = BUF(4);
	buf_printf(&tight, "%d", 1234); /* fills it to the last byte: no room for a NUL */
	assert_false(tight.failed);
	assert_holds(&tight, "1234");
	buf_free(&tight);
}

static void assert_json(struct slice from, const char *expected)
{
	struct buf b = BUF(4096);

	buf_json_string(&b, from);
	assert_false(b.failed);
	assert_holds(&b, expected);
	buf_free(&b);
}

static void json_strings(void **state)
{
	(void)state;
	assert_json((struct slice){ NULL, 0 }, "\"\"");
	assert_json(SLICE("plain"), "\"plain\"");
	assert_json(SLICE("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
	assert_json(SLICE("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
	assert_json(SLICE("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"");
	assert_json(SLICE("潮汐 😀 é"), "\"潮汐 😀 é\"");
}

#define BAD "\xEF\xBF\xBD"

/* One U+FFFD for each longest beginning of a character, as Unicode's table 3-8 and Python do. */
static void json_strings_of_bytes_that_are_no_utf8(void **state)
{
	(void)state;
	assert_json(SLICE("a\xFFz"), "\"a" BAD "z\"");
	assert_json(SLICE("\x80"), "\"" BAD "\"");
	assert_json(SLICE("\xC0\xAF"), "\"" BAD BAD "\"");         /* overlong '/' */
	assert_json(SLICE("\xED\xA0\x80"), "\"" BAD BAD BAD "\""); /* surrogate */
	assert_json(SLICE("\xF4\x90\x80\x80"), "\"" BAD BAD BAD BAD "\"");
	assert_json(SLICE("\xF0\x9F\x98"), "\"" BAD "\"");     /* cut off */
	assert_json(SLICE("\xE6\xBD\"q"), "\"" BAD "\\\"q\""); /* cut off by a quote */
	assert_json(SLICE("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\"" BAD BAD BAD BAD "A\"");
}

static void a_json_string_is_appended_whole_or_not_at_all(void **state)
{
	(void)state;
	for (size_t max = 0; max < 20; max++) {
		struct buf b = BUF(max);
		buf_text(&b, "k:");
		buf_json_string(&b, SLICE("ab\ncd\"ef\xFF"));
		if (max < 2)
			assert_int_equal(b.n, 0);
		else if (b.failed)
			assert_holds(&b, "k:");
		else
			assert_holds(&b, "k:\"ab\\ncd\\\"ef" BAD "\"");
		assert_int_equal(b.failed, max < 17);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_grows_to_its_largest_size_and_no_further),
		cmocka_unit_test(after_one_failure_appends_do_nothing),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(empty_appends_are_fine),
		cmocka_unit_test(numbers_and_formats),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(json_strings_of_bytes_that_are_no_utf8),
		cmocka_unit_test(a_json_string_is_appended_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
