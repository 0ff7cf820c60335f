/* Hours of a batch as text (contract 11.1). */
#include "unit.h"

#include "batch/options.h"

static void hours_are_read(void **state)
{
	struct batch_hours h;

	(void)state;
	assert_true(batch_hours_read(SLICE("22:00-06:30"), &h));
	assert_int_equal(h.from_min, 22 * 60);
	assert_int_equal(h.to_min, 6 * 60 + 30);
	assert_string_equal(h.zone, "");
	assert_true(batch_hours_read(SLICE("00:00-23:59 America/Argentina/Buenos_Aires"), &h));
	assert_int_equal(h.from_min, 0);
	assert_int_equal(h.to_min, 23 * 60 + 59);
	assert_string_equal(h.zone, "America/Argentina/Buenos_Aires");
}

static void other_texts_are_no_hours(void **state)
{
	static const char *const texts[] = {
		"",
		"22:00",
		"22:00-06:0",
		"22:00-24:00",
		"25:00-06:00",
		"22:60-06:00",
		"2200-0600",
		"22:00-22:00",
		"22:00-06:00 ",
		"22:00-06:00Z",
		"22:00 06:00",
		" 22:00-06:00",
		"-1:00-06:00",
		"22:0a-06:00",
	};
	struct batch_hours h;
	char zone[80] = "22:00-06:00 ";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (batch_hours_read(slice_of(texts[i]), &h))
			fail_msg("taken: %s", texts[i]);
	assert_false(batch_hours_read((struct slice){ "22:00-06:00 a\0b", 15 }, &h));
	memset(zone + 12, 'z', 63);
	assert_true(batch_hours_read((struct slice){ zone, 12 + 63 }, &h));
	zone[12 + 63] = 'z';
	assert_false(batch_hours_read((struct slice){ zone, 12 + 64 }, &h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hours_are_read),
		cmocka_unit_test(other_texts_are_no_hours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
