/* sqlite.c: connections, prepared statements and queries of SQLite. */
#include "store/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sql_texts.h"
#include "store/db_kind.h"

static const char *const texts[SQL_COUNT] = {
#define X(name) [SQL_##name] = text_##name,
	SQL_STATEMENTS(X)
#undef X
};

/* ---- connections ---- */

static bool again(struct db *db, struct error *err)
{
	errno = sqlite_of(db)->fault_errno;
	return fail_sqlite(err, sqlite_of(db), sqlite_of(db)->fault_code, "a group of changes");
}

static void wait(struct db *db, unsigned wait_ms)
{
	sqlite3_busy_timeout(sqlite_of(db)->handle, (int)wait_ms);
}

static bool set_up(struct sqlite_db *db, const char *path, struct error *err)
{
	int code = sqlite3_open_v2(
		path, &db->handle,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (code != SQLITE_OK)
		return fail_sqlite(err, db, code, path);
	wait(&db->base, DB_WAIT_MS);
	/* "name" in double quotes that is no column is an error then, not a string. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, (int *)NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)NULL);
	return sqlite_exec(&db->base, text_connect, err);
}

/* A code of SQLite's. */
static int statement_prepare(struct sqlite_db *db, enum sql id)
{
	if (db->statements[id] != NULL)
		return SQLITE_OK;
	return sqlite3_prepare_v3(db->handle, texts[id], -1, SQLITE_PREPARE_PERSISTENT,
				  &db->statements[id], NULL);
}

/* All statements: the writer's, at the start, so that none is wrong. Those of other connections are
 * prepared each at its first use: a few are used of each, and all of them are a megabyte. */
static bool prepare_all(struct sqlite_db *db, struct error *err)
{
	for (int id = 0; id < SQL_COUNT; id++) {
		int code = statement_prepare(db, (enum sql)id);
		if (code != SQLITE_OK)
			return fail_sqlite(err, db, code, sql_name((enum sql)id));
	}
	return true;
}

static void disconnect(struct db *base)
{
	struct sqlite_db *db = sqlite_of(base);

	for (int id = 0; id < SQL_COUNT; id++)
		sqlite3_finalize(db->statements[id]);
	sqlite3_finalize(db->version);
	int code = sqlite3_close(db->handle);
	assert(code == SQLITE_OK); /* else a statement was left open: our mistake */
	(void)code;
	free(db);
}

static bool connect(const char *path, enum db_use use, struct db **ret, struct error *err)
{
	struct sqlite_db *db = calloc(1, sizeof(*db));

	if (db == NULL)
		return fail_memory(err);
	bool ok = set_up(db, path, err) &&
		  (use == DB_WRITES ? sqlite_migrate(db, err) && prepare_all(db, err)
				    : sqlite_exec(&db->base, "PRAGMA query_only = ON", err));
	if (!ok) {
		disconnect(&db->base);
		return false;
	}
	*ret = &db->base;
	return true;
}

static bool in_transaction(const struct db *db)
{
	return !sqlite3_get_autocommit(sqlite_of(db)->handle);
}

/* ---- queries ---- */

static sqlite3_stmt *statement_of(const struct query *q)
{
	return q->rows;
}

static int bind_value(sqlite3_stmt *statement, int at, const struct value *value)
{
	switch (value->type) {
	case VALUE_INT:
		return sqlite3_bind_int64(statement, at, value->number);
	case VALUE_TEXT:
		return sqlite3_bind_text(statement, at, value->text, -1, SQLITE_STATIC);
	case VALUE_NULL:
	case VALUE_END:
		break;
	}
	return sqlite3_bind_null(statement, at);
}

static void begin(struct query *q, const struct value *values)
{
	struct sqlite_db *db = sqlite_of(q->db);
	int n = 0;

	q->fault = statement_prepare(db, q->id);
	q->rows = db->statements[q->id];
	assert(!sqlite3_stmt_busy(q->rows));
	for (; values[n].type != VALUE_END && q->fault == SQLITE_OK; n++)
		q->fault = bind_value(q->rows, n + 1, &values[n]);
	assert(q->fault != SQLITE_OK || n == sqlite3_bind_parameter_count(q->rows));
}

static bool step(struct query *q, bool *ret_row, struct error *err)
{
	errno = 0;
	int code = q->fault == SQLITE_OK ? sqlite3_step(statement_of(q)) : q->fault;
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return fail_sqlite(err, sqlite_of(q->db), code, sql_name(q->id));
	*ret_row = code == SQLITE_ROW;
	return true;
}

static void end(struct query *q)
{
	if (q->rows == NULL)
		return; /* there was none to step */
	sqlite3_reset(
		statement_of(q)); /* repeats what the last step returned, which has been seen */
	sqlite3_clear_bindings(statement_of(q));
}

static uint64_t changes(const struct query *q)
{
	return (uint64_t)sqlite3_changes64(sqlite_of(q->db)->handle);
}

static int64_t number(struct query *q, int column)
{
	return sqlite3_column_int64(statement_of(q), column);
}

static struct slice text(struct query *q, int column)
{
	struct slice text = { .p = (const char *)sqlite3_column_text(statement_of(q), column) };

	if (text.p != NULL)
		text.n = (size_t)sqlite3_column_bytes(statement_of(q), column);
	else if (sqlite3_column_type(statement_of(q), column) != SQLITE_NULL)
		q->no_memory = true;
	return text;
}

/* Of all that others change. */
static bool version(struct db *base, int64_t *ret, struct error *err)
{
	struct sqlite_db *db = sqlite_of(base);

	if (db->version == NULL &&
	    sqlite3_prepare_v3(db->handle, "PRAGMA data_version", -1, SQLITE_PREPARE_PERSISTENT,
			       &db->version, NULL) != SQLITE_OK)
		return fail_sqlite(err, db, sqlite3_errcode(db->handle), "data_version");
	int code = sqlite3_step(db->version);

	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(db->version, 0);
	bool ok = code == SQLITE_ROW || fail_sqlite(err, db, code, "data_version");
	sqlite3_reset(db->version);
	return ok;
}

const struct db_kind db_sqlite = {
	.name = "SQLite",
	.open = connect,
	.close = disconnect,
	.wait = wait,
	.exec = sqlite_exec,
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
