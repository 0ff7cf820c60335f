/* Range, If-None-Match, Accept-Encoding: header in, decision out. */
#include "unit.h"

#include "api/conditions.h"

static void check_part(const char *header, uint64_t size, uint64_t first, uint64_t last)
{
	uint64_t offset, length;

	if (range_read(header, size, &offset, &length) != RANGE_PART)
		fail_msg("%s of %llu is no part", header, (unsigned long long)size);
	assert_int_equal(offset, first);
	assert_int_equal(length, last - first + 1);
}

static void ranges(void **state)
{
	(void)state;
	check_part("bytes=0-0", 10, 0, 0);
	check_part("bytes=0-9", 10, 0, 9);
	check_part("bytes=3-", 10, 3, 9);
	check_part("bytes=9-", 10, 9, 9);
	check_part("bytes=-1", 10, 9, 9);
	check_part("bytes=-10", 10, 0, 9);
	check_part("bytes=-11", 10, 0, 9);
	check_part("bytes=5-10", 10, 5, 9);
	check_part("BYTES=5-99999999999999999999999", 10, 5, 9);
	check_part("bytes=-99999999999999999999999", 10, 0, 9);
	check_part("bytes=4294967296-4294967297", UINT64_C(1) << 40, 4294967296, 4294967297);
}

static void ranges_outside(void **state)
{
	static const char *const outside[] = { "bytes=10-", "bytes=10-10", "bytes=-0",
					       "bytes=99999999999999999999999-" };
	uint64_t offset, length;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(outside); i++)
		assert_int_equal(range_read(outside[i], 10, &offset, &length), RANGE_UNSATISFIABLE);
	assert_int_equal(range_read("bytes=0-", 0, &offset, &length), RANGE_UNSATISFIABLE);
	assert_int_equal(range_read("bytes=-5", 0, &offset, &length), RANGE_UNSATISFIABLE);
}

static void ranges_that_are_none(void **state)
{
	static const char *const none[] = {
		"",           "bytes",      "bytes=",        "bytes=-",    "bytes=5-2",
		"bytes=a-b",  "bytes=1-2,", "bytes=1-2,5-6", "lines=0-5",  "bytes= 1-2",
		"bytes=1-2 ", "bytes=1",    "bytes=--5",     "bytes=+1-2", " bytes=1-2",
	};
	uint64_t offset, length;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		if (range_read(none[i], 10, &offset, &length) != RANGE_NONE)
			fail_msg("'%s' was taken for a range", none[i]);
	assert_int_equal(range_read(NULL, 10, &offset, &length), RANGE_NONE);
}

static void etags(void **state)
{
	static const char *const same[] = { "\"a1\"",          "*",
					    "W/\"a1\"",        "\"x\", \"a1\"",
					    "\"x\",W/\"a1\" ", "\"a1-gzip\"" };
	static const char *const other[] = { "",      "\"\"",       "a1",
					     "\"a\"", "\"a11\"",    "\"A1\"",
					     "\"a1",  "\"a1-gzi\"", "\"x\", \"y\"",
					     "W/",    "\"" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_true(etag_listed(same[i], "\"a1\""));
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		assert_false(etag_listed(other[i], "\"a1\""));
	assert_false(etag_listed(NULL, "\"a1\""));
}

static void gzip_is_packed_only_for_who_asks(void **state)
{
	static const char *const asks[] = { "gzip",
					    "GZIP",
					    " gzip ",
					    "gzip;q=1.0",
					    "gzip;q=0.001",
					    "gzip, identity;q=0.5",
					    "gzip;q=0.9, *;q=0",
					    "br;q=0.5, gzip" };
	static const char *const does_not[] = {
		"",
		"identity",
		"br",
		"notgzip",
		"gzipped",
		"gzip;q=0",
		"gzip;q=0.0",
		"deflate, gzip;q=0",
		"gzip;q=x",
		"gzip;x=1",
		"*",
		"gzip, deflate",
		"gzip, deflate, br",
		"gzip;q=2",
		"gzip;",
		"gzip, *",
		"gzip;q=0.5, br;q=0.6",
		"gzip;q=-1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asks); i++)
		if (!gzip_asked(asks[i]))
			fail_msg("'%s' asks for gzip", asks[i]);
	for (size_t i = 0; i < ARRAY_LEN(does_not); i++)
		if (gzip_asked(does_not[i]))
			fail_msg("'%s' does not ask for gzip", does_not[i]);
	assert_false(gzip_asked(NULL));
}

static void packed_is_sent_to_who_takes_it(void **state)
{
	static const char *const takes[] = { "gzip", "gzip, deflate, br, zstd",
					     "br;q=1.0, GZIP;q=0.1" };
	static const char *const does_not[] = { "",  "identity", "br",          "gzip;q=0",
						"*", "gzipped",  "deflate, br", "gzip;q=x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(takes); i++)
		assert_true(gzip_taken(takes[i]));
	for (size_t i = 0; i < ARRAY_LEN(does_not); i++)
		assert_false(gzip_taken(does_not[i]));
	assert_false(gzip_taken(NULL));
}

static void browsers_ask_for_pages(void **state)
{
	static const char *const pages[] = {
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"application/json, Text/HTML;q=0.1",
	};
	static const char *const others[] = { "",       "*/*",           "application/json",
					      "text/*", "text/html;q=0", "text/htmlx" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		assert_true(html_taken(pages[i]));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(html_taken(others[i]));
	assert_false(html_taken(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(ranges_outside),
		cmocka_unit_test(ranges_that_are_none),
		cmocka_unit_test(etags),
		cmocka_unit_test(gzip_is_packed_only_for_who_asks),
		cmocka_unit_test(packed_is_sent_to_who_takes_it),
		cmocka_unit_test(browsers_ask_for_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
