/* test_reported.c: what is taken from an upstream's answer to GET /v1/models, and that rubbish is
 * not. */
#include "memory_fault.h"

#include "base/buf.h"
#include "upstream/reported.h"

static bool models_read(const char *text, struct reported *ret)
{
	return reported_read(slice_of(text), ret);
}

static void the_four_members_and_the_rest_as_it_came(void **state)
{
	struct reported r;

	(void)state;
	assert_true(models_read(
		"{\"object\":\"list\",\"data\":["
		"{\"id\":\"m\\u0031\",\"object\":\"model\",\"created\":7,\"owned_by\":\"me\","
		"\"root\":\"/m\",\"max_model_len\": 4096},{\"id\":\"m2\"}]}",
		&r));
	assert_int_equal(r.n, 2);
	assert_string_equal(r.models[0].id, "m1");
	assert_string_equal(r.models[0].owned_by, "me");
	assert_int_equal(r.models[0].created, 7);
	assert_string_equal(r.models[0].more, ",\"root\":\"/m\",\"max_model_len\":4096");
	assert_null(r.models[1].owned_by);
	assert_int_equal(r.models[1].created, 0);
	assert_null(r.models[1].more);
	assert_ptr_equal(reported_find(&r, "m2"), &r.models[1]);
	assert_null(reported_find(&r, "m3"));
	reported_done(&r);
	assert_int_equal(r.n, 0);
}

static void a_model_without_an_id_is_passed_over(void **state)
{
	struct reported r;

	(void)state;
	assert_true(
		models_read("{\"data\":[{\"id\":\"\"},{\"id\":1},{},7,null,{\"id\":\"m\"}]}", &r));
	assert_int_equal(r.n, 1);
	assert_string_equal(r.models[0].id, "m");
	reported_done(&r);
}

static void an_empty_list_is_a_list(void **state)
{
	struct reported r;

	(void)state;
	assert_true(models_read("{\"data\":[]}", &r));
	assert_int_equal(r.n, 0);
	reported_done(&r);
}

static void anything_else_is_none(void **state)
{
	static const char *const texts[] = { "",
					     "[]",
					     "{}",
					     "<html>",
					     "{\"data\":{}}",
					     "{\"data\":[{\"id\":\"m\"}",
					     "{\"data\":[{\"id\":\"m\"}]} more",
					     "{\"data\":[{\"id\":\"m\",}]}" };
	struct reported r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (models_read(texts[i], &r))
			fail_msg("taken: %s", texts[i]);
		assert_null(r.models);
		assert_int_equal(r.n, 0);
	}
}

/* A thousand are kept, whatever comes. */
static void there_is_an_edge(void **state)
{
	AUTO(buf_free) struct buf text = BUF(1u << 20);
	struct reported r;

	(void)state;
	buf_text(&text, "{\"data\":[");
	for (unsigned i = 0; i < 3000; i++)
		buf_printf(&text, "%s{\"id\":\"m%u\"}", i > 0 ? "," : "", i);
	buf_text(&text, "]}");
	assert_true(reported_read(buf_slice(&text), &r));
	assert_int_equal(r.n, 1024);
	assert_string_equal(r.models[1023].id, "m1023");
	reported_done(&r);
}

static void the_same_models_are_the_same_whatever_is_said_of_them(void **state)
{
	struct reported a, b, c;

	(void)state;
	assert_true(models_read("{\"data\":[{\"id\":\"m\"},{\"id\":\"n\"}]}", &a));
	assert_true(models_read("{\"data\":[{\"id\":\"m\",\"created\":5},{\"id\":\"n\"}]}", &b));
	assert_true(models_read("{\"data\":[{\"id\":\"m\"}]}", &c));
	assert_true(reported_same(&a, &b));
	assert_false(reported_same(&a, &c));
	assert_false(reported_same(&c, &a));
	reported_done(&a);
	reported_done(&b);
	reported_done(&c);
}

static void without_memory_nothing_is_left(void **state)
{
	struct reported r;

	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		memory_fail(&s);
		bool ok = models_read("{\"data\":[{\"id\":\"m\",\"owned_by\":\"me\",\"x\":[1]}]}",
				      &r);
		memory_restore(&s);
		if (!ok)
			assert_null(r.models);
		reported_done(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_four_members_and_the_rest_as_it_came),
		cmocka_unit_test(a_model_without_an_id_is_passed_over),
		cmocka_unit_test(an_empty_list_is_a_list),
		cmocka_unit_test(anything_else_is_none),
		cmocka_unit_test(there_is_an_edge),
		cmocka_unit_test(the_same_models_are_the_same_whatever_is_said_of_them),
		cmocka_unit_test(without_memory_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
