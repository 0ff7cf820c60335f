/* Times in the past as people write them. */
#include "unit.h"

#include <time.h>

#include "terminal/since.h"

#define NOW INT64_C(1796072405) /* 2026-11-30 21:00:05 UTC */

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t at;
	} cases[] = {
		{ "2h", NOW - 7200 },
		{ "3d", NOW - 259200 },
		{ "0s", NOW },
		{ "1796072405", NOW },
		{ "0", 0 },
		{ "2026-11-30", NOW - 75605 },
		{ "2026-11-30 21:00", NOW - 5 },
		{ "2026-11-30T21:00", NOW - 5 },
		{ "2026-11-30T21:00:05", NOW },
		{ "2024-02-29", INT64_C(1709164800) },
	};
	int64_t at;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(since_read(cases[i].text, NOW, &at));
		assert_int_equal(at, cases[i].at);
	}
}

static void what_is_none_is_refused(void **state)
{
	static const char *const cases[] = { "",
					     "yesterday",
					     "2w",
					     "-3d",
					     "2026-13-01",
					     "2026-11-30 ",
					     "1796072405123456",
					     "12x",
					     "2026-11-30 21",
					     "2026-02-29",
					     "2026-02-31",
					     "2026-04-31 12:00",
					     "1900-02-29",
					     "2026-11-00",
					     "2026-11-32",
					     "2026-11-30T24:00",
					     "2026-11-30T21:60",
					     "2026-11-30T23:59:60" };
	int64_t at;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_false(since_read(cases[i], NOW, &at));
}

/* Beirut put its clocks forward at midnight; Berlin at two. */
static void a_clock_put_forward_takes_no_day_away(void **state)
{
	static const struct {
		const char *zone, *text;
		int64_t at;
	} cases[] = {
		{ "Asia/Beirut", "2022-03-27", INT64_C(1648332000) },
		{ "Europe/Berlin", "2026-03-29 02:30", INT64_C(1774747800) },
	};
	int64_t at;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		setenv("TZ", cases[i].zone, 1);
		tzset();
		assert_true(since_read(cases[i].text, NOW, &at));
		assert_in_range(at, cases[i].at - 3600, cases[i].at + 3600);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(times, setup),
		cmocka_unit_test_setup(what_is_none_is_refused, setup),
		cmocka_unit_test_setup(a_clock_put_forward_takes_no_day_away, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
