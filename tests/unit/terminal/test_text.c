/* Strangers' text on a terminal: what gets through, how wide it is, where it is cut. */
#include "unit.h"

#include "terminal/text.h"

#define BAD "\xef\xbf\xbd"

static char shown[4096];

static const char *plain(const char *text)
{
	AUTO(buf_free) struct buf b = BUF(sizeof(shown) - 1);

	text_plain(&b, slice_of(text));
	assert_false(b.failed);
	memcpy(shown, b.p, b.n);
	shown[b.n] = '\0';
	return shown;
}

static void nothing_moves_the_cursor_or_turns_text_around(void **state)
{
	static const struct {
		const char *text, *plain;
	} cases[] = {
		{ "plain", "plain" },
		{ "caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd", "caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd" },
		{ "\x1b[2J", BAD "[2J" },
		{ "a\nb\tc\rd\x7f", "a" BAD "b" BAD "c" BAD "d" BAD },
		{ "\xc2\x9b"
		  "31m",
		  BAD "31m" }, /* CSI of C1 */
		{ "\xe2\x80\xae"
		  "fdp.exe\xe2\x80\xac",
		  BAD "fdp.exe" BAD }, /* right to left override, and its end */
		{ "\xe2\x81\xa6x\xe2\x81\xa9", BAD "x" BAD },
		{ "\xe2\x80\xa8", BAD }, /* line separator */
		{ "\xff\xc3", BAD BAD },
		{ "\xed\xa0\x80", BAD BAD BAD }, /* a surrogate */
		{ BAD, BAD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(plain(cases[i].text), cases[i].plain);
}

static void escapes_stand_in_json(void **state)
{
	AUTO(buf_free) struct buf b = BUF(200);
	struct slice rest = slice_of("\"a\x7f\xc2\x9b\xe2\x80\xae\xe4\xbd\xa0\xe2\x80\xac\"");

	(void)state;
	while (rest.n > 0)
		text_escape_next(&b, &rest);
	buf_char(&b, '\0');
	assert_string_equal(b.p, "\"a\\u007f\\u009b\\u202e\xe4\xbd\xa0\\u202c\"");
}

static void widths(void **state)
{
	static const struct {
		const char *text;
		size_t width;
	} cases[] = {
		{ "", 0 },
		{ "abc", 3 },
		{ "caf\xc3\xa9", 4 },
		{ "cafe\xcc\x81", 4 },             /* an accent of its own */
		{ "\xe4\xbd\xa0\xe5\xa5\xbd", 4 }, /* two wide ones */
		{ "\xf0\x9f\x98\x80", 2 },         /* an emoji */
		{ "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", 4 },
		{ BAD, 1 },
		{ "\xff", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(text_width(slice_of(cases[i].text)), cases[i].width);
}

static const char *cut(const char *text, size_t columns)
{
	AUTO(buf_free) struct buf b = BUF(sizeof(shown) - 1);
	size_t width = text_cut(&b, slice_of(text), columns);

	assert_false(b.failed);
	assert_int_equal(width, text_width(buf_slice(&b)));
	assert_true(width <= columns);
	buf_char(&b, '\0');
	memcpy(shown, b.p, b.n);
	return shown;
}

static void text_is_cut_between_characters(void **state)
{
	static const struct {
		const char *text;
		size_t columns;
		const char *cut;
	} cases[] = {
		{ "abcdef", 6, "abcdef" },
		{ "abcdef", 5, "abcd\xe2\x80\xa6" },
		{ "abcdef", 1, "\xe2\x80\xa6" },
		{ "abcdef", 0, "" },
		{ "", 0, "" },
		/* half of a wide one is not shown */
		{ "\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97", 6,
		  "\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97" },
		{ "\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97", 5,
		  "\xe4\xbd\xa0\xe5\xa5\xbd\xe2\x80\xa6" },
		{ "\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97", 4, "\xe4\xbd\xa0\xe2\x80\xa6" },
		/* an accent goes with its letter */
		{ "e\xcc\x81"
		  "e\xcc\x81"
		  "e\xcc\x81",
		  3,
		  "e\xcc\x81"
		  "e\xcc\x81"
		  "e\xcc\x81" },
		{ "e\xcc\x81"
		  "e\xcc\x81"
		  "e\xcc\x81",
		  2, "e\xcc\x81\xe2\x80\xa6" },
		/* what is joined is not parted */
		{ "a\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"
		  "bc",
		  4, "a\xe2\x80\xa6" },
		{ "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"
		  "bc",
		  5, "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb\xe2\x80\xa6" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(cut(cases[i].text, cases[i].columns), cases[i].cut);
}

/* Whatever the bytes: no overrun (ASan), and never wider than asked. */
static void any_bytes_are_cut(void **state)
{
	char text[64];
	uint32_t r = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = round % sizeof(text);
		for (size_t i = 0; i < n; i++) {
			r = r * 1664525 + 1013904223;
			text[i] = (char)(r >> 24);
		}
		AUTO(buf_free) struct buf whole = BUF(4096), part = BUF(4096);
		char *own = malloc(n + 1); /* of that size, so that a byte too many is seen */
		assert_non_null(own);
		memcpy(own, text, n);
		text_plain(&whole, (struct slice){ own, n });
		(void)text_width((struct slice){ own, n });
		assert_true(text_cut(&part, (struct slice){ own, n }, round % 17) <= round % 17);
		free(own);
		for (size_t i = 0; i < whole.n; i++)
			assert_true((unsigned char)whole.p[i] >= 0x20 && whole.p[i] != 0x7f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_moves_the_cursor_or_turns_text_around),
		cmocka_unit_test(escapes_stand_in_json),
		cmocka_unit_test(widths),
		cmocka_unit_test(text_is_cut_between_characters),
		cmocka_unit_test(any_bytes_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
