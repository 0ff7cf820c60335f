/* Prices: how they are written, what tokens cost by them, and one currency a sum (11.2, `cost`). */
#include "unit.h"

#include "batch/price.h"

static struct error err;

static void assert_price(const char *text, uint64_t millionths)
{
	uint64_t value = 7;

	assert_true(price_parse(text, &value));
	assert_int_equal(value, millionths);
}

static void assert_no_price(const char *text)
{
	uint64_t value = 7;

	assert_false(price_parse(text, &value));
	assert_int_equal(value, 7);
}

static void a_price_is_a_number_with_six_digits_at_most(void **state)
{
	static const char *const wrong[] = {
		"",    "-1",      "+1", ".5",  "1.", "1.0000001", "1e3",
		"0x1", "1000001", "1 ", "1,5", "x",  "1.5.5",     "99999999999999999999999999999"
	};

	(void)state;
	assert_price("0", 0);
	assert_price("0.15", 150000);
	assert_price("2", 2000000);
	assert_price("1.000001", 1000001);
	assert_price("1000000", PRICE_MOST);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_no_price(wrong[i]);
}

static void a_currency_is_three_capital_letters(void **state)
{
	(void)state;
	assert_true(currency_is_good("EUR"));
	assert_false(currency_is_good("eur"));
	assert_false(currency_is_good("EU"));
	assert_false(currency_is_good("EURO"));
	assert_false(currency_is_good(""));
}

static void tokens_cost_what_the_list_says(void **state)
{
	const struct price list[] = { { (char[]){ "m-1" }, 2000000, 500000, 10000000, "EUR" },
				      { (char[]){ "m-2" }, 1000000, 1000000, 1000000, "USD" } };
	const struct usage usage = { .input = 1000000, .cached = 400000, .output = 100000 };
	struct prices p = { 0 };
	struct cost sum = { 0 };

	(void)state;
	prices_open(&p);
	assert_false(prices_add(&p, "m-1", &usage, &sum));
	assert_true(prices_set(&p, list, 2, &err));
	assert_true(prices_add(&p, "m-1", &usage, &sum));
	assert_true(sum.amount > 2.3999 && sum.amount < 2.4001); /* 1.2 + 0.2 + 1 */
	assert_string_equal(sum.currency, "EUR");
	assert_false(prices_add(&p, "m-2", &usage, &sum)); /* another currency */
	assert_false(prices_add(&p, "m-3", &usage, &sum));
	assert_true(prices_add(&p, "m-1", &usage, &sum));
	assert_true(sum.amount > 4.7999 && sum.amount < 4.8001);
	assert_true(prices_set(&p, list + 1, 1, &err));
	assert_false(prices_add(&p, "m-1", &usage, &sum));
	prices_close(&p);
}

static void more_cached_than_there_were_is_all(void **state)
{
	const struct price one = { (char[]){ "m" }, 2000000, 1000000, 0, "EUR" };
	const struct usage usage = { .input = 10, .cached = 1000000 };
	struct prices p = { 0 };
	struct cost sum = { 0 };

	(void)state;
	prices_open(&p);
	assert_true(prices_set(&p, &one, 1, &err) && prices_add(&p, "m", &usage, &sum));
	assert_true(sum.amount > 0.0000099 && sum.amount < 0.0000101);
	prices_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_price_is_a_number_with_six_digits_at_most),
		cmocka_unit_test(a_currency_is_three_capital_letters),
		cmocka_unit_test(tokens_cost_what_the_list_says),
		cmocka_unit_test(more_cached_than_there_were_is_all),
	};

	return cmocka_run_group_tests_name("batch/price", tests, NULL, NULL);
}
