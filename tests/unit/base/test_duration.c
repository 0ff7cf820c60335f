/* Durations and sizes as people write them. */
#include "unit.h"

#include <inttypes.h>

#include "base/duration.h"

static void durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds;
	} good[] = { { "0s", 0 },      { "30s", 30 },
		     { "10m", 600 },   { "12h", 43200 },
		     { "7d", 604800 }, { "90m", 5400 },
		     { "0d", 0 },      { "1099511627776s", UINT64_C(1) << 40 } };
	static const char *const bad[] = { "",
					   "s",
					   "5",
					   "5 s",
					   " 5s",
					   "+5s",
					   "-1d",
					   "05s",
					   "00s",
					   "1.5d",
					   "24H",
					   "1w",
					   "1hh",
					   "1h ",
					   "1099511627777s",
					   "18446744073709551616s",
					   "99999999999999999d" };
	uint64_t seconds;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!duration_parse(slice_of(good[i].text), &seconds))
			fail_msg("'%s' is refused", good[i].text);
		assert_int_equal(seconds, good[i].seconds);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (duration_parse(slice_of(bad[i]), &seconds))
			fail_msg("'%s' is taken", bad[i]);
	assert_false(duration_parse((struct slice){ "7\0d", 3 }, &seconds));
}

static void assert_duration(uint64_t seconds, const char *expected)
{
	char text[24];
	uint64_t back;

	duration_format(seconds, text);
	assert_string_equal(text, expected);
	if (seconds <= UINT64_C(1) << 40) {
		assert_true(duration_parse(slice_of(text), &back));
		assert_int_equal(back, seconds);
	}
}

static void durations_are_shown_in_the_shortest_exact_form(void **state)
{
	(void)state;
	assert_duration(0, "0s");
	assert_duration(59, "59s");
	assert_duration(3600, "1h");
	assert_duration(5400, "90m");
	assert_duration(86400, "1d");
	assert_duration(36 * 3600, "36h");
	assert_duration(86401, "86401s");
	assert_duration(UINT64_MAX, "18446744073709551615s");
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = { { "0", 0 },
		     { "1000", 1000 },
		     { "7B", 7 },
		     { "64KB", 65536 },
		     { "100MB", 104857600 },
		     { "8GB", UINT64_C(8) << 30 },
		     { "2TB", UINT64_C(2) << 40 },
		     { "18446744073709551615", UINT64_MAX } };
	static const char *const bad[] = {
		"",          "MB",    "-1",  "1 MB", "1mb",
		"1M",        "1.5MB", "1PB", "1MBB", "18446744073709551616",
		"16777216TB"
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!size_parse(slice_of(good[i].text), &bytes))
			fail_msg("'%s' is refused", good[i].text);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (size_parse(slice_of(bad[i]), &bytes))
			fail_msg("'%s' is taken", bad[i]);
}

static void assert_size(uint64_t bytes, const char *expected)
{
	char text[24];
	uint64_t back;

	size_format(bytes, text);
	assert_string_equal(text, expected);
	assert_true(size_parse(slice_of(text), &back));
	assert_int_equal(back, bytes);
}

static void sizes_are_shown_exactly(void **state)
{
	(void)state;
	assert_size(0, "0B");
	assert_size(1000, "1000B");
	assert_size(104857600, "100MB");
	assert_size(1536, "1536B");
	assert_size(UINT64_C(10) << 40, "10TB");
	assert_size(UINT64_MAX, "18446744073709551615B");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(durations_are_shown_in_the_shortest_exact_form),
		cmocka_unit_test(sizes),
		cmocka_unit_test(sizes_are_shown_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
