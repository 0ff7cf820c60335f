/* The console's plots: every member, and what is not known as null. */
#include "unit.h"

#include <math.h>

#include "api/history.h"

static void the_whole_object(void **state)
{
	struct history_page page = { .from = 1750000000, .step_s = 10, .steps = 3 };
	struct buf to = BUF(8192);

	(void)state;
	page.rates[0] = (struct rings_rate){ NAN, NAN, NAN };
	page.rates[1] = (struct rings_rate){ 0, 0, NAN };
	page.rates[2] = (struct rings_rate){ 12.5, 4000.0625, 250 };
	history_write(&to, HISTORY_HOUR, &page);
	buf_char(&to, '\0');
	assert_string_equal(to.p, "{\"object\":\"history\",\"span\":\"hour\",\"step_s\":10,"
				  "\"from\":1750000000,\"series\":["
				  "{\"name\":\"lines_per_s\",\"unit\":\"lines/s\",\"values\":"
				  "[null,0,12.500]},"
				  "{\"name\":\"tokens_per_s\",\"unit\":\"tokens/s\",\"values\":"
				  "[null,0,4000.062]},"
				  "{\"name\":\"online_first_token_ms\",\"unit\":\"ms\",\"values\":"
				  "[null,null,250.000]}]}");
	buf_free(&to);
}

static void a_day_of_it_fits(void **state)
{
	static struct history_page page = { .step_s = 300, .steps = DAY_STEPS };
	struct buf to = BUF(64u << 10);

	(void)state;
	for (unsigned i = 0; i < DAY_STEPS; i++)
		page.rates[i] = (struct rings_rate){ 1e9, 1e9, 1e9 };
	history_write(&to, HISTORY_DAY, &page);
	assert_false(to.failed);
	assert_memory_equal(to.p + to.n - 4, "]}]}", 4);
	assert_non_null(memmem(to.p, to.n, "\"span\":\"day\"", 12));
	buf_free(&to);
}

static void of_a_batch_there_are_lines_alone(void **state)
{
	struct history_page page = { .from = 1750000000, .step_s = 2, .steps = 2 };
	struct buf to = BUF(8192);

	(void)state;
	page.rates[1].lines_per_s = 1.5;
	history_write(&to, HISTORY_BATCH, &page);
	buf_char(&to, '\0');
	assert_string_equal(to.p, "{\"object\":\"history\",\"span\":\"batch\",\"step_s\":2,"
				  "\"from\":1750000000,\"series\":["
				  "{\"name\":\"lines_per_s\",\"unit\":\"lines/s\",\"values\":"
				  "[0,1.500]}]}");
	buf_free(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_object),
		cmocka_unit_test(a_day_of_it_fits),
		cmocka_unit_test(of_a_batch_there_are_lines_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
