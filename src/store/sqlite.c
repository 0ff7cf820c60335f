/* sqlite.c: connections, prepared statements, queries, and errors of SQLite. */
#include "store/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sql_texts.h"

static const struct {
	const char *name;
	const char *text;
} statements[SQL_COUNT] = {
#define X(name) [SQL_##name] = { #name, text_##name },
	SQL_STATEMENTS(X)
#undef X
};

const char *sql_name(enum sql id)
{
	return statements[id].name;
}

/* ---- errors ---- */

/* A full disk shows as FULL where a write fails with ENOSPC; a spent quota, or a sync that fails,
 * only as an I/O error. What kind is left in errno, which every call of SQLite finds at 0:
 * sqlite3_system_errno() does not know when it was a COMMIT that failed. */
static bool is_disk_full(int code, int system)
{
	return (code & 0xff) == SQLITE_FULL ||
	       ((code & 0xff) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT));
}

bool fail_sqlite(struct error *err, struct db *db, int code, const char *doing)
{
	db->fault_code = code;
	db->fault_errno = errno;
	bool full = is_disk_full(code, errno);
	char detail[sizeof(err->detail)];

	snprintf(detail, sizeof(detail), "%s: %s", doing,
		 db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code));
	if ((code & 0xff) == SQLITE_BUSY) {
		(void)!fail(err, ERR_UNAVAILABLE,
			    "The server is busy with other changes. Try again in a moment.");
		snprintf(err->detail, sizeof(err->detail), "%s", detail);
	} else {
		(void)!fail_sys(err, full ? ENOSPC : 0, "%s", detail);
	}
	err->sqlite = code;
	return false;
}

/* ---- connections ---- */

bool db_exec(struct db *db, const char *text, struct error *err)
{
	errno = 0;
	int code = sqlite3_exec(db->handle, text, NULL, NULL, NULL);

	return code == SQLITE_OK || fail_sqlite(err, db, code, "setting up");
}

bool db_open(struct db *db, const char *path, struct error *err)
{
	int code = sqlite3_open_v2(
		path, &db->handle,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (code != SQLITE_OK)
		return fail_sqlite(err, db, code, path);
	db_wait(db, DB_WAIT_MS);
	/* "name" in double quotes that is no column is an error then, not a string. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, (int *)NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)NULL);
	return db_exec(db, text_connect, err);
}

/* A code of SQLite's. */
static int statement_prepare(struct db *db, enum sql id)
{
	if (db->statements[id] != NULL)
		return SQLITE_OK;
	return sqlite3_prepare_v3(db->handle, statements[id].text, -1, SQLITE_PREPARE_PERSISTENT,
				  &db->statements[id], NULL);
}

bool db_prepare(struct db *db, struct error *err)
{
	for (int id = 0; id < SQL_COUNT; id++) {
		int code = statement_prepare(db, (enum sql)id);
		if (code != SQLITE_OK)
			return fail_sqlite(err, db, code, statements[id].name);
	}
	return true;
}

void db_wait(struct db *db, unsigned wait_ms)
{
	sqlite3_busy_timeout(db->handle, (int)wait_ms);
}

void db_close(struct db *db)
{
	for (int id = 0; id < SQL_COUNT; id++)
		sqlite3_finalize(db->statements[id]);
	int code = sqlite3_close(db->handle);
	assert(code == SQLITE_OK); /* else a statement was left open: our mistake */
	(void)code;
	memset(db, 0, sizeof(*db));
}

/* ---- queries ---- */

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

struct query query(struct db *db, enum sql id, const struct value *values)
{
	struct query q = { .db = db, .id = id };
	int n = 0;

	q.bind_code = statement_prepare(db, id);
	q.statement = db->statements[id];
	assert(!sqlite3_stmt_busy(q.statement));
	for (; values[n].type != VALUE_END && q.bind_code == SQLITE_OK; n++)
		q.bind_code = bind_value(q.statement, n + 1, &values[n]);
	assert(q.bind_code != SQLITE_OK || n == sqlite3_bind_parameter_count(q.statement));
	return q;
}

bool query_step(struct query *q, bool *ret_row, struct error *err)
{
	if (!query_row_ok(q, err))
		return false;
	errno = 0;
	int code = q->bind_code == SQLITE_OK ? sqlite3_step(q->statement) : q->bind_code;
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return fail_sqlite(err, q->db, code, sql_name(q->id));
	q->column = 0;
	*ret_row = code == SQLITE_ROW;
	return true;
}

void query_done(struct query *q)
{
	if (q->statement == NULL)
		return;              /* there was none to step */
	sqlite3_reset(q->statement); /* repeats what the last step returned, which has been seen */
	sqlite3_clear_bindings(q->statement);
}

int64_t query_int(struct query *q)
{
	return sqlite3_column_int64(q->statement, q->column++);
}

uint64_t query_u64(struct query *q)
{
	int64_t number = query_int(q);

	q->misread = q->misread || number < 0;
	return (uint64_t)number;
}

/* The next column, or NULL for NULL. */
static struct slice next_text(struct query *q)
{
	int at = q->column++;
	struct slice text = { .p = (const char *)sqlite3_column_text(q->statement, at) };

	if (text.p != NULL)
		text.n = (size_t)sqlite3_column_bytes(q->statement, at);
	else if (sqlite3_column_type(q->statement, at) != SQLITE_NULL)
		q->no_memory = true;
	return text;
}

void query_text(struct query *q, char *to, size_t size)
{
	if (!slice_copy(next_text(q), to, size))
		q->misread = true;
}

char *query_text_copy(struct query *q)
{
	struct slice text = next_text(q);

	if (text.p == NULL)
		return NULL;
	char *copy = strndup(text.p, text.n);
	q->no_memory = q->no_memory || copy == NULL;
	return copy;
}

bool query_row_ok(const struct query *q, struct error *err)
{
	if (q->no_memory)
		return fail_memory(err);
	if (!q->misread)
		return true;
	return fail_sys(err, EIO, "%s: a column of its row holds what none can", sql_name(q->id));
}

bool query_ids(struct query *q, char (**ret)[ID_SIZE], size_t *ret_n, struct error *err)
{
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	size_t n = 0;
	bool row;

	for (;;) {
		char(*grown)[ID_SIZE] = array_room(ids, n, sizeof(*ids));
		if (grown == NULL)
			return fail_memory(err);
		ids = grown;
		if (!query_step(q, &row, err))
			return false;
		if (!row)
			break;
		query_text(q, ids[n++], ID_SIZE);
	}
	*ret = TAKE(ids);
	*ret_n = n;
	return true;
}

bool sql_run(struct db *db, enum sql id, const struct value *values, uint64_t *ret_changes,
	     struct error *err)
{
	AUTO(query_done) struct query q = query(db, id, values);
	bool row;

	if (!query_step(&q, &row, err))
		return false;
	assert(!row);
	if (ret_changes != NULL)
		*ret_changes = (uint64_t)sqlite3_changes64(db->handle);
	return true;
}

bool sql_number(struct db *db, enum sql id, const struct value *values, int64_t *ret,
		struct error *err)
{
	AUTO(query_done) struct query q = query(db, id, values);
	bool row;

	if (!query_step(&q, &row, err))
		return false;
	*ret = row ? query_int(&q) : 0;
	return true;
}

/* ---- growing results ---- */

void *array_room(void *array, size_t n, size_t element_size)
{
	/* Its size is the least power of two that holds `n`: full when `n` is one itself. */
	if (n != 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n == 0 ? 1 : 2 * n, element_size);
}
