/* The nouns' tables against the contract. */
#include "unit.h"

#include "batch/batch.h"

/* ---- states (contract 6) ---- */

static void the_states_have_the_names_of_the_contract(void **state)
{
	static const char *const names[] = { "validating", "in_progress", "finalizing",
					     "cancelling", "completed",   "failed",
					     "expired",    "cancelled" };
	enum batch_status status;

	(void)state;
	assert_int_equal(BATCH_STATUS_COUNT, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_true(batch_status_from_name(slice_of(names[i]), &status));
		assert_string_equal(batch_status_name(status), names[i]);
	}
	assert_false(batch_status_from_name(SLICE(""), &status));
	assert_false(batch_status_from_name(SLICE("Completed"), &status));
	assert_false(batch_status_from_name(SLICE("complete"), &status));
}

/* All 64 pairs. Written from the contract's table by hand, so that it is not the code's table that
 * is compared with itself. Rows go on to columns; both in the order of the enum. */
static void exactly_the_edges_of_the_contract_exist(void **state)
{
	static const char *const may[BATCH_STATUS_COUNT] = {
		/*                     va ip fi ca co fa ex cd */
		[BATCH_VALIDATING] = "-  x  -  x  -  x  x  x",
		[BATCH_IN_PROGRESS] = "-  -  x  x  -  x  x  -",
		[BATCH_FINALIZING] = "-  -  -  x  x  x  -  -",
		[BATCH_CANCELLING] = "-  -  -  -  -  -  -  x",
		[BATCH_COMPLETED] = "-  -  -  -  -  -  -  -",
		[BATCH_FAILED] = "-  -  -  -  -  -  -  -",
		[BATCH_EXPIRED] = "-  -  -  -  -  -  -  -",
		[BATCH_CANCELLED] = "-  -  -  -  -  -  -  -",
	};

	(void)state;
	for (unsigned from = 0; from < BATCH_STATUS_COUNT; from++)
		for (unsigned to = 0; to < BATCH_STATUS_COUNT; to++)
			if (batch_may(from, to) != (may[from][3 * to] == 'x'))
				fail_msg("%s -> %s", batch_status_name(from),
					 batch_status_name(to));
}

static void four_states_are_final(void **state)
{
	(void)state;
	for (unsigned status = 0; status < BATCH_STATUS_COUNT; status++)
		assert_int_equal(batch_is_final(status),
				 status == BATCH_COMPLETED || status == BATCH_FAILED ||
					 status == BATCH_EXPIRED || status == BATCH_CANCELLED);
}

static void done_frees_and_may_be_repeated(void **state)
{
	struct batch b = { .model = strdup("m"), .errors = strdup("[]") };

	(void)state;
	batch_done(&b);
	assert_null(b.model);
	assert_null(b.errors);
	batch_done(&b);
}

static void purposes(void **state)
{
	(void)state;
	assert_string_equal(file_purpose_name(PURPOSE_BATCH), "batch");
	assert_string_equal(file_purpose_name(PURPOSE_BATCH_OUTPUT), "batch_output");
}

/* ---- windows (contract 5.1, 16.16) ---- */

#define HOUR UINT64_C(3600)
#define DAY (24 * HOUR)

static const struct window_rule kimi = { .min_s = 12 * HOUR, .max_s = 7 * DAY };
static const struct window_rule openai = { .min_s = DAY, .max_s = DAY, .only_24h = true };
static const struct window_rule short_ones = { .min_s = 1,
					       .max_s = 7 * DAY,
					       .seconds_and_minutes = true };

static void assert_window(const struct window_rule *rule, const char *text, uint64_t seconds)
{
	uint64_t window_s = 0;

	if (!window_parse(slice_of(text), rule, &window_s))
		fail_msg("'%s' is refused", text);
	assert_int_equal(window_s, seconds);
}

static void assert_no_window(const struct window_rule *rule, const char *text)
{
	uint64_t window_s = 77;

	if (window_parse(slice_of(text), rule, &window_s))
		fail_msg("'%s' is taken", text);
	assert_int_equal(window_s, 77);
}

static void kimi_takes_hours_and_days_from_12h_to_7d(void **state)
{
	static const char *const bad[] = { "11h",
					   "8d",
					   "169h",
					   "0d",
					   "1.5d",
					   "24",
					   "24H",
					   "-1d",
					   "1w",
					   "",
					   "01d",
					   "024h",
					   " 24h",
					   "24h ",
					   "+1d",
					   "1d1",
					   "h",
					   "d",
					   "24hh",
					   "1440m",
					   "86400s",
					   "0h",
					   "18446744073709551617d" };

	(void)state;
	assert_window(&kimi, "12h", 12 * HOUR);
	assert_window(&kimi, "24h", DAY);
	assert_window(&kimi, "1d", DAY);
	assert_window(&kimi, "3d", 3 * DAY);
	assert_window(&kimi, "7d", 7 * DAY);
	assert_window(&kimi, "168h", 7 * DAY);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_no_window(&kimi, bad[i]);
	assert_false(window_parse((struct slice){ NULL, 0 }, &kimi, &(uint64_t){ 0 }));
	assert_false(window_parse(SLICE("1\0d"), &kimi, &(uint64_t){ 0 }));
}

static void openai_takes_24h_alone(void **state)
{
	static const char *const bad[] = { "12h",   "1d", "3d", "7d",  "168h",
					   "1440m", "24", "",   "024h" };

	(void)state;
	assert_window(&openai, "24h", DAY);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_no_window(&openai, bad[i]);
}

static void shorter_windows_where_configured(void **state)
{
	(void)state;
	assert_window(&short_ones, "1s", 1);
	assert_window(&short_ones, "90m", 5400);
	assert_window(&short_ones, "24h", DAY);
	assert_no_window(&short_ones, "0s");
	assert_no_window(&short_ones, "8d");
	assert_no_window(&short_ones, "01m");
}

static void assert_described(const struct window_rule *rule, const char *expected)
{
	char text[128];

	window_describe(rule, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void windows_are_described(void **state)
{
	static const struct window_rule hours = { .min_s = 12 * HOUR, .max_s = DAY };
	char small[8];

	(void)state;
	assert_described(&kimi, "a whole number of hours or days from 12h to 7d, "
				"such as '24h' or '3d'");
	assert_described(&openai, "'24h'");
	assert_described(&short_ones, "a whole number of seconds, minutes, hours or days "
				      "from 1s to 7d, such as '24h' or '3d'");
	assert_described(&hours, "a whole number of hours or days from 12h to 1d, such as '1d'");
	window_describe(&kimi, small, sizeof(small));
	assert_string_equal(small, "a whole");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_states_have_the_names_of_the_contract),
		cmocka_unit_test(exactly_the_edges_of_the_contract_exist),
		cmocka_unit_test(four_states_are_final),
		cmocka_unit_test(done_frees_and_may_be_repeated),
		cmocka_unit_test(purposes),
		cmocka_unit_test(kimi_takes_hours_and_days_from_12h_to_7d),
		cmocka_unit_test(openai_takes_24h_alone),
		cmocka_unit_test(shorter_windows_where_configured),
		cmocka_unit_test(windows_are_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
