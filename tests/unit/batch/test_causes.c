/* test_causes.c: why lines failed (contract 11.2, top_errors). */
#include "unit.h"

#include "batch/causes.h"

static void the_most_frequent_come_first(void **state)
{
	(void)state;
	struct causes c = { 0 };
	struct cause top[CAUSES_TOP];
	for (unsigned code = 1; code <= 8; code++)
		for (unsigned i = 0; i < code; i++)
			assert_int_equal(causes_add(&c, (uint16_t)(400 + code), 10 * code + i),
					 i == 0);
	assert_int_equal(causes_top(&c, top), CAUSES_TOP);
	for (unsigned i = 0; i < CAUSES_TOP; i++) {
		assert_int_equal(top[i].code, 408 - i);
		assert_int_equal(top[i].count, 8 - i);
		assert_int_equal(top[i].record, 10 * (8 - i));
	}
	/* more codes than there is room for are not told apart */
	for (unsigned code = 0; code < 2 * CAUSES_MAX; code++)
		(void)causes_add(&c, (uint16_t)(500 + code), 0);
	assert_int_equal(c.n, CAUSES_MAX);
}

static void names(void **state)
{
	(void)state;
	char name[CAUSE_NAME_BYTES];
	cause_name(cause_code(OUTCOME_ANSWERED, 404), name);
	assert_string_equal(name, "404");
	cause_name(cause_code(OUTCOME_TIMEOUT, 200), name);
	assert_string_equal(name, "request_timeout");
	cause_name(0, name); /* of a journal of before */
	assert_string_equal(name, "upstream_error");
	cause_name(99, name);
	assert_string_equal(name, "upstream_error");
	/* a bad line that was skipped has the code of its finding (11.1) */
	cause_name(cause_of_finding(&(struct finding){ .code = "duplicate_custom_id" }), name);
	assert_string_equal(name, "duplicate_custom_id");
	cause_name(cause_of_finding(&(struct finding){ .code = "invalid_request" }), name);
	assert_string_equal(name, "invalid_request");
	cause_name(cause_of_finding(&(struct finding){ .code = "of a later version" }), name);
	assert_string_equal(name, "invalid_request");
	/* they stand in databases */
	assert_int_equal(cause_of_finding(&(struct finding){ .code = "invalid_json_line" }), 51);
	assert_int_equal(cause_of_finding(&(struct finding){ .code = "mismatched_model" }), 61);
}

static void they_survive_the_store(void **state)
{
	(void)state;
	struct causes c = { 0 }, back;
	struct buf text = BUF(4096);
	for (unsigned i = 0; i < CAUSES_MAX; i++) {
		(void)causes_add(&c, (uint16_t)(400 + i), i);
		c.of[i].line = i + 1;
		c.of[i].count = UINT64_MAX - i;
	}
	causes_format(&c, &text);
	buf_char(&text, '\0');
	causes_parse(text.p, &back);
	assert_int_equal(back.n, CAUSES_MAX);
	for (unsigned i = 0; i < CAUSES_MAX; i++) {
		assert_int_equal(back.of[i].code, 400 + i);
		assert_true(back.of[i].count == UINT64_MAX - i);
		assert_int_equal(back.of[i].line, i + 1);
	}
	buf_free(&text);
	causes_parse("404:2:17 rubbish", &back);
	assert_int_equal(back.n, 1);
	causes_parse("99999999:1:1", &back);
	assert_int_equal(back.n, 0);
	causes_parse(NULL, &back);
	assert_int_equal(back.n, 0);
}

/* As of one that met all lines itself, but for the order of codes. */
static void those_of_several_spans(void **state)
{
	(void)state;
	struct causes sum = { 0 }, more = { 0 };
	struct cause top[CAUSES_TOP];
	for (unsigned i = 0; i < 3; i++)
		(void)causes_add(&sum, 404, 2000 + i);
	sum.of[0].line = 2001;
	for (unsigned i = 0; i < 4; i++)
		(void)causes_add(&more, 404, 1000 + i);
	more.of[0].line = 1001;
	(void)causes_add(&more, 500, 1500);
	more.of[1].line = 1501;
	causes_merge(&sum, &more);
	assert_int_equal(causes_top(&sum, top), 2);
	assert_true(top[0].code == 404 && top[0].count == 7 && top[1].code == 500);
	assert_true(top[0].record == 1000 && top[0].line == 1001); /* the first of all */
	assert_true(top[1].count == 1 && top[1].record == 1500 && top[1].line == 1501);
	/* one that comes later, or was not looked up, changes no example */
	(void)causes_add(&more, 503, 1);
	more.of[0].line = 0;
	more.of[1].line = 3000;
	causes_merge(&sum, &more);
	assert_true(sum.of[0].count == 11 && sum.of[0].line == 1001);
	assert_true(sum.of[1].count == 2 && sum.of[1].line == 1501 && sum.n == 3);
	/* more codes than there is room for: those that are there go on */
	struct causes many = { 0 };
	for (unsigned code = 0; code < CAUSES_MAX; code++)
		(void)causes_add(&many, (uint16_t)(600 + code), code);
	(void)causes_add(&many, 404, 1);
	causes_merge(&sum, &many);
	assert_int_equal(sum.n, CAUSES_MAX);
	causes_merge(&sum, &(struct causes){ .of = { { .code = 404, .count = 5 } }, .n = 1 });
	assert_int_equal(sum.of[0].count, 16);
	assert_int_equal(sum.n, CAUSES_MAX);
}

static void for_people(void **state)
{
	(void)state;
	struct causes c = { .n = 2,
			    .of = { { .code = OUTCOME_UPSTREAM, .count = 1 },
				    { .code = 404, .count = 2, .line = 17 } } };
	struct buf text = BUF(4096);
	causes_describe(&c, &text);
	buf_char(&text, '\0');
	assert_string_equal(text.p, "HTTP 404 x 2 (line 17), upstream_error x 1");
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_frequent_come_first),
		cmocka_unit_test(names),
		cmocka_unit_test(they_survive_the_store),
		cmocka_unit_test(those_of_several_spans),
		cmocka_unit_test(for_people),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
