/* Progress in figures: speed, spans, the bar at every width, the plain line. */
#include "unit.h"

#include "terminal/meter.h"

static void spans(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = { { 0, "0s" },         { 45, "45s" },         { 60, "1m00s" },
		      { 62, "1m02s" },     { 3599, "59m59s" },    { 3600, "1h00m" },
		      { 7500, "2h05m" },   { 86399, "23h59m" },   { 86400, "1d00h" },
		      { 273600, "3d04h" }, { 8640000, "100d00h" } };
	char text[24];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		meter_span(cases[i].seconds, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void rates(void **state)
{
	static const struct {
		double per_s;
		const char *text;
	} cases[] = { { 0, "0.0" },       { 0.43, "0.4" },    { 7.46, "7.5" },
		      { 9.94, "9.9" },    { 9.96, "10" },     { 532.4, "532" },
		      { 9999, "9999" },   { 12345, "12.3k" }, { 999900, "999.9k" },
		      { 999960, "1.0M" }, { 1234567, "1.2M" } };
	char text[24];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		meter_rate(cases[i].per_s, text);
		assert_string_equal(text, cases[i].text);
	}
}

/* ---- speed ---- */

static struct meter_view speed(const struct meter *m, uint64_t done, uint64_t total)
{
	struct meter_view view = { .done = done, .total = total };

	meter_speed(m, &view);
	return view;
}

static void without_two_samples_nothing_is_known(void **state)
{
	struct meter m = { 0 };

	(void)state;
	assert_int_equal(speed(&m, 0, 10).eta_s, -1);
	meter_add(&m, 1000, 5, 50);
	assert_int_equal(speed(&m, 5, 10).eta_s, -1);
	meter_add(&m, 1000, 5, 50); /* no time has passed */
	assert_int_equal(speed(&m, 5, 10).eta_s, -1);
}

static void steady_speed(void **state)
{
	struct meter m = { 0 };

	(void)state;
	for (uint64_t ms = 0; ms <= 60000; ms += 50)
		meter_add(&m, ms, ms / 10, ms);
	struct meter_view view = speed(&m, 6000, 7000);
	assert_float_equal(view.lines_per_s, 100, 0.01);
	assert_float_equal(view.tokens_per_s, 1000, 0.01);
	assert_int_equal(view.eta_s, 10);
	assert_int_equal(speed(&m, 7000, 7000).eta_s, 0);
}

static void speed_is_that_of_the_last_seconds(void **state)
{
	struct meter m = { 0 };

	(void)state;
	for (uint64_t ms = 0; ms <= 60000; ms += 200) /* 1,000/s at first, then nothing */
		meter_add(&m, ms, ms < 40000 ? ms : 40000, 0);
	struct meter_view view = speed(&m, 40000, 50000);
	assert_float_equal(view.lines_per_s, 0, 0.001);
	assert_int_equal(view.eta_s, -1);
}

static void looks_every_ten_seconds_do(void **state)
{
	struct meter m = { 0 };

	(void)state;
	meter_add(&m, 0, 0, 0);
	meter_add(&m, 10000, 50, 0);
	assert_float_equal(speed(&m, 50, 100).lines_per_s, 5, 0.01);
}

/* ---- the bar ---- */

static const struct meter_view some = {
	.done = 1234,
	.total = 3000,
	.failed = 12,
	.lines_per_s = 532,
	.tokens_per_s = 12345,
	.eta_s = 62,
};

static void assert_bar(const struct meter_view *view, size_t columns, const char *expected)
{
	char text[256];

	meter_bar(view, columns, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void the_bar_gives_way_piece_by_piece(void **state)
{
	(void)state;
	assert_bar(&some, 200,
		   "[===============>                      ]   41%  1234/3000  "
		   "12 failed  532 lines/s  12.3k tokens/s  ETA 1m02s");
	assert_bar(&some, 79,
		   "[===>     ]   41%  1234/3000  12 failed  532 lines/s  "
		   "12.3k tokens/s  ETA 1m02s");
}

static void no_width_is_overrun(void **state)
{
	static const struct meter_view views[] = {
		{ .done = 0, .total = 0, .eta_s = -1 },
		{ .done = 1, .total = 3, .eta_s = -1, .waiting = "the upstream is down" },
		{ .done = 300000,
		  .total = 300000,
		  .failed = 300000,
		  .lines_per_s = 21000,
		  .tokens_per_s = 2.1e6,
		  .eta_s = 0 },
		{ .done = UINT64_MAX / 100,
		  .total = UINT64_MAX / 100,
		  .failed = UINT64_MAX,
		  .lines_per_s = 1e18,
		  .tokens_per_s = 1e18,
		  .eta_s = INT64_MAX,
		  .waiting = "the upstream is busy" },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(views); i++)
		for (size_t columns = 0; columns < 250; columns++) {
			meter_bar(&views[i], columns, text, sizeof(text));
			if (strlen(text) > columns)
				fail_msg("%zu columns: '%s'", columns, text);
		}
}

static void what_matters_most_stays(void **state)
{
	struct meter_view waiting = some;
	char text[256];

	(void)state;
	waiting.waiting = "the upstream is down";
	meter_bar(&waiting, 44, text, sizeof(text));
	assert_string_equal(text, "1234/3000  waiting: the upstream is down");
	assert_bar(&some, 24, "1234/3000  ETA 1m02s");
	assert_bar(&some, 9, "1234/3000");
	assert_bar(&some, 4, "1234");
}

static void a_full_and_an_empty_bar(void **state)
{
	struct meter_view view = { .done = 0, .total = 7, .eta_s = -1 };

	(void)state;
	assert_bar(&view, 70,
		   "[>            ]    0%  0/7  0 failed  0.0 lines/s  0.0 tokens/s  ETA -");
	view.done = 7;
	assert_bar(&view, 70,
		   "[=============]  100%  7/7  0 failed  0.0 lines/s  0.0 tokens/s  ETA -");
}

static void the_plain_line(void **state)
{
	struct meter_view view = some;
	char text[256];

	(void)state;
	meter_line(&view, text, sizeof(text));
	assert_string_equal(text, "1234/3000 lines, 12 failed, 532 lines/s, 12.3k tokens/s, "
				  "ETA 1m02s");
	view.waiting = "the upstream is down";
	view.eta_s = -1;
	meter_line(&view, text, sizeof(text));
	assert_string_equal(text, "1234/3000 lines, 12 failed, 532 lines/s, 12.3k tokens/s, "
				  "ETA -, waiting: the upstream is down");
}

/* Counts of a server may be anything. */
static void more_than_all_fills_the_bar_and_no_more(void **state)
{
	static const uint64_t counts[][2] = { { 5, 3 },
					      { UINT64_MAX, 1 },
					      { UINT64_MAX, UINT64_MAX },
					      { UINT64_MAX - 1, UINT64_MAX },
					      { 1, 0 } };
	char bar[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		const struct meter_view view = { .done = counts[i][0],
						 .total = counts[i][1],
						 .eta_s = -1 };
		meter_bar(&view, 200, bar, sizeof(bar));
		assert_true(strlen(bar) <= 200);
		assert_true(strstr(bar, "100%") != NULL || strstr(bar, " 99%") != NULL ||
			    strstr(bar, "  0%") != NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_than_all_fills_the_bar_and_no_more),
		cmocka_unit_test(spans),
		cmocka_unit_test(rates),
		cmocka_unit_test(without_two_samples_nothing_is_known),
		cmocka_unit_test(steady_speed),
		cmocka_unit_test(speed_is_that_of_the_last_seconds),
		cmocka_unit_test(looks_every_ten_seconds_do),
		cmocka_unit_test(the_bar_gives_way_piece_by_piece),
		cmocka_unit_test(no_width_is_overrun),
		cmocka_unit_test(what_matters_most_stays),
		cmocka_unit_test(a_full_and_an_empty_bar),
		cmocka_unit_test(the_plain_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
