/* What an online answer took, read off its end (contract 13.1). */
#include "unit.h"

#include "api/online_tokens.h"

/* In pieces of `step` bytes. */
static uint64_t tokens(const char *text, size_t step, uint64_t request_bytes)
{
	struct answer_tail t = { 0 };
	size_t n = strlen(text);

	for (size_t at = 0; at < n; at += step)
		answer_tail_add(&t, (struct slice){ text + at, n - at < step ? n - at : step });
	return answer_tail_tokens(&t, request_bytes);
}

static void the_usage_counts_however_it_comes(void **state)
{
	static char text[8192];

	(void)state;
	for (size_t before = 0; before < 4000; before += 123) {
		memset(text, 'x', before);
		snprintf(text + before, sizeof(text) - before,
			 "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":30}}");
		for (size_t step = 1; step < 5000; step = step * 3 + 1)
			assert_int_equal(tokens(text, step, 4000), 37);
	}
}

static void what_it_does_not_say_is_the_requests_quarter(void **state)
{
	(void)state;
	assert_int_equal(tokens("", 1, 400), 100);
	assert_int_equal(tokens("data: [DONE]\n\n", 5, 400), 100);
	assert_int_equal(tokens("{\"usage\":{\"output_tokens\":5}}", 5, 400), 105);
	assert_int_equal(tokens("{\"usage\":{\"prompt_tokens\":9}}", 5, 400), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_usage_counts_however_it_comes),
		cmocka_unit_test(what_it_does_not_say_is_the_requests_quarter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
