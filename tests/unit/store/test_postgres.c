/* What is PostgreSQL's own: migrations, connections that break, commits that are not answered. The other
 * tests of this folder run on it, too. */
#include "store_test.h"

static PGconn *other;

static void by_hand(const char *sql)
{
	PGresult *r = PQexec(other, sql);

	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(other));
	PQclear(r);
}

static int open_other(void **state)
{
	setenv("LOWTIDE_TEST_STORE", "postgres", 1);
	(void)setup(state);
	other = PQconnectdb(postgres_url);
	assert_int_equal(PQstatus(other), CONNECTION_OK);
	return 0;
}

static int close_other(void **state)
{
	PQfinish(other);
	return teardown(state);
}

static void cut(struct db *db)
{
	char text[64];

	snprintf(text, sizeof(text), "SELECT pg_terminate_backend(%d, 5000)",
		 PQbackendPID(postgres_of(db)->conn));
	by_hand(text);
}

static void cut_all(void)
{
	cut(store->writer);
	cut(store->keys.db);
	for (int i = 0; i < READERS; i++)
		cut(store->readers[i]);
}

/* None of the calls notices. */
static void connections_are_made_again(void **state)
{
	struct file f, got;

	(void)state;
	f = put_file(&ours, NOW);
	cut_all();
	for (int i = 0; i < READERS + 1; i++)
		MUST(store_file_get(store, NULL, f.id, NOW, &got, &err));
	MUST(store_file_delete(store, ours.id, f.id, NOW, &err));
	FAILS(store_file_get(store, NULL, f.id, NOW, &got, &err), NOT_FOUND);
}

/* In the middle of a transaction: it is rolled back, and the next one is on a new connection. */
static void a_transaction_that_is_cut_has_not_happened(void **state)
{
	struct file f = { 0 }, got;

	(void)state;
	f = file_of(&ours, NOW);
	{
		AUTO(txn_end) struct txn t = { 0 };
		MUST(txn_begin(&t, store, &err));
		MUST(file_insert(t.db, &f, &err));
		cut(store->writer);
		for (int i = 0; i < 2; i++)
			FAILS(sql_run(t.db, SQL_blob_gone, VALUES(txt(f.id)), NULL, &err),
			      UNAVAILABLE);
		FAILS(txn_commit(&t, &err), UNAVAILABLE);
	}
	FAILS(store_file_get(store, NULL, f.id, NOW, &got, &err), NOT_FOUND);
	put_file(&ours, NOW);
}

/* It says nothing, and the connection stands. */
static void an_answer_is_not_waited_for_for_ever(void **state)
{
	(void)state;
	struct postgres_db *db = postgres_of(store->writer);

	db->answer_ms = 100;
	FAILS(postgres_exec(db, "SELECT pg_sleep(60)", NULL, 0, &err), UNAVAILABLE);
	put_file(&ours, NOW);
	MUST(sql_run(store->writer, SQL_begin, VALUES(), NULL, &err));
	FAILS(postgres_exec(db, "SELECT pg_sleep(60)", NULL, 0, &err), UNAVAILABLE);
	FAILS(sql_run(store->writer, SQL_commit, VALUES(), NULL, &err), UNAVAILABLE);
	put_file(&ours, NOW);
}

/* Its number tells. */
static void a_commit_without_an_answer_is_asked_for(void **state)
{
	(void)state;
	struct postgres_db *db = postgres_of(store->writer);

	for (int commits = 0; commits < 2; commits++) {
		MUST(sql_run(store->writer, SQL_begin, VALUES(), NULL, &err));
		MUST(sql_run(store->writer, SQL_call_forget, VALUES(num(0)), NULL, &err));
		MUST(sql_run(store->writer, commits ? SQL_commit : SQL_rollback, VALUES(), NULL,
			     &err));
		cut(store->writer);
		assert_int_equal(postgres_has_happened(db), commits);
	}
}

static void the_database_is_lowtides_own(void **state)
{
	struct store *again;

	(void)state;
	store_close(TAKE(store));
	by_hand("UPDATE lowtide SET version = 1000, compatible_from = 1000");
	FAILS(store_connect(postgres_url, &again, &err), INVALID);
	assert_non_null(strstr(err.message, "version 1000, made by a newer lowtide"));
	by_hand("DROP TABLE lowtide");
	FAILS(store_connect(postgres_url, &again, &err), INVALID);
	assert_non_null(strstr(err.message, "tables that are not lowtide's"));
}

/* Several nodes start at one time on a new database. */
static void *connects(void *arg)
{
	struct store **ret = arg;
	struct error why;

	return store_connect(postgres_url, ret, &why) ? NULL : ret;
}

static void one_of_several_migrates(void **state)
{
	struct store *opened[4];
	pthread_t threads[4];
	void *failed;

	(void)state;
	store_close(TAKE(store));
	place_remove();
	place_make();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, connects, &opened[i]), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
		store_close(opened[i]);
	}
}

/* A server that takes no changes (a failover), nobody there, no such database. */
static void faults_are_told(void **state)
{
	struct store *again;

	(void)state;
	by_hand("SELECT 1");
	MUST(db_exec(store->writer, "SET default_transaction_read_only = on", &err));
	struct file f = file_of(&ours, NOW);
	char id[ID_SIZE];
	FAILS(store_file_insert(store, &f, NULL, NULL, id, &err), UNAVAILABLE);
	assert_non_null(strstr(err.message, "takes no changes now"));
	FAILS(store_connect("host=/nowhere dbname=none", &again, &err), UNAVAILABLE);
	assert_non_null(strstr(err.detail, "/nowhere"));
}

#define WITH_OTHER(test) cmocka_unit_test_setup_teardown(test, open_other, close_other)

#define COUNTERS 6
#define COUNTS 5

static void *counts(void *arg)
{
	struct store_directory d;
	char id[33];
	uint64_t *last = arg;
	struct store *own;
	struct error why;

	*last = 0;
	snprintf(id, sizeof(id), "%032x", (unsigned)(uintptr_t)arg);
	if (!store_connect(postgres_url, &own, &why))
		return NULL;
	for (int i = 0; i < COUNTS; i++)
		if (store_directory_turn(own, id, NOW, &d, &why) && d.turns > *last)
			*last = d.turns;
	store_close(own);
	return NULL;
}

/* Nodes that start at one time: none counts what another has counted, and one gives the id. */
static void turns_of_several_are_counted_once_each(void **state)
{
	struct store_directory d;
	pthread_t threads[COUNTERS];
	uint64_t last[COUNTERS];
	bool found;

	(void)state;
	for (int i = 0; i < COUNTERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, counts, &last[i]), 0);
	for (int i = 0; i < COUNTERS; i++)
		pthread_join(threads[i], NULL);
	MUST(store_directory_get(store, &d, &found, &err));
	assert_true(found);
	assert_int_equal(d.turns, COUNTERS * COUNTS);
	for (int i = 0; i < COUNTERS; i++)
		for (int k = 0; k < i; k++)
			assert_true(last[i] > 0 && last[i] != last[k]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_OTHER(connections_are_made_again),
		WITH_OTHER(a_transaction_that_is_cut_has_not_happened),
		WITH_OTHER(an_answer_is_not_waited_for_for_ever),
		WITH_OTHER(a_commit_without_an_answer_is_asked_for),
		WITH_OTHER(the_database_is_lowtides_own),
		WITH_OTHER(one_of_several_migrates),
		WITH_OTHER(turns_of_several_are_counted_once_each),
		WITH_OTHER(faults_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
