/* test_config.c: each member of an upstream's configuration is copied, compared and freed. What is
 * allocated and not freed, AddressSanitizer tells. */
#include "memory_fault.h"

#include "upstream/config.h"

/* The members are not const: their owner may free them. These here are never freed. */
#define T(text) ((char *)(text))

static char *names[] = { T("m1"), T("m2"), NULL };

static const struct upstream_config full = {
	.name = T("a"),
	.base_url = T("http://a/v1"),
	.api_key = T("sk-1"),
	.tls = { .ca = T("CA"), .cert = T("CERT"), .key = T("KEY") },
	.models = names,
	.weight = 1,
	.concurrency = 2,
	.max_concurrency = 3,
	.reserve = 4,
	.requests_per_minute = 5,
	.tokens_per_minute = 6,
	.metrics = GAUGES_VLLM,
	.has_priority = true,
	.priority = 7,
	.drain = true,
};

static const struct upstream_config empty = { .name = T("a"), .base_url = T("http://a/v1") };

/* A member that is new is one more here, and has to be thought of below. */
#define ONE(kind, type, name) +1
_Static_assert(UPSTREAM_IDENTITY(ONE) == 4, "members that the tests of identity know");
_Static_assert(UPSTREAM_TERMS(ONE) == 11, "members that the tests of terms know");

static void a_copy_is_the_same_and_its_own(void **state)
{
	struct upstream_config copy;

	(void)state;
	assert_true(upstream_config_copy(&full, &copy));
	assert_true(upstream_config_same(&full, &copy));
	assert_ptr_not_equal(copy.name, full.name);
	assert_ptr_not_equal(copy.base_url, full.base_url);
	assert_ptr_not_equal(copy.api_key, full.api_key);
	assert_ptr_not_equal(copy.tls.key, full.tls.key);
	assert_ptr_not_equal(copy.models, full.models);
	assert_ptr_not_equal(copy.models[1], full.models[1]);
	upstream_config_done(&copy);
	assert_null(copy.name);
	assert_null(copy.models);
	assert_int_equal(copy.weight, 0);
	upstream_config_done(&copy); /* of an empty one: nothing */
}

static void what_is_not_there_is_copied_as_that(void **state)
{
	struct upstream_config copy;

	(void)state;
	assert_true(upstream_config_copy(&empty, &copy));
	assert_null(copy.api_key);
	assert_null(copy.models);
	assert_null(copy.tls.ca);
	assert_true(upstream_config_same(&empty, &copy));
	upstream_config_done(&copy);
}

/* One member is other than in `full`. */
static void assert_other(const struct upstream_config *c, bool identity)
{
	assert_false(upstream_config_same(&full, c));
	assert_false(upstream_config_same(c, &full));
	assert_int_equal(upstream_config_identity_same(&full, c), !identity);
}

#define WITH(member, value)                      \
	({                                       \
		static struct upstream_config c; \
		c = full;                        \
		c.member = (value);              \
		&c;                              \
	})

static void another_server_is_not_the_same(void **state)
{
	(void)state;
	assert_other(WITH(name, T("b")), true);
	assert_other(WITH(base_url, T("http://b/v1")), true);
	assert_other(WITH(api_key, T("sk-2")), true);
	assert_other(WITH(api_key, NULL), true);
	assert_other(WITH(tls.ca, NULL), true);
	assert_other(WITH(tls.cert, T("CERT2")), true);
	assert_other(WITH(tls.key, T("KEY2")), true);
}

static void other_terms_leave_the_server_the_same(void **state)
{
	static char *fewer[] = { T("m1"), NULL }, *more[] = { T("m1"), T("m2"), T("m3"), NULL };
	static char *none[] = { NULL };

	(void)state;
	assert_other(WITH(models, NULL), false);
	assert_other(WITH(models, fewer), false);
	assert_other(WITH(models, more), false);
	assert_other(WITH(models, none), false);
	assert_other(WITH(weight, 9), false);
	assert_other(WITH(concurrency, 9), false);
	assert_other(WITH(max_concurrency, 9), false);
	assert_other(WITH(reserve, -1), false);
	assert_other(WITH(requests_per_minute, 9), false);
	assert_other(WITH(tokens_per_minute, 9), false);
	assert_other(WITH(metrics, GAUGES_NONE), false);
	assert_other(WITH(has_priority, false), false);
	assert_other(WITH(priority, 9), false);
	assert_other(WITH(drain, false), false);
}

static void an_empty_list_is_not_no_list(void **state)
{
	static char *none[] = { NULL };
	struct upstream_config copy, listless = empty;

	(void)state;
	listless.models = none;
	assert_false(upstream_config_same(&empty, &listless));
	assert_true(upstream_config_copy(&listless, &copy));
	assert_non_null(copy.models);
	assert_null(copy.models[0]);
	upstream_config_done(&copy);
}

static void without_memory_nothing_is_left(void **state)
{
	struct upstream_config copy;

	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		memory_fail(&s);
		bool ok = upstream_config_copy(&full, &copy);
		memory_restore(&s);
		assert_int_equal(ok, !s.fired);
		if (!ok)
			assert_null(copy.name);
		upstream_config_done(&copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_is_the_same_and_its_own),
		cmocka_unit_test(what_is_not_there_is_copied_as_that),
		cmocka_unit_test(another_server_is_not_the_same),
		cmocka_unit_test(other_terms_leave_the_server_the_same),
		cmocka_unit_test(an_empty_list_is_not_no_list),
		cmocka_unit_test(without_memory_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
