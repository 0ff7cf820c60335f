/* db.c: what connections and queries of all kinds have alike. */
#include "store/db.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/db_kind.h"

const char *sql_name(enum sql id)
{
	static const char *const names[SQL_ALL] = {
#define X(name) [SQL_##name] = #name,
		SQL_STATEMENTS(X) SQL_NODE_STATEMENTS(X)
#undef X
	};

	return names[id];
}

/* ---- connections ---- */

bool db_open(const struct db_kind *kind, struct store *store, const char *where, enum db_use use,
	     struct db **ret, struct error *err)
{
	if (!kind->open(where, use, ret, err))
		return false;
	(*ret)->kind = kind;
	(*ret)->store = store;
	return true;
}

void db_close(struct db *db)
{
	if (db != NULL)
		db->kind->close(db);
}

void db_wait(struct db *db, unsigned wait_ms)
{
	db->kind->wait(db, wait_ms);
}

bool db_claim(struct db *db, struct error *err)
{
	return db->kind->claim == NULL || db->kind->claim(db, err);
}

bool db_share(struct db *db, struct error *err)
{
	if (db->kind->share == NULL)
		return fail(err, ERR_INVALID,
			    "nodes share a database (store): the rows of a data directory are one "
			    "server's");
	return db->kind->share(db, err);
}

bool db_exec(struct db *db, const char *text, struct error *err)
{
	return db->kind->exec(db, text, err);
}

bool db_in_transaction(const struct db *db)
{
	return db->kind->in_transaction(db);
}

bool db_version(struct db *db, int64_t *ret, struct error *err)
{
	return db->kind->version(db, ret, err);
}

bool db_fail_again(struct db *db, struct error *err)
{
	return db->kind->fail_again(db, err);
}

/* ---- queries ---- */

struct query query(struct db *db, enum sql id, const struct value *values)
{
	struct query q = { .db = db, .id = id };

	db->kind->begin(&q, values);
	return q;
}

bool query_step(struct query *q, bool *ret_row, struct error *err)
{
	if (!query_row_ok(q, err))
		return false;
	q->column = 0;
	return q->db->kind->step(q, ret_row, err);
}

void query_done(struct query *q)
{
	q->db->kind->end(q);
}

int64_t query_int(struct query *q)
{
	return q->db->kind->number(q, q->column++);
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
	return q->db->kind->text(q, q->column++);
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

void *query_rows(struct query *q, row_fn read, size_t size, size_t *ret_n, struct error *err)
{
	AUTO(auto_free) char *rows = NULL;
	bool row;

	for (*ret_n = 0;; (*ret_n)++) {
		char *grown = array_room(rows, *ret_n, size);
		if (grown == NULL) {
			(void)!fail_memory(err);
			return NULL;
		}
		rows = grown;
		if (!query_step(q, &row, err))
			return NULL;
		if (!row)
			return TAKE(rows);
		if (!read(q, grown + *ret_n * size, err))
			return NULL;
	}
}

static bool id_read(struct query *q, void *to, struct error *err)
{
	(void)err;
	query_text(q, to, ID_SIZE);
	return true;
}

bool query_ids(struct query *q, char (**ret)[ID_SIZE], size_t *ret_n, struct error *err)
{
	*ret = query_rows(q, id_read, sizeof(**ret), ret_n, err);
	return *ret != NULL;
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
		*ret_changes = db->kind->changes(&q);
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
