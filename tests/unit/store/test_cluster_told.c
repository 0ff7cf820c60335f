/* What nodes are told by others, by NOTIFY. */
#include <unistd.h>

#include "cluster_test.h"
#include "store/postgres.h"

#define LONG_MS 10000u /* for what comes at once */

static struct node_news news;

static unsigned wait_told(unsigned wait_ms)
{
	MUST(node_db_wait(db, -1, wait_ms, &news, &err));
	return news.told;
}

static void each_channel_tells(void **state)
{
	struct owner me = enter(1);

	(void)state;
	hand("NOTIFY lowtide_nodes"); /* nobody listens yet */
	MUST(node_db_listen(db, &err));
	assert_int_equal(wait_told(0), 0);
	hand("NOTIFY lowtide_nodes");
	assert_int_equal(wait_told(LONG_MS), TOLD_NODES);
	hand("NOTIFY lowtide_upstreams");
	assert_int_equal(wait_told(LONG_MS), TOLD_UPSTREAMS);
	hand("NOTIFY lowtide_spans; NOTIFY lowtide_other");
	assert_int_equal(wait_told(LONG_MS), TOLD_SPANS);
	hand("NOTIFY lowtide_batches");
	assert_true(renew(me)); /* what comes with the answer to a question counts */
	assert_int_equal(wait_told(LONG_MS), TOLD_BATCHES);
	assert_int_equal(wait_told(0), 0);
	assert_int_equal(wait_told(20), 0);
}

static void a_byte_wakes_and_stays(void **state)
{
	struct node_news got = { .told = 9 };
	char byte;
	int fds[2];

	(void)state;
	MUST(node_db_listen(db, &err));
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	MUST(node_db_wait(db, fds[0], UINT32_MAX, &got, &err));
	assert_int_equal(got.told, 0);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	close(fds[1]);
}

static void terminate(void)
{
	hand("SELECT pg_terminate_backend(%d, 5000)", PQbackendPID(postgres_of(db)->conn));
}

/* Whatever may have been missed; once. */
static void all_are_told_after_a_break(void **state)
{
	const unsigned all = TOLD_NODES | TOLD_UPSTREAMS | TOLD_SPANS | TOLD_BATCHES;
	struct owner me = enter(1);
	uint64_t epoch;
	bool renewed;

	(void)state;
	MUST(node_db_listen(db, &err));
	terminate();
	assert_int_equal(wait_told(LONG_MS), all);
	assert_int_equal(wait_told(0), 0);
	hand("NOTIFY lowtide_spans");
	assert_int_equal(wait_told(LONG_MS), TOLD_SPANS);
	terminate(); /* a question finds it */
	FAILS(store_node_renew(db, me, 0, false, &renewed, &epoch, &err), UNAVAILABLE);
	assert_true(renew(me));
	assert_int_equal(wait_told(LONG_MS), all);
	terminate();
	MUST(node_db_listen(db, &err) || node_db_listen(db, &err));
	hand("NOTIFY lowtide_spans");
	assert_int_equal(wait_told(LONG_MS), TOLD_SPANS);
}

#define ONLINE "'lowtide_online_' || current_schema()::regnamespace::oid"

/* Other nodes of the database, which serve another schema, are not of this cluster: their online requests
 * took the room of its lines. */
static void nodes_of_another_schema_are_not_heard(void **state)
{
	(void)state;
	MUST(node_db_listen(db, &err));
	hand("SELECT pg_notify('lowtide_online_' || oid, '1 2 u') FROM pg_namespace"
	     " WHERE nspname <> current_schema()");
	hand("SELECT pg_notify('lowtide_wanted_' || oid, '1 m') FROM pg_namespace"
	     " WHERE nspname <> current_schema()");
	hand("NOTIFY lowtide_online, '1 2 u'; NOTIFY lowtide_spans");
	assert_int_equal(wait_told(LONG_MS), TOLD_SPANS);
	assert_int_equal(news.online_n, 0);
	assert_int_equal(news.wanted_n, 0);
}

/* Of each node, its own words as well; what is none is passed over. */
static void online_requests_are_told(void **state)
{
	const struct online_told told = { .node = 0x1f, .units = 70000, .upstream = "a b\xc3\xa4" };

	(void)state;
	MUST(node_db_listen(db, &err));
	MUST(store_online_tell(db, &told, &err));
	assert_int_equal(wait_told(LONG_MS), 0);
	assert_int_equal(news.online_n, 1);
	assert_true(news.online[0].node == told.node && news.online[0].units == told.units);
	assert_string_equal(news.online[0].upstream, told.upstream);
	static const char *const others[] = { "", "12", "1 2 ", "1 -2 u", "x 2 u" };
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		hand("SELECT pg_notify(" ONLINE ", '%s')", others[i]);
	hand("NOTIFY lowtide_spans");
	assert_int_equal(wait_told(LONG_MS), TOLD_SPANS);
	assert_int_equal(news.online_n, 0);
	for (unsigned i = 0; i < NEWS_MAX + 3; i++)
		hand("SELECT pg_notify(" ONLINE ", '1 %u u')", i);
	unsigned seen = 0;
	while (seen < NEWS_MAX + 3) {
		assert_int_equal(wait_told(LONG_MS), 0);
		assert_in_range(news.online_n, 1, NEWS_MAX);
		for (size_t i = 0; i < news.online_n; i++)
			assert_int_equal(news.online[i].units, seen++);
	}
}

/* The longest that there is. */
static void wanted_models_are_told(void **state)
{
	struct wanted_told told = { .node = UINT64_C(0x7fffffffffffffff) };

	(void)state;
	memset(told.model, 'm', 256);
	MUST(node_db_listen(db, &err));
	MUST(store_wanted_tell(db, &told, &err));
	assert_int_equal(wait_told(LONG_MS), 0);
	assert_int_equal(news.wanted_n, 1);
	assert_true(news.wanted[0].node == told.node);
	assert_string_equal(news.wanted[0].model, told.model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CLUSTER(each_channel_tells),
		WITH_CLUSTER(a_byte_wakes_and_stays),
		WITH_CLUSTER(online_requests_are_told),
		WITH_CLUSTER(wanted_models_are_told),
		WITH_CLUSTER(all_are_told_after_a_break),
		WITH_CLUSTER(nodes_of_another_schema_are_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
