#include "store/asks.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/postgres.h"

/* ---- there ---- */

static bool send_one(PGconn *conn, const struct ask *ask)
{
	struct parameters p;

	parameters_set(&p, ask->values);
	return PQsendQueryPrepared(conn, sql_name(ask->id), p.n, p.texts, NULL, NULL, 0) == 1;
}

/* Without waiting: what does not fit goes out while the answer is waited for. */
static bool send_all(struct asks *a, struct db *db, const struct ask *list)
{
	PGconn *conn = postgres_of(db)->conn;

	if (PQsetnonblocking(conn, 1) != 0 || PQenterPipelineMode(conn) != 1)
		return false;
	for (; list->id != SQL_ALL; list++) {
		assert(a->n < ASKS_MAX);
		a->of[a->n++] = (struct query){ .db = db, .id = list->id, .row = -1 };
		if (!send_one(conn, list))
			return false;
	}
	return PQpipelineSync(conn) == 1;
}

/* ---- and back ---- */

/* *ret NULL: the end of a statement's. */
static bool result_next(struct postgres_db *db, uint64_t until_ms, PGresult **ret)
{
	if (!postgres_result_wait(db, until_ms))
		return false;
	*ret = PQgetResult(db->conn);
	return true;
}

/* Each has one, and an end. */
static bool results_take(struct asks *a, struct postgres_db *db, uint64_t until_ms)
{
	PGresult *end, *sync;

	for (unsigned i = 0; i < a->n; i++) {
		PGresult *r;
		if (!result_next(db, until_ms, &r))
			return false;
		a->of[i].rows = r;
		if (r == NULL || !result_next(db, until_ms, &end))
			return false;
		PQclear(end);
		if (end != NULL)
			return false;
	}
	if (!result_next(db, until_ms, &sync))
		return false;
	bool committed = PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
	PQclear(sync);
	return committed && PQexitPipelineMode(db->conn) == 1;
}

/* The first that failed; those behind it were not looked at. */
static bool results_judge(struct asks *a, struct postgres_db *db, struct error *err)
{
	for (unsigned i = 0; i < a->n; i++)
		if (!postgres_is_good(a->of[i].rows))
			return postgres_fail(db, a->of[i].rows, sql_name(a->of[i].id), err);
	return true;
}

/* Whatever libpq has to say, the outcome is not known. */
static bool fail_unknown(struct postgres_db *db, const struct ask *list, struct error *err)
{
	char detail[sizeof(err->detail)];
	const char *said = PQerrorMessage(db->conn);

	snprintf(detail, sizeof(detail), "%s: no answer: %.*s", sql_name(list->id),
		 (int)strcspn(said, "\n"), said);
	(void)!fail(err, ERR_UNAVAILABLE, "The database cannot be reached. Try again in a moment.");
	snprintf(err->detail, sizeof(err->detail), "%s", detail);
	db->fault = *err;
	postgres_give_up(db);
	return false;
}

bool asks_run(struct asks *a, struct db *base, unsigned wait_ms, const struct ask *list,
	      struct error *err)
{
	struct postgres_db *db = postgres_of(base);

	if (!postgres_revive(db, err))
		return false;
	uint64_t until_ms = clock_ms() + wait_ms;
	if (!send_all(a, base, list) || !results_take(a, db, until_ms))
		return fail_unknown(db, list, err);
	return results_judge(a, db, err);
}

void asks_done(struct asks *a)
{
	for (unsigned i = 0; i < a->n; i++)
		query_done(&a->of[i]);
	a->n = 0;
}

bool asks_number(struct asks *a, unsigned at, bool *ret_row, int64_t *ret, struct error *err)
{
	*ret = 0;
	if (!query_step(&a->of[at], ret_row, err))
		return false;
	if (*ret_row)
		*ret = query_int(&a->of[at]);
	return true;
}

bool ask_number(struct db *db, enum sql id, const struct value *values, int64_t *ret,
		struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	bool row;

	return asks_run(&a, db, ASK_WAIT_MS, ASKS({ id, values }), err) &&
	       asks_number(&a, 0, &row, ret, err);
}

/* ---- in one message ---- */

bool ask_text(struct db *base, const char *begin, const char *with, const char *end,
	      struct error *err)
{
	struct postgres_db *db = postgres_of(base);
	AUTO(buf_free) struct buf text = BUF(4096);
	uint64_t answer_ms = db->answer_ms;

	if (!postgres_revive(db, err))
		return false;
	buf_text(&text, begin);
	char *quoted = PQescapeLiteral(db->conn, with, strlen(with));
	if (quoted == NULL)
		return postgres_fail(db, NULL, begin, err);
	buf_text(&text, quoted);
	PQfreemem(quoted);
	buf_text(&text, end);
	buf_char(&text, '\0');
	if (text.failed)
		return fail_memory(err);
	db->answer_ms = ASK_WAIT_MS;
	bool good = postgres_exec(db, text.p, NULL, 0, err);
	db->answer_ms = answer_ms;
	return good;
}

/* ---- parameters ---- */

static void list_next(struct buf *list)
{
	buf_char(list, list->n == 0 ? '{' : ',');
}

void array_u64(struct buf *list, uint64_t number)
{
	list_next(list);
	buf_u64(list, number);
}

void array_text(struct buf *list, const char *text)
{
	list_next(list);
	buf_char(list, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_char(list, '\\');
		buf_char(list, *text);
	}
	buf_char(list, '"');
}

void array_end(struct buf *list)
{
	if (list->n == 0)
		buf_char(list, '{');
	buf_char(list, '}');
	buf_char(list, '\0');
}
