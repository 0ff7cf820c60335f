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
	   "\"waiting\":2},\"lanes\":["
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
	   "\"waiting_again\":0}]}");
}

/* The row that models without a label share is there only where there are such. */
static void nothing_known(void **state)
{
	const struct scheduling_view v = { .at = 1, .models = unit_models + 1 };
	struct buf to = BUF(8192);

	(void)state;
	scheduling_write(&to, &v);
	is(&to, "{\"object\":\"lowtide.scheduling\",\"at\":1,\"upstreams\":[],\"models\":[]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_object),
		cmocka_unit_test(nothing_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
