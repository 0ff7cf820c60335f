/* db.h: how this folder talks to its database: a connection with its prepared statements, queries,
 * and what a failure becomes. Private to store/.
 *
 *	AUTO(query_done) struct query q = query(db, SQL_key_find, VALUES(txt(hash)));
 *	bool found;
 *	if (!query_step(&q, &found, err))
 *		return false;
 *	if (found)
 *		... query_int(&q), query_text(&q, ...): the columns one after the other ...
 *
 * Which database it is, its kind says (db_kind.h): SQLite (sqlite.c) or PostgreSQL (postgres.c). The
 * statements are the same for both, in the SQL that both know (ARCHITECTURE.md, Many machines).
 *
 * A connection is used by one thread at a time (store_priv.h sees to it), and a statement by one
 * query at a time. */
#pragma once

#include <stdint.h>

#include "base/array.h"
#include "base/attr.h"
#include "base/error.h"
#include "base/id.h"
#include "base/slice.h"

/* Every statement is the file sql/NAME.sql. Each is prepared when a connection opens, so a typing
 * error fails at once and not at the first cancel. */
/* clang-format off */
#define SQL_STATEMENTS(X)                                                                          \
	X(begin) X(begin_read) X(commit) X(rollback) X(savepoint) X(savepoint_keep) X(savepoint_undo)                                             \
	X(directory_get) X(directory_put) X(directory_turn) X(newest)                                                \
	X(org_insert) X(org_find) X(org_list) X(org_known) X(org_weight) X(org_weigh)              \
	X(org_suspend) X(org_suspended)                                                            \
	X(org_limit_used) X(batch_queue) X(org_queue) X(org_uploads)                               \
	X(day_add) X(day_add_of_batch) X(day_get) X(day_list) X(day_counted) X(day_forget)         \
	X(org_limit_list) X(org_limit_put) X(org_limit_drop)                                       \
	X(key_insert) X(key_list) X(key_find) X(key_named) X(key_revoke) X(key_count)              \
	X(call_insert) X(call_by_key) X(call_by_content) X(call_last) X(call_forget)                            \
	X(file_insert) X(file_get) X(file_usage) X(file_cursor)                                    \
	X(file_list_desc) X(file_list_asc) X(file_list_purpose_desc) X(file_list_purpose_asc)      \
	X(file_delete) X(file_expire) X(file_next_expiry) X(file_forget)                           \
	X(blob_spare) X(blob_gone) X(blob_known) X(spare_gone)                                     \
	X(upload_insert) X(upload_get) X(upload_count) X(upload_grow) X(upload_end)                \
	X(upload_expire) X(upload_forget) X(part_insert) X(part_get)                               \
	X(batch_insert) X(batch_get) X(batch_cursor) X(batch_list) X(batch_list_open)              \
	X(batch_enqueued) X(batch_open_count) X(batch_to_cancel) X(batch_validating) X(batch_move) X(batch_validated) X(batch_errors) X(batch_results) X(batch_hold) \
	X(batch_numbered) X(batch_run) X(status_block) X(label_block) X(label_find)                \
	X(batch_changed) X(batch_changed_open) X(batch_changed_last)                                                     \
	X(trace_insert) X(trace_get) X(progress_insert) X(progress_get) X(progress_put)                                         \
	X(webhook_insert) X(webhook_count) X(webhook_get) X(webhook_cursor) X(webhook_list)        \
	X(webhook_update) X(webhook_rotate) X(webhook_delete) X(webhook_configured)                \
	X(webhook_configure) X(webhook_of_batch) X(webhook_mark) X(webhook_pending)                \
	X(delivery_insert) X(delivery_cursor) X(delivery_list) X(delivery_get) X(delivery_replay)  \
	X(delivery_next) X(delivery_record) X(delivery_prune) X(delivery_forget) X(delivery_shift) \
	X(delivery_oldest) X(delivery_hurry)

/* Of many machines: the files sql/postgres/NAME.sql, for connections of DB_NODE alone (asks.h). */
#define SQL_NODE_STATEMENTS(X)                                                                     \
	X(node_enter) X(node_epoch) X(node_renew) X(node_bury) X(node_leave) X(node_leave_before)  \
	X(node_list) X(node_clock)                                                                               \
	X(upstream_take) X(upstream_release) X(upstream_list) X(online_tell) X(wanted_tell)                                      \
	X(spans_lock_batch) X(spans_create) X(spans_count) X(spans_whole) X(span_models)                          \
	X(span_claim) X(span_claimed_pieces) X(span_give_back) X(span_finish_lock) X(span_finish)  \
	X(span_finish_pieces) X(span_finish_batch) X(span_manifest) X(span_progress) X(batch_states)                                \
	X(pieces_settle) X(pieces_list)                                                            \
	X(garbage_mark) X(garbage_due) X(garbage_forget)                                           \
	X(report_put) X(report_list) X(report_forget)                                              \
	X(history_add) X(history_forget) X(history_read)                                           \
	X(paces_put) X(paces_list) X(paces_forget)

enum sql {
#define X(name) SQL_##name,
	SQL_STATEMENTS(X)
#undef X
	SQL_COUNT,
	SQL_BEFORE_NODES = SQL_COUNT - 1,
#define X(name) SQL_##name,
	SQL_NODE_STATEMENTS(X)
#undef X
	SQL_ALL
};
/* clang-format on */

/* The name of the file, for logs. */
const char *sql_name(enum sql id);

/* ---- connections ---- */

struct store;

/* The first member of the kind's own. */
struct db {
	const struct db_kind *kind;
	struct store *store;
	struct db *next_idle;
};

enum db_use {
	DB_WRITES,
	DB_READS, /* a statement that changes anything fails */
	DB_NODE,  /* PostgreSQL's alone: transactions of many machines (asks.h), and no others */
};

/* How long a statement waits for another process at most, but for what db_wait() says: a `lowtide
 * key` command writes for a few milliseconds, a migration or the recovery after a crash for
 * longer. */
#define DB_WAIT_MS 10000
/* Connects. One that writes brings a new or older database to this program's version first; so it is
 * opened before those that read. `where` is the kind's: of SQLite the file's path, of PostgreSQL a URL.
 * *ret is db_close()'s. */
MUST_USE bool db_open(const struct db_kind *kind, struct store *store, const char *where,
		      enum db_use use, struct db **ret, struct error *err);
void db_close(struct db *db); /* NULL is fine */
void db_wait(struct db *db, unsigned wait_ms);
/* store_claim(), by the connection that writes, for as long as it is there. */
MUST_USE bool db_claim(struct db *db, struct error *err);
/* store_share(), likewise. */
MUST_USE bool db_share(struct db *db, struct error *err);

/* Runs SQL that is no prepared statement: settings and migrations. */
MUST_USE bool db_exec(struct db *db, const char *text, struct error *err);
/* A transaction is open: begun, and neither committed nor rolled back, by the database itself
 * either. */
bool db_in_transaction(const struct db *db);
/* A number that is another one once another connection has changed what is known of keys. Of a server
 * nothing is asked, and nothing is waited for; where the connection to it has broken it fails. */
MUST_USE bool db_version(struct db *db, int64_t *ret, struct error *err);
/* Fails as the last call did that failed. */
MUST_USE bool db_fail_again(struct db *db, struct error *err);

/* ---- values for the parameters ?1, ?2, ... ---- */

struct value {
	enum { VALUE_END, VALUE_NULL, VALUE_INT, VALUE_TEXT } type;
	int64_t number;
	const char *text; /* has to live as long as the query */
};

#define VALUES(...) ((const struct value[]){ __VA_ARGS__ __VA_OPT__(, ){ .type = VALUE_END } })

static inline struct value num(int64_t number)
{
	return (struct value){ .type = VALUE_INT, .number = number };
}

static inline struct value num_or_null(int64_t number)
{
	return number != 0 ? num(number) : (struct value){ .type = VALUE_NULL };
}

/* NULL is NULL. */
static inline struct value txt(const char *text)
{
	return (struct value){ .type = text != NULL ? VALUE_TEXT : VALUE_NULL, .text = text };
}

/* "" is NULL, too. */
static inline struct value txt_or_null(const char *text)
{
	return txt(text != NULL && text[0] != '\0' ? text : NULL);
}

/* ---- queries ---- */

struct query {
	struct db *db;
	enum sql id;
	void *rows;     /* the kind's */
	int fault;      /* the kind's: why it could not begin; the first step tells */
	int row;        /* the kind's */
	int column;     /* the next one to read */
	bool misread;   /* a column held what it never should */
	bool no_memory; /* a column's text could not be had */
};

/* Starts one; as many values as the statement has parameters. */
struct query query(struct db *db, enum sql id, const struct value *values);
/* Steps to the next row; *ret_row false at the end. Reports also what was misread in the last. */
MUST_USE bool query_step(struct query *q, bool *ret_row, struct error *err);
/* Ends it; the statement is free again. */
void query_done(struct query *q);

/* The next column of the row at hand. */
int64_t query_int(struct query *q); /* NULL: 0 */
uint64_t query_u64(struct query *q);
void query_text(struct query *q, char *to, size_t size); /* NULL: "" */
char *query_text_copy(struct query *q);                  /* NULL: NULL; malloc'ed */
/* After the last column wanted: INTERNAL if any of them made no sense, or memory ran out. */
MUST_USE bool query_row_ok(const struct query *q, struct error *err);

/* The rest of the rows, each read into an element of `size` bytes: a malloc'ed array, also of none.
 * NULL: it failed. */
typedef bool (*row_fn)(struct query *q, void *to, struct error *err);
MUST_USE void *query_rows(struct query *q, row_fn read, size_t size, size_t *ret_n,
			  struct error *err);
/* Each of one column, an id. */
MUST_USE bool query_ids(struct query *q, char (**ret)[ID_SIZE], size_t *ret_n, struct error *err);

/* A statement that gives no row. *ret_changes, which may be NULL: the rows it touched. */
MUST_USE bool sql_run(struct db *db, enum sql id, const struct value *values, uint64_t *ret_changes,
		      struct error *err);
/* A statement that gives a single number; 0 if it gives none. */
MUST_USE bool sql_number(struct db *db, enum sql id, const struct value *values, int64_t *ret,
			 struct error *err);
