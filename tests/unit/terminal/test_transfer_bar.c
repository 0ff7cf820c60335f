/* test_transfer_bar.c: a transfer in figures, within the terminal's width. */
#include "unit.h"

#include "terminal/transfer_bar.h"

static void it_fits(void **state)
{
	(void)state;
	struct meter_view view = {
		.done = 3u << 20, .total = 12u << 20, .lines_per_s = 1 << 20, .eta_s = 9
	};
	char text[201];
	transfer_bar_text(&view, 79, text, sizeof(text));
	assert_int_equal(text[0], '[');
	assert_non_null(strstr(text, "=>"));
	assert_non_null(strstr(text, "25%"));
	assert_non_null(strstr(text, "ETA 9s"));
	for (size_t columns = 1; columns <= 200; columns++) {
		transfer_bar_text(&view, columns, text, sizeof(text));
		assert_in_range(strlen(text), 1, columns);
	}
}

static void edges(void **state)
{
	(void)state;
	struct meter_view whole = { .done = 5, .total = 5, .eta_s = 0 };
	struct meter_view none = { .total = 0, .eta_s = -1 };
	struct meter_view unknown = { .done = 5, .total = UINT64_MAX, .eta_s = -1 };
	struct meter_view beyond = { .done = 9, .total = 5, .eta_s = -1 };
	char text[201];
	transfer_bar_text(&whole, 79, text, sizeof(text));
	assert_non_null(strstr(text, "=]  100%"));
	transfer_bar_text(&none, 79, text, sizeof(text));
	assert_non_null(strstr(text, "100%"));
	transfer_bar_text(&unknown, 79, text, sizeof(text));
	assert_null(strstr(text, "%"));
	transfer_bar_text(&beyond, 79, text, sizeof(text));
	assert_non_null(strstr(text, "=]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_fits),
		cmocka_unit_test(edges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
