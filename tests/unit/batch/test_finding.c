/* test_finding.c: the text of `errors.data`. */
#include "unit.h"

#include "batch/finding.h"

static void assert_text(const struct buf *b, const char *expected)
{
	assert_false(b->failed);
	assert_int_equal(b->n, strlen(expected));
	assert_memory_equal(b->p, expected, b->n);
}

static void test_one_entry_has_null_for_what_it_does_not_say(void **state)
{
	(void)state;
	AUTO(buf_free) struct buf to = BUF(1024);

	finding_json_one(&to, &(struct finding){ .code = "server_error", .message = "a \"b\"" });
	assert_text(&to, "[{\"code\":\"server_error\",\"line\":null,"
			 "\"message\":\"a \\\"b\\\"\",\"param\":null}]");
}

static void test_entries_follow_each_other(void **state)
{
	(void)state;
	AUTO(buf_free) struct buf to = BUF(1024);

	finding_json_add(&to, &(struct finding){ .code = "a", .line = 7, .message = "m" });
	finding_json_add(&to, &(struct finding){ .code = "b", .param = "p", .message = "n" });
	finding_json_end(&to);
	assert_text(&to, "[{\"code\":\"a\",\"line\":7,\"message\":\"m\",\"param\":null},"
			 "{\"code\":\"b\",\"line\":null,\"message\":\"n\",\"param\":\"p\"}]");
}

static void test_a_buffer_that_is_full_says_so(void **state)
{
	(void)state;
	AUTO(buf_free) struct buf to = BUF(16);

	finding_json_one(&to,
			 &(struct finding){ .code = "server_error", .message = "too long for it" });
	assert_true(to.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_entry_has_null_for_what_it_does_not_say),
		cmocka_unit_test(test_entries_follow_each_other),
		cmocka_unit_test(test_a_buffer_that_is_full_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
