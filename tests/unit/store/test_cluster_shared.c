/* Several stores that write one schema beside each other, as nodes do (store_share()). */
#include "cluster_test.h"
#include "store/webhooks.h"

#define STORES 2
#define THREADS 2
#define MADE 40u

static struct store *second;

static int shared_setup(void **state)
{
	(void)cluster_setup(state);
	MUST(store_share(store, &err));
	MUST(place_open_as(&second));
	MUST(store_share(second, &err));
	return 0;
}

static int shared_teardown(void **state)
{
	store_close(TAKE(second));
	return cluster_teardown(state);
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, shared_setup, shared_teardown)

/* ---- whose the schema is ---- */

static void impatient(struct store *s)
{
	postgres_of(s->writer)->claim_wait_ms = 10;
}

static void nodes_and_a_single_server_exclude_each_other(void **state)
{
	(void)state;
	assert_true(store_is_shared(store));
	struct store *alone;
	MUST(place_open_as(&alone));
	impatient(alone);
	FAILS(store_claim(alone, &err), INVALID);
	assert_non_null(strstr(err.message, "nodes serve from this database"));
	FAILS(store_claim(alone, &err), INVALID); /* asking left nothing behind */
	store_close(TAKE(second));
	FAILS(store_claim(alone, &err), INVALID);
	reopen();
	impatient(store);
	MUST(store_claim(alone, &err));
	FAILS(store_share(store, &err), INVALID);
	assert_non_null(strstr(err.message, "a single lowtide serves from this database"));
	assert_false(store_is_shared(store));
	FAILS(store_claim(store, &err), INVALID);
	assert_non_null(strstr(err.message, "another lowtide serves"));
	store_close(alone);
	MUST(store_share(store, &err));
}

/* The lock is had, and the version is another's: which shows when it has the lock alone. */
static void a_claim_that_may_not_be_is_none(void **state)
{
	(void)state;
	store_close(TAKE(second));
	reopen();
	hand("UPDATE lowtide SET version = 1000, compatible_from = 1000");
	FAILS(store_share(store, &err), INVALID);
	assert_non_null(strstr(err.message, "version 1000"));
	assert_false(store_is_shared(store));
	FAILS(store_claim(store, &err), INVALID);
	assert_non_null(strstr(err.message, "version 1000"));
}

static void directories_are_not_shared(void **state)
{
	struct store *local;

	(void)state;
	MUST(store_open(dir, &local, &err));
	FAILS(store_share(local, &err), INVALID);
	assert_false(store_is_shared(local));
	store_close(local);
}

static void cut(struct store *s)
{
	hand("SELECT pg_terminate_backend(%d, 5000)", PQbackendPID(postgres_of(s->writer)->conn));
}

/* Two locks each: the claim, and the version that it knows. */
static int64_t sharing(void)
{
	return hand(
		"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
		" AND objid = current_schema()::regnamespace::oid");
}

static void a_new_connection_shares_again(void **state)
{
	(void)state;
	assert_int_equal(sharing(), 4);
	cut(store);
	assert_int_equal(sharing(), 2);
	put_file(&ours, NOW);
	assert_int_equal(sharing(), 4);
	char text[16];
	MUST(postgres_exec(postgres_of(store->writer), "SHOW idle_in_transaction_session_timeout",
			   text, sizeof(text), &err));
	assert_string_equal(text, "5s");
}

/* Between two connections of the node. */
static void what_was_claimed_meanwhile_is_unavailable(void **state)
{
	struct file f = file_of(&ours, NOW);
	struct store *alone;
	char id[ID_SIZE];

	(void)state;
	MUST(place_open_as(&alone));
	store_close(TAKE(second));
	cut(store);
	MUST(store_claim(alone, &err));
	FAILS(store_file_insert(store, &f, NULL, NULL, id, &err), UNAVAILABLE);
	assert_non_null(strstr(err.message, "a single lowtide serves"));
	store_close(alone);
	MUST(store_file_insert(store, &f, NULL, NULL, id, &err));
}

/* ---- one after another ---- */

struct maker {
	pthread_t thread;
	struct store *s;
	struct batch made[MADE];
	struct error err;
	bool is_well;
};

/* Of both organizations in turn: makes one, starts it, and ends it. */
static void *makes(void *arg)
{
	struct maker *m = arg;
	char id[ID_SIZE];
	bool moved;

	for (unsigned i = 0; i < MADE; i++) {
		const struct batch *b = &m->made[i];
		struct file f = file_of(i % 2 == 0 ? &ours : &theirs, NOW);
		if (!store_file_insert(m->s, &f, NULL, NULL, id, &m->err) ||
		    !store_batch_insert(m->s, b, NULL, true, 0, id, &m->err) ||
		    !store_batch_start(m->s, b->id, 1, 1, "m", "o", "e", NOW, &moved, &m->err) ||
		    !store_batch_fail(m->s, b->id, "[]", NOW, &moved, &m->err))
			return NULL;
	}
	m->is_well = true;
	return NULL;
}

/* Whatever the database's own isolation is. */
static void numbers_have_no_gap_and_no_twin(void **state)
{
	static struct maker makers[STORES * THREADS];
	const unsigned all = ARRAY_LEN(makers) * MADE;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(makers); i++) {
		makers[i] = (struct maker){ .s = i % STORES == 0 ? store : second };
		for (unsigned j = 0; j < MADE; j++)
			makers[i].made[j] = batch_of(j % 2 == 0 ? &ours : &theirs, NOW);
	}
	MUST(db_exec(store->writer, "SET default_transaction_isolation = 'repeatable read'", &err));
	for (unsigned i = 0; i < ARRAY_LEN(makers); i++)
		assert_int_equal(pthread_create(&makers[i].thread, NULL, makes, &makers[i]), 0);
	for (unsigned i = 0; i < ARRAY_LEN(makers); i++)
		pthread_join(makers[i].thread, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(makers); i++)
		if (!makers[i].is_well)
			fail_msg("%s (%s)", makers[i].err.message, makers[i].err.detail);
	assert_int_equal(hand("SELECT count(*) FROM batch"), all);
	assert_int_equal(hand("SELECT max(sequence) FROM batch"), all);
	/* Each has three changes, of which it keeps the last. */
	assert_int_equal(hand("SELECT min(last) FROM (SELECT max(changed) AS last FROM batch"
			      " GROUP BY org) AS orgs"),
			 all / 2 * 3);
	assert_int_equal(
		hand("SELECT count(*) FROM (SELECT org FROM file GROUP BY org"
		     " HAVING count(*) <> (SELECT files FROM org WHERE id = org)) AS wrong"),
		0);
}

static bool put_one(struct store *s)
{
	struct file f = file_of(&ours, NOW);
	char id[ID_SIZE];

	return store_file_insert(s, &f, NULL, NULL, id, &err);
}

static void who_waits_in_vain_is_told(void **state)
{
	(void)state;
	second->write_wait_ms = 50;
	{
		AUTO(txn_end) struct txn t = { 0 };
		MUST(txn_begin(&t, store, &err));
		for (int i = 0; i < 2; i++) {
			FAILS(put_one(second), UNAVAILABLE);
			assert_non_null(strstr(err.message, "busy with other changes"));
		}
	}
	MUST(put_one(second));
}

/* As one whose process is stopped. */
static void a_transaction_that_hangs_is_ended(void **state)
{
	(void)state;
	MUST(db_exec(store->writer, "SET idle_in_transaction_session_timeout = 200", &err));
	struct file f = file_of(&ours, NOW), got;
	AUTO(txn_end) struct txn t = { 0 };
	MUST(txn_begin(&t, store, &err));
	MUST(file_insert(t.db, &f, &err));
	MUST(put_one(second)); /* waits for it */
	FAILS(txn_commit(&t, &err), UNAVAILABLE);
	FAILS(store_file_get(second, NULL, f.id, NOW, &got, &err), NOT_FOUND);
	MUST(put_one(store));
}

/* By a statement in the middle, too. */
static void one_that_hung_fails_as_unavailable(void **state)
{
	(void)state;
	MUST(db_exec(store->writer, "SET idle_in_transaction_session_timeout = 200", &err));
	AUTO(txn_end) struct txn t = { 0 };
	MUST(txn_begin(&t, store, &err));
	MUST(put_one(second));
	struct file f = file_of(&ours, NOW);
	FAILS(file_insert(t.db, &f, &err), UNAVAILABLE);
}

/* ---- locks in a circle ---- */

static void *locks_back(void *arg)
{
	PGconn *conn = arg;

	return PQexec(conn, "UPDATE org SET weight = 2 WHERE name = 'ours'");
}

static void a_deadlock_is_unavailable(void **state)
{
	PGconn *conn = PQconnectdb(postgres_url);
	pthread_t thread;
	void *answer;

	(void)state;
	PQclear(PQexec(conn, "SET deadlock_timeout = '10s'")); /* the other is to find it */
	PQclear(PQexec(conn, "BEGIN; UPDATE org SET weight = 2 WHERE name = 'theirs'"));
	MUST(db_exec(store->writer, "SET deadlock_timeout = '50ms'", &err));
	AUTO(txn_end) struct txn t = { 0 };
	MUST(txn_begin(&t, store, &err));
	MUST(sql_run(t.db, SQL_org_weigh, VALUES(txt("ours"), num(3)), NULL, &err));
	assert_int_equal(pthread_create(&thread, NULL, locks_back, conn), 0);
	bool row;
	{
		AUTO(query_done)
		struct query q = query(t.db, SQL_org_weigh, VALUES(txt("theirs"), num(3)));
		FAILS(query_step(&q, &row, &err), UNAVAILABLE);
	}
	assert_non_null(strstr(err.detail, "40P01"));
	txn_end(&t);
	pthread_join(thread, &answer);
	PQclear(answer);
	PQfinish(conn);
}

/* ---- a span's end takes its turn among them ---- */

#define SPANS 30u

struct finisher {
	pthread_t thread;
	struct db *db;
	struct owner me;
	bool is_well;
	struct error err;
};

static void *finishes_all(void *arg)
{
	struct finisher *f = arg;
	const struct span_end end = { .day = 20000, .day_tokens = 7 };
	struct span_lent s;
	bool lent = true, finished, last;

	for (uint64_t ticket = 1; lent; ticket++) {
		struct span_wanted w = { ticket, models, 1, NULL, 0 };
		if (!store_span_claim(f->db, f->me, &w, &s, &lent, &f->err))
			return NULL;
		if (lent && (!store_span_finish(f->db, f->me, &s.id, s.epoch, &end, &finished,
						&last, &f->err) ||
			     !finished || !last))
			return NULL;
	}
	f->is_well = true;
	return NULL;
}

static void ends_of_spans_take_numbers_beside_writers(void **state)
{
	struct finisher f[2] = { { .db = node_open(), .me = enter(1) },
				 { .db = node_open(), .me = enter(2) } };
	static struct maker m;

	(void)state;
	for (unsigned i = 0; i < SPANS; i++)
		put_spans(&ours, "m", 1, DAY);
	m = (struct maker){ .s = second };
	for (unsigned j = 0; j < MADE; j++)
		m.made[j] = batch_of(&ours, NOW);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&f[i].thread, NULL, finishes_all, &f[i]), 0);
	assert_int_equal(pthread_create(&m.thread, NULL, makes, &m), 0);
	pthread_join(m.thread, NULL);
	for (int i = 0; i < 2; i++) {
		pthread_join(f[i].thread, NULL);
		node_db_close(f[i].db);
	}
	for (int i = 0; i < 2; i++)
		if (!f[i].is_well)
			fail_msg("%s (%s)", f[i].err.message, f[i].err.detail);
	if (!m.is_well)
		fail_msg("%s (%s)", m.err.message, m.err.detail);
	assert_int_equal(hand("SELECT count(*) FROM batch WHERE status = 2"), SPANS);
	assert_int_equal(hand("SELECT max(changed) FROM batch"), 3 * SPANS + 3 * MADE);
	assert_int_equal(hand("SELECT tokens FROM org_day WHERE day = 20000 AND org = '%s'",
			      ours.id),
			 7 * SPANS);
}

/* A writer that holds its turn delays the move, not the finish. */
static void a_finish_stands_where_its_batch_cannot_move_yet(void **state)
{
	struct owner me = enter(1);
	struct batch b = put_spans(&ours, "m", 1, DAY);
	struct merge_state m = { 0 };
	struct span_lent s;
	char(*whole)[ID_SIZE];
	size_t n;
	bool last, moved;

	(void)state;
	assert_true(claim(me, &s));
	MUST(db_exec(db, "SET lock_timeout = 50", &err));
	{
		AUTO(txn_end) struct txn t = { 0 };
		MUST(txn_begin(&t, store, &err));
		assert_true(finish(me, &s, &last));
	}
	assert_true(last);
	assert_int_equal(status_of(b.id), BATCH_IN_PROGRESS);
	MUST(store_spans_whole(db, 10, &whole, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(whole[0], b.id);
	free(whole);
	MUST(store_batch_finish(store, b.id, BATCH_COMPLETED, &m, NULL, NULL, NULL, EPOCH_S, &moved,
				&err));
	assert_true(moved);
}

/* ---- what others change is told ---- */

static struct {
	unsigned moved, rows, filled;
	bool wanted;
} heard;

static bool on_wanted(void *ctx)
{
	(void)ctx;
	return heard.wanted;
}

static void on_moved(void *ctx, struct batch *row)
{
	(void)ctx;
	heard.moved++;
	heard.rows += row != NULL;
	if (row != NULL)
		batch_done(row);
}

static void on_filled(void *ctx)
{
	(void)ctx;
	heard.filled++;
}

static void what_others_change_is_passed_on(void **state)
{
	const struct batch_watch watch = { on_wanted, on_moved, NULL };

	(void)state;
	memset(&heard, 0, sizeof(heard));
	store_changed_elsewhere(store); /* nobody watches */
	store_outbox_look(store);
	store_watch(store, &watch);
	store_outbox_watch(store, on_filled, NULL);
	store_changed_elsewhere(store);
	assert_int_equal(heard.moved, 0);
	heard.wanted = true;
	{
		AUTO(txn_end) struct txn t = { 0 };
		MUST(txn_begin(&t, store, &err)); /* is not waited for */
		store_changed_elsewhere(store);
		store_outbox_look(store);
	}
	assert_int_equal(heard.moved, 1);
	assert_int_equal(heard.rows, 0);
	assert_int_equal(heard.filled, 1);
	store_watch(store, NULL);
	store_outbox_watch(store, NULL, NULL);
	store_changed_elsewhere(store);
	store_outbox_look(store);
	assert_int_equal(heard.moved + heard.filled, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHARED(nodes_and_a_single_server_exclude_each_other),
		SHARED(a_claim_that_may_not_be_is_none),
		SHARED(directories_are_not_shared),
		SHARED(a_new_connection_shares_again),
		SHARED(what_was_claimed_meanwhile_is_unavailable),
		SHARED(numbers_have_no_gap_and_no_twin),
		SHARED(who_waits_in_vain_is_told),
		SHARED(a_transaction_that_hangs_is_ended),
		SHARED(one_that_hung_fails_as_unavailable),
		SHARED(a_deadlock_is_unavailable),
		SHARED(ends_of_spans_take_numbers_beside_writers),
		SHARED(a_finish_stands_where_its_batch_cannot_move_yet),
		SHARED(what_others_change_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
