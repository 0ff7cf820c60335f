/* test_wait.c: how long an answer asks to be left alone (contract 8.3). */
#include "unit.h"

#include "dispatch/wait.h"

#define NOW 1787176071 /* Wed, 19 Aug 2026 21:47:51 GMT */

static void expect(const struct wait_headers *h, int64_t ms)
{
	assert_int_equal(wait_read_ms(h, NOW), ms);
}

static void retry_after(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "5", 5000 },
		{ "0.5", 500 }, /* U7: it was none */
		{ "1.7", 1700 },
		{ "0.0001", 1 },
		{ "0", 0 },
		{ "-1", 0 },
		{ "", 0 },
		{ "soon", 0 },
		{ "1e999", 0 },
		{ "0x10", 0 },
		{ "nan", 0 },
		{ "5 apples", 0 },
		{ "Wed, 19 Aug 2026 21:48:51 GMT", 60000 },
		{ "Wed, 19 Aug 2026 21:46:51 GMT", 0 },
		{ "99999999999999999999", INT64_C(604800000) },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect(&(struct wait_headers){ .retry_after = slice_of(rows[i].text) }, rows[i].ms);
}

static void others(void **state)
{
	(void)state;
	expect(&(struct wait_headers){ .retry_after_ms = SLICE("250") }, 250);
	expect(&(struct wait_headers){ .retry_after = SLICE("2"), .retry_after_ms = SLICE("250") },
	       2000);
	expect(&(struct wait_headers){ .reset_requests = SLICE("2s") }, 2000);
	expect(&(struct wait_headers){ .reset_requests = SLICE("1m30s") }, 90000);
	expect(&(struct wait_headers){ .reset_tokens = SLICE("6ms") }, 6);
	expect(&(struct wait_headers){ .reset_tokens = SLICE("1h0m0.5s") }, 3600500);
	expect(&(struct wait_headers){ .reset_requests = SLICE("1s"), .reset_tokens = SLICE("3s") },
	       3000);
	/* of what is left nobody has to wait for */
	expect(&(struct wait_headers){ .reset_requests = SLICE("1s"),
				       .remaining_requests = SLICE("0"),
				       .reset_tokens = SLICE("3s"),
				       .remaining_tokens = SLICE("1200") },
	       1000);
	expect(&(struct wait_headers){ .reset_requests = SLICE("1x") }, 0);
	expect(&(struct wait_headers){ 0 }, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(retry_after),
					    cmocka_unit_test(others) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
