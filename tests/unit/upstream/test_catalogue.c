/* test_catalogue.c: which upstream serves which model, and what other threads read of it. */
#include "memory_fault.h"

#include "upstream/catalogue.h"

#define T(text) ((char *)(text))
#define CREATED 1700000000

static struct upstream a, b;

/* Two: `a` lists models or not; `b` comes behind it. */
static void upstreams_make(char **a_lists, const char *a_reports, const char *b_reports)
{
	a = (struct upstream){ .next = &b, .config.name = T("a"), .config.models = a_lists };
	b = (struct upstream){ .config.name = T("b") };
	if (a_reports != NULL)
		assert_true(reported_read(slice_of(a_reports), &a.reported));
	if (b_reports != NULL)
		assert_true(reported_read(slice_of(b_reports), &b.reported));
}

static void upstreams_done(void)
{
	reported_done(&a.reported);
	reported_done(&b.reported);
}

static void a_configured_list_is_the_last_word(void **state)
{
	static char *lists[] = { T("m1"), NULL };

	(void)state;
	upstreams_make(lists, "{\"data\":[{\"id\":\"m2\"}]}", NULL);
	assert_true(upstream_claims(&a, "m1"));
	assert_false(upstream_claims(&a, "m2"));
	assert_false(upstream_serves(&a, &a, "m2"));
	assert_true(upstream_serves(&a, &a, "")); /* none is named */
	assert_false(upstream_serves(&a, &b, "m1"));
	assert_true(upstream_serves(&a, &b, "m2")); /* no upstream claims it, and b has no list */
	upstreams_done();
}

static void a_model_goes_where_it_is_reported(void **state)
{
	(void)state;
	upstreams_make(NULL, "{\"data\":[{\"id\":\"m1\"}]}", "{\"data\":[{\"id\":\"m2\"}]}");
	assert_true(upstream_serves(&a, &a, "m1"));
	assert_false(upstream_serves(&a, &b, "m1"));
	/* an engine that takes any name may take this one */
	assert_true(upstream_serves(&a, &a, "m3"));
	assert_true(upstream_serves(&a, &b, "m3"));
	a.retired = true;
	assert_false(upstream_serves(&a, &a, "m1"));
	assert_true(upstream_serves(&a, &b, "m1")); /* no longer claimed */
	upstreams_done();
}

static void a_mistyped_model_is_known_once_all_have_said(void **state)
{
	(void)state;
	upstreams_make(NULL, "{\"data\":[{\"id\":\"m1\"}]}", NULL);
	assert_null(catalogue_unlisted(&a, "m1"));
	assert_null(catalogue_unlisted(&a, "m3")); /* b may have it */
	b.config.drain = true;
	assert_ptr_equal(catalogue_unlisted(&a, "m3"), &a);
	upstreams_done();
}

static void assert_models(struct catalogue *c, const char *expected)
{
	struct buf json = BUF(4096);

	catalogue_models(c, &json);
	buf_char(&json, '\0');
	assert_string_equal(json.p, expected);
	buf_free(&json);
}

static void before_the_first_renewal_there_is_nothing(void **state)
{
	struct catalogue c;

	(void)state;
	catalogue_init(&c);
	assert_false(catalogue_serves(&c, "m1"));
	assert_models(&c, "[]");
	catalogue_done(&c);
}

static void models_stand_by_id_once_as_the_first_tells_them(void **state)
{
	struct catalogue c;

	(void)state;
	catalogue_init(&c);
	upstreams_make(
		NULL, "{\"data\":[{\"id\":\"z\",\"owned_by\":\"a\"},{\"id\":\"m\"}]}",
		"{\"data\":[{\"id\":\"z\",\"owned_by\":\"b\",\"created\":3},{\"id\":\"b\",\"x\":1}]}");
	catalogue_renew(&c, &a, CREATED);
	assert_models(&c, "[{\"id\":\"b\",\"object\":\"model\",\"created\":1700000000,"
			  "\"owned_by\":\"lowtide\",\"x\":1},"
			  "{\"id\":\"m\",\"object\":\"model\",\"created\":1700000000,"
			  "\"owned_by\":\"lowtide\"},"
			  "{\"id\":\"z\",\"object\":\"model\",\"created\":1700000000,"
			  "\"owned_by\":\"a\"}]");
	assert_true(catalogue_serves(&c, "anything"));
	a.retired = true;
	catalogue_renew(&c, &a, CREATED);
	assert_models(&c, "[{\"id\":\"b\",\"object\":\"model\",\"created\":1700000000,"
			  "\"owned_by\":\"lowtide\",\"x\":1},"
			  "{\"id\":\"z\",\"object\":\"model\",\"created\":3,\"owned_by\":\"b\"}]");
	catalogue_done(&c);
	upstreams_done();
}

static void what_only_the_configuration_knows_is_told_too(void **state)
{
	static char *lists[] = { T("m"), T("n"), NULL };
	struct catalogue c;

	(void)state;
	catalogue_init(&c);
	upstreams_make(lists, "{\"data\":[{\"id\":\"n\",\"created\":5},{\"id\":\"hidden\"}]}",
		       NULL);
	b.retired = true;
	catalogue_renew(&c, &a, CREATED);
	assert_models(&c, "[{\"id\":\"m\",\"object\":\"model\",\"created\":1700000000,"
			  "\"owned_by\":\"lowtide\"},"
			  "{\"id\":\"n\",\"object\":\"model\",\"created\":5,"
			  "\"owned_by\":\"lowtide\"}]");
	assert_true(catalogue_serves(&c, "m"));
	assert_false(catalogue_serves(&c, "hidden"));
	catalogue_done(&c);
	upstreams_done();
}

/* What was known stays, and in doubt a line is sent: the upstream judges. */
static void without_memory_the_models_stay(void **state)
{
	static char *lists[] = { T("m"), NULL };

	(void)state;
	upstreams_make(lists, NULL, NULL);
	b.retired = true;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct catalogue c;
		catalogue_init(&c);
		catalogue_renew(&c, &a, 5);
		memory_fail(&s);
		catalogue_renew(&c, &a, 6);
		memory_restore(&s);
		assert_true(catalogue_serves(&c, "m"));
		struct buf json = BUF(4096);
		catalogue_models(&c, &json);
		assert_true(json.n > 2);
		buf_free(&json);
		catalogue_done(&c);
	}
	upstreams_done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configured_list_is_the_last_word),
		cmocka_unit_test(a_model_goes_where_it_is_reported),
		cmocka_unit_test(a_mistyped_model_is_known_once_all_have_said),
		cmocka_unit_test(before_the_first_renewal_there_is_nothing),
		cmocka_unit_test(models_stand_by_id_once_as_the_first_tells_them),
		cmocka_unit_test(what_only_the_configuration_knows_is_told_too),
		cmocka_unit_test(without_memory_the_models_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
