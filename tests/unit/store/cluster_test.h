/* cluster_test.h: a store on PostgreSQL with connections of nodes, and a clock that tests set: the
 * statements call statement_timestamp(), which is looked for in the test's schema first. */
#pragma once

#include "store_test.h"

#include "store/garbage.h"
#include "store/nodes.h"
#include "store/pieces.h"
#include "store/upstream_leases.h"

#define EPOCH_S INT64_C(1800000000) /* where the clock begins */

static PGconn *other;
static char node_url[600];
static const struct node_about about = { "10.0.0.1:8080", "0.1.0", "digest" };

static inline PGresult *by_hand(const char *sql)
{
	PGresult *r = PQexec(other, sql);

	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(other));
	return r;
}

PRINTF_LIKE(1, 2)
static inline int64_t hand(const char *format, ...)
{
	char sql[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	PGresult *r = by_hand(sql);
	const char *text = PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "0";
	int64_t number = text[0] == 't' ? 1 : strtoll(text, NULL, 10);
	PQclear(r);
	return number;
}

static inline void clock_forward_us(int64_t us)
{
	hand("UPDATE test_clock SET now = now + interval '%lld us'", (long long)us);
}

static inline struct db *node_open(void)
{
	struct db *db;

	MUST(node_db_open(node_url, &db, &err));
	return db;
}

static struct db *db; /* of most tests */

static inline int cluster_setup(void **state)
{
	setenv("LOWTIDE_TEST_STORE", "postgres", 1);
	(void)setup(state);
	other = PQconnectdb(postgres_url);
	assert_int_equal(PQstatus(other), CONNECTION_OK);
	hand("CREATE TABLE test_clock (now TIMESTAMPTZ)");
	hand("INSERT INTO test_clock VALUES (to_timestamp(%lld))", (long long)EPOCH_S);
	hand("CREATE FUNCTION statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE"
	     " AS 'SELECT now FROM test_clock'");
	snprintf(node_url, sizeof(node_url), "%s,pg_catalog", postgres_url);
	db = node_open();
	return 0;
}

static inline int cluster_teardown(void **state)
{
	node_db_close(db);
	PQfinish(other);
	return teardown(state);
}

#define WITH_CLUSTER(test) cmocka_unit_test_setup_teardown(test, cluster_setup, cluster_teardown)

/* ---- what there is ---- */

/* In progress, of `n` spans of 10 lines, with a window of `window_s`. */
static inline struct batch put_spans(const struct org *org, const char *model, size_t n,
				     int64_t window_s)
{
	struct batch b = batch_of(org, EPOCH_S);
	struct span_plan plan[64];
	char id[ID_SIZE];
	size_t got;
	bool moved;

	b.expires_at = b.created_at + window_s;
	MUST(store_batch_insert(store, &b, NULL, false, 0, id, &err));
	for (size_t i = 0; i < n; i++)
		plan[i] = (struct span_plan){ i, 1, 10 };
	MUST(store_spans_create(db, b.id, plan, n, &got, &err));
	assert_int_equal(got, n);
	MUST(store_batch_start(store, b.id, 10 * n, 100, model, "file-o", "file-e", EPOCH_S, &moved,
			       &err));
	assert_true(moved);
	return b;
}

static inline struct owner enter(uint64_t id)
{
	uint64_t epoch;

	MUST(store_node_enter(db, id, &about, NOBODY, &epoch, &err));
	return (struct owner){ id, epoch };
}

static inline bool renew(struct owner me)
{
	uint64_t epoch;
	bool renewed;

	MUST(store_node_renew(db, me, 0, false, &renewed, &epoch, &err));
	return renewed;
}

/* Buried by `by`, which may. `who` goes on in *who's next epoch, if it renews. */
static inline void bury_all_but(struct owner by)
{
	uint64_t buried;

	for (int i = 0; i < 3; i++) {
		clock_forward_us(6 * PROTOCOL_S);
		assert_true(renew(by));
	}
	MUST(store_node_bury(db, by, &buried, &err));
	assert_true(buried > 0);
}

static const char *const models[] = { "m" };
static uint64_t last_ticket;

/* With nothing held. */
static inline bool claim_with(struct db *on, struct owner me, struct span_lent *ret)
{
	struct span_wanted w = { .ticket = ++last_ticket, .models = models, .n_models = 1 };
	bool lent;

	MUST(store_span_claim(on, me, &w, ret, &lent, &err));
	return lent;
}

static inline bool claim(struct owner me, struct span_lent *ret)
{
	return claim_with(db, me, ret);
}

/* But for those that it holds already. */
static inline bool claim_more(struct owner me, const struct span_id *held, size_t n,
			      struct span_lent *ret)
{
	struct span_wanted w = { ++last_ticket, models, 1, held, n };
	bool lent;

	MUST(store_span_claim(db, me, &w, ret, &lent, &err));
	return lent;
}

static inline bool settle_one(struct owner me, const struct span_lent *s, const char *chunk)
{
	struct piece_settled p = { s->id,
				   s->epoch,
				   0,
				   100,
				   { .completed = 3, .failed = 1 },
				   { .input = 7, .total = 9 },
				   false };

	MUST(store_pieces_settle(db, me, chunk, &p, 1, &err));
	return p.is_held;
}

static inline bool give_back(struct owner me, const struct span_lent *s)
{
	bool given;

	MUST(store_span_give_back(db, me, &s->id, s->epoch, &given, &err));
	return given;
}

static inline bool finish(struct owner me, const struct span_lent *s, bool *ret_last)
{
	struct span_end end = { .counts = { .completed = 9, .failed = 1 },
				.usage = { .total = 20 } };
	bool finished;

	snprintf(end.output.name, sizeof(end.output.name), "part-%u-%llu", s->id.n,
		 (unsigned long long)s->epoch);
	end.output.bytes = 1000;
	end.output.lines = 9;
	MUST(store_span_finish(db, me, &s->id, s->epoch, &end, &finished, ret_last, &err));
	return finished;
}

/* NOTIFYs that have come since it was last asked. */
static inline unsigned told(const char *channel)
{
	unsigned n = 0;
	PGnotify *t;

	hand("SELECT 1");
	while ((t = PQnotifies(other)) != NULL) {
		n += strcmp(t->relname, channel) == 0;
		PQfreemem(t);
	}
	return n;
}
