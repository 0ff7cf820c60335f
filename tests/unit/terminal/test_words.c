/* Numbers, sizes and times as people read them. */
#include "unit.h"

#include <time.h>

#include "terminal/words.h"

static char to[WORDS_BYTES];

static void numbers(void **state)
{
	static const struct {
		int64_t value;
		const char *text;
	} cases[] = { { 0, "0" },
		      { 999, "999" },
		      { 1000, "1,000" },
		      { 1234567, "1,234,567" },
		      { -1, "-1" },
		      { -123, "-123" },
		      { -123456, "-123,456" },
		      { INT64_MAX, "9,223,372,036,854,775,807" },
		      { INT64_MIN, "-9,223,372,036,854,775,808" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		words_number(cases[i].value, to);
		assert_string_equal(to, cases[i].text);
	}
}

static void sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = { { 0, "0 B" },
		      { 170, "170 B" },
		      { 1023, "1023 B" },
		      { 1024, "1.0 KB" },
		      { 1536, "1.5 KB" },
		      { (1u << 20) - 1, "1.0 MB" },
		      { UINT64_C(8456) << 20, "8.3 GB" },
		      { UINT64_MAX, "16.0 EB" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		words_bytes(cases[i].bytes, to);
		assert_string_equal(to, cases[i].text);
	}
}

static void ages(void **state)
{
	static const struct {
		int64_t at;
		const char *text;
	} cases[] = { { 1000000, "now" },      { 999955, "45s ago" },   { 1000045, "in 45s" },
		      { 992500, "2h05m ago" }, { 1273600, "in 3d04h" }, { INT64_MIN, "?" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		words_age(cases[i].at, 1000000, to);
		assert_string_equal(to, cases[i].text);
	}
}

static void times(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	words_time(1796072405, to);
	assert_string_equal(to, "2026-11-30 21:00:05");
	words_time(INT64_MAX, to); /* no date is so far */
	assert_string_equal(to, "9223372036854775807");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(sizes),
		cmocka_unit_test(ages),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
