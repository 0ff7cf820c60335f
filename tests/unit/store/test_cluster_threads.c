/* The transactions of many machines at one time: claims and settlements side by side, what waits
 * for what, the order of claims, and answers that do not come. */
#include "cluster_test.h"

#include <poll.h>

#include "base/clock.h"

/* ---- the order of claims ---- */

static void claim_is(struct owner me, const struct batch *b)
{
	struct span_lent s;

	assert_true(claim(me, &s));
	assert_string_equal(s.id.batch, b->id);
	span_lent_done(&s);
}

/* Each by a node of its own, which holds nothing. */
static void claims_go_by_the_global_order(void **state)
{
	struct span_lent s;
	bool moved, changed;

	(void)state;
	struct batch late_b = put_spans(&ours, "m", 1, 1000);
	struct batch late_a = put_spans(&theirs, "m", 1, 900);
	struct batch ended_b = put_spans(&ours, "m", 1, 800);
	struct batch ended_a = put_spans(&ours, "x", 1, 700);
	struct batch far = put_spans(&ours, "m", 1, 3 * DAY);
	struct batch near = put_spans(&ours, "m", 1, 2 * DAY);
	struct batch farthest = put_spans(&theirs, "m", 6, 5 * DAY);
	struct batch held = put_spans(&ours, "m", 1, 1200);
	struct batch elsewhere = put_spans(&ours, "x", 1, 1200);
	hand("UPDATE org SET weight = 2 WHERE id = '%s'", theirs.id);
	clock_forward_us(800 * PROTOCOL_S);
	MUST(store_batch_hold(store, held.id, BATCH_HELD, EPOCH_S, &changed, &err));
	claim_is(enter(1), &ended_a); /* the window's end: whoever serves its model */
	claim_is(enter(2), &ended_b);
	claim_is(enter(3), &late_a);
	claim_is(enter(4), &late_b);
	/* Of ours 30 lines are lent now, of theirs 10; and they have twice the weight. */
	for (unsigned i = 0; i < 4; i++)
		claim_is(enter(10 + i), &farthest); /* 10, 20, 30, 40 of 2 */
	assert_true(claim(enter(14), &s));
	assert_string_equal(s.id.batch, farthest.id);
	assert_true(settle_one((struct owner){ 14, 1 }, &s, "c"));
	claim_is(enter(20), &farthest); /* 60 of 2, but 4 of these are done */
	claim_is(enter(21), &near);
	claim_is(enter(22), &far);
	assert_false(claim(enter(23), &s));
	MUST(store_batch_move(store, held.id, 1u << BATCH_IN_PROGRESS, BATCH_CANCELLING, EPOCH_S,
			      &moved, &err));
	claim_is(enter(24), &held); /* a hold holds no longer */
	assert_false(claim(enter(25), &s));
	MUST(store_batch_move(store, elsewhere.id, 1u << BATCH_IN_PROGRESS, BATCH_CANCELLING,
			      EPOCH_S, &moved, &err));
	assert_true(claim(enter(26), &s));
	assert_true(s.has_ended);
	assert_int_equal(s.status, BATCH_CANCELLING);
}

static void claims_leave_out_what_waits(void **state)
{
	struct owner me = enter(1);
	struct batch b = put_spans(&ours, "m", 2, DAY);
	struct span_lent s;

	(void)state;
	hand("UPDATE batch SET not_before = %lld", (long long)EPOCH_S + 1);
	assert_false(claim(me, &s));
	clock_forward_us(PROTOCOL_S);
	hand("UPDATE org SET suspended_at = 1 WHERE id = '%s'", ours.id);
	assert_false(claim(me, &s));
	hand("UPDATE org SET suspended_at = NULL");
	hand("UPDATE batch SET model = NULL");
	claim_is(me, &b);
	struct span_wanted none = { .ticket = ++last_ticket };
	bool lent;
	MUST(store_span_claim(db, enter(2), &none, &s, &lent, &err)); /* it drives nothing */
	assert_false(lent);
}

/* ---- side by side ---- */

#define CLAIMERS 4
#define SPANS 60

struct claimer {
	pthread_t thread;
	struct db *db;
	struct owner me;
	struct span_id got[SPANS];
	size_t n;
	struct error err;
	bool is_well;
};

/* All that it can have, each settled, the pieces of two spans in one chunk, as they come. */
static void *claims_all(void *arg)
{
	struct claimer *c = arg;
	struct piece_settled p[SPANS];
	struct span_lent s;
	char chunk[32];
	bool lent = true;

	for (uint64_t ticket = 1; lent; ticket++) {
		struct span_wanted w = { ticket, models, 1, c->got, c->n };
		if (!store_span_claim(c->db, c->me, &w, &s, &lent, &c->err))
			return NULL;
		if (!lent)
			break;
		p[c->n] = (struct piece_settled){ .span = s.id,
						  .epoch = s.epoch,
						  .counts.completed = 1 };
		c->got[c->n++] = s.id;
		snprintf(chunk, sizeof(chunk), "c-%llu-%zu", (unsigned long long)c->me.node, c->n);
		if (!store_pieces_settle(c->db, c->me, chunk, p, c->n, &c->err))
			return NULL;
	}
	c->is_well = true;
	return NULL;
}

static int by_span(const void *a, const void *b)
{
	const struct span_id *x = a, *y = b;
	int order = strcmp(x->batch, y->batch);

	return order != 0 ? order : (int)x->n - (int)y->n;
}

static void no_span_is_lent_twice(void **state)
{
	static struct claimer c[CLAIMERS];
	static struct span_id all[SPANS];
	size_t n = 0;
	int64_t settled = 0;

	(void)state;
	memset(c, 0, sizeof(c));
	for (int i = 0; i < 3; i++)
		put_spans(i == 0 ? &theirs : &ours, "m", SPANS / 3, DAY + i);
	for (unsigned i = 0; i < CLAIMERS; i++) {
		c[i].db = node_open();
		c[i].me = enter(i + 1);
	}
	for (unsigned i = 0; i < CLAIMERS; i++)
		assert_int_equal(pthread_create(&c[i].thread, NULL, claims_all, &c[i]), 0);
	for (unsigned i = 0; i < CLAIMERS; i++) {
		pthread_join(c[i].thread, NULL);
		if (!c[i].is_well)
			fail_msg("%s (%s)", c[i].err.message, c[i].err.detail);
		node_db_close(c[i].db);
		assert_true(n + c[i].n <= SPANS);
		memcpy(&all[n], c[i].got, c[i].n * sizeof(all[0]));
		n += c[i].n;
		settled += (int64_t)(c[i].n * (c[i].n + 1) / 2);
	}
	assert_int_equal(n, SPANS);
	qsort(all, n, sizeof(all[0]), by_span);
	for (size_t i = 1; i < n; i++)
		assert_true(by_span(&all[i - 1], &all[i]) < 0);
	assert_int_equal(hand("SELECT max(epoch) FROM spans"), 1);
	assert_int_equal(hand("SELECT sum(completed) FROM spans"), settled);
	assert_int_equal(hand("SELECT count(*) FROM journal_pieces"), settled);
}

/* ---- one that waits, and then goes on by what it saw before ---- */

struct waiting {
	pthread_t thread;
	struct db *db;
	struct owner me;
	struct span_lent lent;
	bool is_lent, is_taken, is_well;
	uint64_t epoch;
	struct error err;
};

static void *claims_one(void *arg)
{
	struct waiting *w = arg;
	struct span_wanted wanted = { 1, models, 1, NULL, 0 };

	w->is_well = store_span_claim(w->db, w->me, &wanted, &w->lent, &w->is_lent, &w->err);
	return NULL;
}

static void *takes_one(void *arg)
{
	struct waiting *w = arg;

	w->is_well = store_upstream_take(w->db, w->me, "u", &w->is_taken, &w->epoch, &w->err);
	return NULL;
}

/* ---- locks by hand, on a connection of their own ---- */

static PGconn *locker;

static void lock(const char *sql)
{
	char text[200];

	locker = PQconnectdb(postgres_url);
	snprintf(text, sizeof(text), "BEGIN; %s", sql);
	PGresult *r = PQexec(locker, text);
	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	PQclear(r);
}

static void unlock(void)
{
	PQclear(PQexec(locker, "COMMIT"));
	PQfinish(TAKE(locker));
}

/* A test that failed may have left a lock. */
static int threads_teardown(void **state)
{
	PQfinish(TAKE(locker));
	return cluster_teardown(state);
}

#define WITH_LOCKER(test) cmocka_unit_test_setup_teardown(test, cluster_setup, threads_teardown)

/* As many transactions wait, for the lock or for one that does. */
static void wait_for_waiting(int64_t n)
{
	for (int i = 0; i < 2000; i++) {
		if (hand("WITH RECURSIVE behind (pid) AS (SELECT %d UNION SELECT a.pid"
			 " FROM pg_stat_activity AS a JOIN behind"
			 " ON behind.pid = ANY (pg_blocking_pids(a.pid)))"
			 " SELECT count(*) - 1 FROM behind",
			 PQbackendPID(locker)) >= n)
			return;
		poll(NULL, 0, 5);
	}
	fail_msg("too few wait");
}

/* Begins a statement that waits for its own node's row, which is locked by hand. */
static void begin_waiting(struct waiting *w, void *(*does)(void *))
{
	*w = (struct waiting){ .db = node_open(), .me = enter(1) };
	lock("SELECT 1 FROM nodes WHERE id = 1 FOR UPDATE");
	assert_int_equal(pthread_create(&w->thread, NULL, does, w), 0);
	wait_for_waiting(1);
}

static void end_waiting(struct waiting *w)
{
	unlock();
	pthread_join(w->thread, NULL);
	if (!w->is_well)
		fail_msg("%s (%s)", w->err.message, w->err.detail);
	node_db_close(w->db);
}

/* Of a node in an epoch that began after the statement of another had: for that one it is an epoch
 * that the owner does not have. */
static void what_an_epoch_unseen_yet_owns_is_not_free(void **state)
{
	struct owner b = enter(2), b_later = { 2, 2 };
	struct waiting w;
	struct span_lent s;
	uint64_t epoch;
	bool left, taken;

	(void)state;
	put_spans(&ours, "m", 1, DAY);
	begin_waiting(&w, claims_one);
	MUST(store_node_leave(db, b, &left, &err));
	assert_true(renew(b_later));
	assert_true(claim(b_later, &s));
	end_waiting(&w);
	assert_false(w.is_lent);
	assert_true(settle_one(b_later, &s, "c"));

	MUST(store_upstream_take(db, b_later, "u", &taken, &epoch, &err));
	MUST(store_upstream_release(db, b_later, "u", epoch, &taken, &err));
	begin_waiting(&w, takes_one);
	MUST(store_node_leave(db, b_later, &left, &err));
	b_later.epoch = 3;
	assert_true(renew(b_later));
	MUST(store_upstream_take(db, b_later, "u", &taken, &epoch, &err));
	end_waiting(&w);
	assert_false(w.is_taken);
}

struct burying {
	struct db *db;
	struct owner me;
	uint64_t buried;
	bool is_well;
	struct error err;
};

struct settling {
	struct db *db;
	struct owner me;
	struct span_lent span;
	bool is_held, is_well;
	struct error err;
};

static void *settles(void *arg)
{
	struct settling *s = arg;
	struct piece_settled p = { .span = s->span.id, .epoch = s->span.epoch };

	s->is_well = store_pieces_settle(s->db, s->me, "c", &p, 1, &s->err);
	s->is_held = p.is_held;
	return NULL;
}

static void *buries(void *arg)
{
	struct burying *b = arg;

	b->is_well = store_node_bury(b->db, b->me, &b->buried, &b->err);
	return NULL;
}

static void *gives_back(void *arg)
{
	struct settling *s = arg;

	s->is_well = store_span_give_back(s->db, s->me, &s->span.id, s->span.epoch, &s->is_held,
					  &s->err);
	return NULL;
}

static void *finishes_held(void *arg)
{
	struct settling *s = arg;
	struct span_end end = { 0 };
	bool last;

	s->is_well = store_span_finish(s->db, s->me, &s->span.id, s->span.epoch, &end, &s->is_held,
				       &last, &s->err);
	return NULL;
}

/* Before the burial is what has begun, and waits for its span, which is locked by hand. A renewal
 * waits for neither. */
static void burial_waits_for(void *(*does)(void *))
{
	struct owner a = enter(1), b = enter(2);
	struct burying burial = { .db = node_open(), .me = b };
	struct settling first = { .db = node_open(), .me = a };
	pthread_t threads[2];

	put_spans(&ours, "m", 1, DAY);
	assert_true(claim(a, &first.span));
	lock("SELECT 1 FROM spans FOR UPDATE");
	assert_int_equal(pthread_create(&threads[0], NULL, does, &first), 0);
	wait_for_waiting(1);
	assert_true(renew(a)); /* beside its own */
	for (int i = 0; i < 3; i++) {
		clock_forward_us(6 * PROTOCOL_S);
		assert_true(renew(b));
	}
	assert_int_equal(pthread_create(&threads[1], NULL, buries, &burial), 0);
	wait_for_waiting(2);
	unlock();
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_true(first.is_well && first.is_held);
	assert_true(burial.is_well);
	assert_int_equal(burial.buried, 1);
	node_db_close(burial.db);
	node_db_close(first.db);
}

static void a_burial_waits_for_a_settlement(void **state)
{
	(void)state;
	burial_waits_for(settles);
	assert_int_equal(hand("SELECT count(*) FROM journal_pieces"), 1);
}

static void a_burial_waits_for_what_is_given_back(void **state)
{
	(void)state;
	burial_waits_for(gives_back);
}

static void a_burial_waits_for_what_is_finished(void **state)
{
	(void)state;
	burial_waits_for(finishes_held);
}

/* Settled, and given back, after the claim began to look. */
static void a_claim_has_the_pieces_that_came_meanwhile(void **state)
{
	struct owner b = enter(2);
	struct waiting w;
	struct span_lent s;

	(void)state;
	put_spans(&ours, "m", 1, DAY);
	assert_true(claim(b, &s));
	assert_true(give_back(b, &s));
	begin_waiting(&w, claims_one);
	assert_true(claim(b, &s));
	assert_true(settle_one(b, &s, "c"));
	assert_true(give_back(b, &s));
	end_waiting(&w);
	assert_true(w.is_lent);
	assert_int_equal(w.lent.epoch, 3);
	assert_int_equal(w.lent.n_pieces, 1);
	assert_int_equal(w.lent.counts.completed, 3);
	span_lent_done(&w.lent);
}

/* ---- the end of a batch ---- */

struct finishing {
	struct db *db;
	struct owner me;
	struct span_lent span;
	pthread_barrier_t *both;
	bool is_finished, is_last, is_well;
};

static void *finishes(void *arg)
{
	struct finishing *f = arg;
	struct span_end end = { 0 };
	struct error why;

	pthread_barrier_wait(f->both);
	do
		f->is_well = store_span_finish(f->db, f->me, &f->span.id, f->span.epoch, &end,
					       &f->is_finished, &f->is_last, &why);
	while (!f->is_well && why.kind == ERR_UNAVAILABLE);
	return NULL;
}

/* Two nodes finish the two last spans of a batch, or the last of two batches of one organization,
 * whose changes of state have numbers. */
static void finish_side_by_side(unsigned n_batches)
{
	struct finishing f[2] = { { .db = node_open(), .me = enter(1) },
				  { .db = node_open(), .me = enter(2) } };
	pthread_barrier_t both;
	pthread_t threads[2];

	pthread_barrier_init(&both, NULL, 2);
	for (int times = 0; times < 40; times++) {
		for (unsigned i = 0; i < n_batches; i++)
			put_spans(&ours, "m", 2 / n_batches, DAY);
		for (int i = 0; i < 2; i++) {
			assert_true(claim(f[i].me, &f[i].span));
			f[i].both = &both;
		}
		for (int i = 0; i < 2; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, finishes, &f[i]), 0);
		for (int i = 0; i < 2; i++) {
			pthread_join(threads[i], NULL);
			assert_true(f[i].is_well && f[i].is_finished);
		}
		for (int i = 0; i < 2; i++)
			assert_int_equal(status_of(f[i].span.id.batch), BATCH_FINALIZING);
		assert_int_equal(f[0].is_last + f[1].is_last, n_batches);
	}
	pthread_barrier_destroy(&both);
	node_db_close(f[0].db);
	node_db_close(f[1].db);
}

static void of_two_last_spans_one_is_the_last(void **state)
{
	(void)state;
	finish_side_by_side(1);
}

static void batches_of_one_organization_end_at_one_time(void **state)
{
	(void)state;
	finish_side_by_side(2);
}

/* ---- answers that do not come ---- */

static void a_renewal_is_given_up_and_asked_again(void **state)
{
	struct owner me = enter(1);
	uint64_t epoch, began_ms = clock_ms();
	bool renewed;

	(void)state;
	lock("SELECT 1 FROM nodes FOR UPDATE");
	FAILS(store_node_renew(db, me, 0, false, &renewed, &epoch, &err), UNAVAILABLE);
	assert_in_range(clock_ms() - began_ms, 1000, 4000);
	assert_non_null(strstr(err.detail, "node_renew: no answer"));
	unlock();
	assert_true(renew(me));
}

static void a_connection_that_breaks_is_made_again(void **state)
{
	struct owner me = enter(1);
	struct span_lent s;
	bool last;

	(void)state;
	put_spans(&ours, "m", 1, DAY);
	assert_true(claim(me, &s));
	for (int i = 0; i < 2; i++) {
		struct piece_settled p = { s.id, s.epoch, 0, 1, { .completed = 1 }, { 0 }, false };
		hand("SELECT pg_terminate_backend(%d, 5000)", PQbackendPID(postgres_of(db)->conn));
		FAILS(store_pieces_settle(db, me, "c", &p, 1, &err), UNAVAILABLE);
		MUST(store_pieces_settle(db, me, "c", &p, 1, &err));
		assert_true(p.is_held);
	}
	assert_int_equal(hand("SELECT completed FROM spans"), 1);
	assert_true(finish(me, &s, &last));
}

/* The statements before the one that failed have not happened either. */
static void a_transaction_happens_whole_or_not(void **state)
{
	struct owner me = enter(1);
	struct span_lent s;
	bool last, finished;

	(void)state;
	put_spans(&ours, "m", 1, DAY);
	assert_true(claim(me, &s));
	assert_true(settle_one(me, &s, "c"));
	hand("ALTER TABLE whole_batches ADD CONSTRAINT test CHECK (batch = '')");
	struct span_end end = { 0 };
	FAILS(store_span_finish(db, me, &s.id, s.epoch, &end, &finished, &last, &err), INTERNAL);
	assert_int_equal(hand("SELECT count(*) FROM journal_pieces"), 1);
	assert_int_equal(hand("SELECT count(*) FROM spans WHERE finished"), 0);
	hand("ALTER TABLE whole_batches DROP CONSTRAINT test");
	assert_true(finish(me, &s, &last));
	assert_true(last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LOCKER(claims_go_by_the_global_order),
		WITH_LOCKER(claims_leave_out_what_waits),
		WITH_LOCKER(no_span_is_lent_twice),
		WITH_LOCKER(what_an_epoch_unseen_yet_owns_is_not_free),
		WITH_LOCKER(a_claim_has_the_pieces_that_came_meanwhile),
		WITH_LOCKER(of_two_last_spans_one_is_the_last),
		WITH_LOCKER(batches_of_one_organization_end_at_one_time),
		WITH_LOCKER(a_burial_waits_for_a_settlement),
		WITH_LOCKER(a_burial_waits_for_what_is_given_back),
		WITH_LOCKER(a_burial_waits_for_what_is_finished),
		WITH_LOCKER(a_renewal_is_given_up_and_asked_again),
		WITH_LOCKER(a_connection_that_breaks_is_made_again),
		WITH_LOCKER(a_transaction_happens_whole_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
