/* The console's data: every member, in its order and with its decimals. */
#include "unit.h"

#include "api/scheduling.h"
#include "view_unit.h"

static void is(struct buf *to, const char *expected)
{
	buf_char(to, '\0');
	assert_false(to->failed);
	assert_string_equal(to->p, expected);
	buf_free(to);
}

static void the_whole_object(void **state)
{
	struct buf to = BUF(8192);

	(void)state;
	scheduling_write(&to, &unit_view);
	is(&to,
	   "{\"object\":\"lowtide.scheduling\",\"at\":1750000010,\"upstreams\":["
	   "{\"name\":\"a\",\"state\":\"throttled\",\"weight\":5,\"max_concurrency\":64,\"batch\":7,"
	   "\"online\":1,\"said\":\"HTTP 429\",\"engine\":{\"kind\":\"vllm\",\"running\":8,"
	   "\"waiting\":2,\"cache_use\":null},\"lanes\":["
	   "{\"model\":\"m \\\"1\\\"\",\"in_flight\":7,\"not_durable\":3,\"concurrency_limit\":8.2,"
	   "\"reason\":\"growing\",\"batch\":7,\"online\":1,\"cross_traffic\":0.5,\"reserve\":2,"
	   "\"best_per_s\":1234.568,\"work_ms\":0.2500,\"decisions\":["
	   "{\"at\":1750000000,\"concurrency_limit\":4.0,\"reason\":\"starting\",\"batch\":2,\"online\":0,"
	   "\"cross_traffic\":0.0,\"reserve\":0,\"best_per_s\":0.000,\"work_ms\":0.0000},"
	   "{\"at\":1750000009,\"concurrency_limit\":8.2,\"reason\":\"growing\",\"batch\":8,\"online\":1,"
	   "\"cross_traffic\":0.5,\"reserve\":2,\"best_per_s\":1234.568,\"work_ms\":0.2500}]},"
	   "{\"model\":\"m2\",\"in_flight\":0,\"not_durable\":0,\"concurrency_limit\":0.0,"
	   "\"reason\":\"fixed\",\"batch\":0,\"online\":0,\"cross_traffic\":0.0,\"reserve\":0,"
	   "\"best_per_s\":0.000,\"work_ms\":0.0000,\"decisions\":[]}]},"
	   "{\"name\":\"b\",\"state\":\"draining\",\"weight\":0,\"max_concurrency\":0,\"batch\":0,"
	   "\"online\":0,\"said\":null,\"engine\":null,\"lanes\":["
	   "{\"model\":\"m2\",\"in_flight\":0,\"not_durable\":0,\"concurrency_limit\":0.0,"
	   "\"reason\":\"refused\",\"batch\":0,\"online\":0,\"cross_traffic\":0.0,\"reserve\":0,"
	   "\"best_per_s\":0.000,\"work_ms\":0.0000,\"decisions\":[]}]}],"
	   "\"models\":[{\"name\":\"m \\\"1\\\"\",\"batches\":3,\"slots\":8.3,"
	   "\"waiting_again\":4},{\"name\":\"(others)\",\"batches\":1,\"slots\":0.0,"
	   "\"waiting_again\":0}],\"online_requests\":6,\"online_waiting\":5}");
}

/* The row that models without a label share is there only where there are such. */
static void nothing_known(void **state)
{
	const struct scheduling_view v = { .at = 1, .models = unit_models + 1 };
	struct buf to = BUF(8192);

	(void)state;
	scheduling_write(&to, &v);
	is(&to, "{\"object\":\"lowtide.scheduling\",\"at\":1,\"upstreams\":[],\"models\":[],"
		"\"online_requests\":0,\"online_waiting\":0}");
}

/* An organization: where its models run, and no count that others are part of (13.1). */
static void of_an_organization(void **state)
{
	struct scheduling_view v = unit_view;
	struct view_upstream upstreams[3];
	struct buf to = BUF(8192);

	(void)state;
	memcpy(upstreams, unit_upstreams, sizeof(unit_upstreams));
	upstreams[2] = upstreams[1];
	upstreams[1].lane_count = 0; /* it serves none of them */
	v.whose = VIEW_ORG;
	v.upstreams = upstreams;
	v.upstream_count = 3;
	scheduling_write(&to, &v);
	is(&to, "{\"object\":\"lowtide.scheduling\",\"at\":1750000010,\"upstreams\":["
		"{\"name\":\"a\",\"state\":\"throttled\",\"lanes\":["
		"{\"model\":\"m \\\"1\\\"\",\"concurrency_limit\":8.2,\"reason\":\"growing\"},"
		"{\"model\":\"m2\",\"concurrency_limit\":0.0,\"reason\":\"fixed\"}]},"
		"{\"name\":\"b\",\"state\":\"draining\",\"lanes\":["
		"{\"model\":\"m2\",\"concurrency_limit\":0.0,\"reason\":\"refused\"}]}],"
		"\"models\":[{\"name\":\"m \\\"1\\\"\",\"batches\":3,\"waiting_again\":4},"
		"{\"name\":\"(others)\",\"batches\":1,\"waiting_again\":0}]}");
}

static void what_a_key_may_see(void **state)
{
	struct request rq = { 0 };

	(void)state;
	assert_int_equal(scheduling_asked(&rq, false).whose, VIEW_LISTED);
	rq.key = (struct key){ .id = "key_1", .org = "org-1" };
	struct view_asked asked = scheduling_asked(&rq, true);
	assert_int_equal(asked.whose, VIEW_ORG);
	assert_string_equal(asked.org, "org-1");
	assert_true(asked.decisions);
	rq.key.is_operator = true;
	assert_int_equal(scheduling_asked(&rq, false).whose, VIEW_ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_object),
		cmocka_unit_test(nothing_known),
		cmocka_unit_test(of_an_organization),
		cmocka_unit_test(what_a_key_may_see),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
