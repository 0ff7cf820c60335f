/* postgres.c: transactions and queries of PostgreSQL. The rows of a statement are all here when it has been
 * executed: lists have limits. */
#include "store/postgres.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "store/db_kind.h"
#include "store/store_priv.h"

/* ---- connections ---- */

static bool again(struct db *db, struct error *err)
{
	*err = postgres_of(db)->fault;
	return false;
}

static bool exec(struct db *db, const char *text, struct error *err)
{
	return postgres_exec(postgres_of(db), text, NULL, 0, err);
}

static bool in_transaction(const struct db *db)
{
	PGTransactionStatusType status = PQtransactionStatus(postgres_of(db)->conn);

	return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

static void wait(struct db *db, unsigned wait_ms)
{
	postgres_of(db)->lock_wait_ms = wait_ms;
}

static bool lock_wait_set(struct postgres_db *db, struct error *err)
{
	char text[48];

	if (db->lock_wait_set_ms == db->lock_wait_ms)
		return true;
	snprintf(text, sizeof(text), "SET lock_timeout = %u", db->lock_wait_ms);
	if (!postgres_exec(db, text, NULL, 0, err))
		return false;
	db->lock_wait_set_ms = db->lock_wait_ms;
	return true;
}

/* ---- transactions ---- */

/* Its number tells what has become of it, should its commit not be answered. That of a node waits for
 * other nodes', and sees then, statement by statement, what they have committed. */
static bool transaction_try(struct postgres_db *db, struct error *err)
{
	static const char alone[] = "BEGIN; SELECT pg_current_xact_id()";
	static const char shared[] = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT writers_wait();"
				     " SELECT pg_current_xact_id()";
	const char *text = db->claims == CLAIMS_SHARED ? shared : alone;
	struct error ignored;

	if (!lock_wait_set(db, err))
		return false;
	if (postgres_exec(db, text, db->xid, sizeof(db->xid), err))
		return true;
	if (in_transaction(&db->base)) /* begun, and waited in vain */
		(void)!postgres_exec(db, "ROLLBACK", NULL, 0, &ignored);
	return false;
}

/* That a connection broke long ago shows at its next use. */
static bool transaction_begin(struct postgres_db *db, struct error *err)
{
	db->begun = transaction_try(db, err) ||
		    (PQstatus(db->conn) == CONNECTION_BAD && postgres_revive(db, err) &&
		     transaction_try(db, err));
	return db->begun;
}

/* A commit of a transaction in which a statement has failed is a rollback. */
static bool commit_is_good(struct postgres_db *db, const PGresult *r, struct error *err)
{
	if (!postgres_is_good(r)) {
		(void)!postgres_fail(db, r, "commit", err);
		return db->use == DB_WRITES && PQstatus(db->conn) == CONNECTION_BAD &&
		       postgres_has_happened(db);
	}
	return strcmp(PQcmdStatus((PGresult *)r), "COMMIT") == 0 ||
	       fail_sys(err, 0, "commit: PostgreSQL has rolled back");
}

/* A connection that was broken before has not carried it there. */
static bool transaction_commit(struct postgres_db *db, struct error *err)
{
	db->begun = false;
	if (PQstatus(db->conn) == CONNECTION_BAD)
		return postgres_fail(db, NULL, "commit", err);
	PGresult *r = postgres_ask(db, "COMMIT");
	bool good = commit_is_good(db, r, err);

	PQclear(r);
	return good;
}

/* ---- queries ---- */

/* PostgreSQL takes no bytes that are no text. What clients are given is; what they ask for may be
 * anything, and none of it is there. */
static const char *text_or_none(const char *text)
{
	static const char none[] = "\xef\xbf\xbd";
	size_t n = text != NULL ? strlen(text) : 0;
	bool valid = true;

	for (size_t at = 0; valid && at < n;)
		at += utf8_step(text + at, n - at, &valid);
	return valid ? text : none;
}

void parameters_set(struct parameters *p, const struct value *values)
{
	for (p->n = 0; values[p->n].type != VALUE_END; p->n++) {
		const struct value *v = &values[p->n];

		assert(p->n < PARAMETERS_MAX);
		p->texts[p->n] = v->type == VALUE_TEXT ? text_or_none(v->text) : NULL;
		if (v->type != VALUE_INT)
			continue;
		snprintf(p->numbers[p->n], sizeof(p->numbers[0]), "%" PRId64, v->number);
		p->texts[p->n] = p->numbers[p->n];
	}
}

static PGresult *execute(struct postgres_db *db, enum sql id, const struct parameters *p)
{
	return postgres_ask_prepared(db, sql_name(id), p->n, p->texts);
}

/* A statement of its own is asked again where the connection turns out to be broken: all that change
 * anything are part of a transaction. What fails the first step tells. */
static void begin(struct query *q, const struct value *values)
{
	struct postgres_db *db = postgres_of(q->db);
	bool alone = (!db->begun && !in_transaction(q->db)) || q->id == SQL_begin;
	struct parameters p;
	struct error err;

	q->row = -1;
	if ((alone && !postgres_revive(db, &err)) || q->id == SQL_begin || q->id == SQL_commit)
		return;
	parameters_set(&p, values);
	q->rows = execute(db, q->id, &p);
	db->begun = db->begun && q->id != SQL_rollback;
	if (alone && PQstatus(db->conn) == CONNECTION_BAD && postgres_revive(db, &err)) {
		PQclear(q->rows);
		q->rows = execute(db, q->id, &p);
	}
}

static bool step(struct query *q, bool *ret_row, struct error *err)
{
	struct postgres_db *db = postgres_of(q->db);

	*ret_row = false;
	if (q->id == SQL_begin)
		return transaction_begin(db, err);
	if (q->id == SQL_commit)
		return transaction_commit(db, err);
	if (!postgres_is_good(q->rows))
		return postgres_fail(db, q->rows, sql_name(q->id), err);
	*ret_row = ++q->row < PQntuples(q->rows);
	return true;
}

static void end(struct query *q)
{
	PQclear(q->rows);
	q->rows = NULL;
}

static uint64_t changes(const struct query *q)
{
	return strtoull(PQcmdTuples(q->rows), NULL, 10);
}

/* A truth is "t" or "f". */
static int64_t number(struct query *q, int column)
{
	const char *text = PQgetvalue(q->rows, q->row, column);

	return text[0] == 't' ? 1 : strtoll(text, NULL, 10);
}

static struct slice text(struct query *q, int column)
{
	if (PQgetisnull(q->rows, q->row, column))
		return (struct slice){ 0 };
	return (struct slice){ PQgetvalue(q->rows, q->row, column),
			       (size_t)PQgetlength(q->rows, q->row, column) };
}

/* ---- what others change ---- */

/* Is told by NOTIFY, without asking the server. A connection that has broken is made again by the next
 * query, and may have missed something: `told` says so then. */
static bool version(struct db *base, int64_t *ret, struct error *err)
{
	struct postgres_db *db = postgres_of(base);
	PGnotify *told;

	if (PQconsumeInput(db->conn) == 0)
		return postgres_fail(db, NULL, "what others change", err);
	while ((told = PQnotifies(db->conn)) != NULL) {
		PQfreemem(told);
		db->told++;
	}
	*ret = db->told;
	return true;
}

const struct db_kind db_postgres = {
	.name = "PostgreSQL",
	.waits = true,
	.open = postgres_open,
	.close = postgres_close,
	.wait = wait,
	.claim = postgres_claim,
	.share = postgres_share,
	.exec = exec,
	.in_transaction = in_transaction,
	.fail_again = again,
	.version = version,
	.begin = begin,
	.step = step,
	.end = end,
	.changes = changes,
	.number = number,
	.text = text,
};
