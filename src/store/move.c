/* move.c: all rows of a data directory's SQLite, into the schema of a PostgreSQL, in one transaction.
 *
 * PostgreSQL says which columns a table has; SQLite's have the same names. Triggers are off meanwhile: what
 * they keep (sums, blocks of labels) is rows, too, and is moved. */
#include "store/move.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/db_kind.h"
#include "store/postgres.h"
#include "store/sqlite.h"
#include "store/store_priv.h"

#define COPY_BYTES (64u << 10)

/* A table after those that it refers to. */
static const char *const tables[] = {
	"org",
	"org_limit",
	"org_day",
	"api_key",
	"call",
	"file",
	"batch",
	"batch_trace",
	"progress",
	"status_block",
	"label",
	"label_block",
	"upload",
	"upload_part",
	"spare_blob",
	"webhook_endpoint",
	"webhook_delivery",
	"directory",
};

struct move {
	struct sqlite_db *from;
	struct postgres_db *to;
	const struct work_moved *work;
	const char *bucket; /* "": none */
	uint64_t *rows;
	struct error *err;
};

/* Those of the table. */
static bool triggers_set(const struct move *m, const char *table, const char *how)
{
	char text[128];

	snprintf(text, sizeof(text), "ALTER TABLE %s %s TRIGGER USER", table, how);
	return postgres_exec(m->to, text, NULL, 0, m->err);
}

/* "a, b, c": those that are not computed. */
static bool columns_of(const struct move *m, const char *table, char *ret, size_t size)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
		 " WHERE attrelid = '%s'::regclass AND attnum > 0 AND NOT attisdropped"
		 " AND attgenerated = ''",
		 table);
	return postgres_exec(m->to, text, ret, size, m->err);
}

/* ---- a row as COPY reads it ---- */

static void text_add(struct buf *to, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *escaped = text[i] == '\\'   ? "\\\\"
				      : text[i] == '\t' ? "\\t"
				      : text[i] == '\n' ? "\\n"
				      : text[i] == '\r' ? "\\r"
							: NULL;
		if (escaped != NULL)
			buf_text(to, escaped);
		else
			buf_char(to, text[i]);
	}
}

static void row_add(struct buf *to, sqlite3_stmt *row)
{
	int n = sqlite3_column_count(row);

	for (int i = 0; i < n; i++) {
		if (sqlite3_column_type(row, i) == SQLITE_NULL)
			buf_text(to, "\\N");
		else
			text_add(to, (const char *)sqlite3_column_text(row, i),
				 (size_t)sqlite3_column_bytes(row, i));
		buf_char(to, i + 1 < n ? '\t' : '\n');
	}
}

static bool send_some(const struct move *m, struct buf *rows)
{
	if (rows->failed)
		return fail_memory(m->err);
	if (rows->n > 0 && PQputCopyData(m->to->conn, rows->p, (int)rows->n) != 1)
		return postgres_fail(m->to, NULL, "moving rows", m->err);
	buf_clear(rows);
	return true;
}

static bool send_rows(const struct move *m, sqlite3_stmt *row)
{
	AUTO(buf_free) struct buf rows = BUF(UINT32_MAX);
	int code;

	while ((code = sqlite3_step(row)) == SQLITE_ROW) {
		row_add(&rows, row);
		++*m->rows;
		if ((rows.n >= COPY_BYTES || rows.failed) && !send_some(m, &rows))
			return false;
	}
	return code == SQLITE_DONE ? send_some(m, &rows)
				   : fail_sqlite(m->err, m->from, code, "reading rows to move");
}

/* ---- a table ---- */

/* What is sent counts only if all of it was. */
static bool copy_end(const struct move *m, bool good)
{
	if (PQputCopyEnd(m->to->conn, good ? NULL : "given up") != 1)
		return good && postgres_fail(m->to, NULL, "moving rows", m->err);
	for (PGresult *r; (r = PQgetResult(m->to->conn)) != NULL; PQclear(r))
		if (good && !postgres_is_good(r))
			good = postgres_fail(m->to, r, "moving rows", m->err);
	return good;
}

static bool copy_begin(const struct move *m, const char *table, const char *columns)
{
	char text[1200];

	snprintf(text, sizeof(text), "COPY %s (%s) FROM STDIN", table, columns);
	PGresult *r = PQexec(m->to->conn, text);
	bool good = PQresultStatus(r) == PGRES_COPY_IN ||
		    postgres_fail(m->to, r, "moving rows", m->err);
	PQclear(r);
	return good;
}

static bool table_move(const struct move *m, const char *table)
{
	char columns[1024], text[1200];
	sqlite3_stmt *row;

	if (!columns_of(m, table, columns, sizeof(columns)) || !triggers_set(m, table, "DISABLE"))
		return false;
	snprintf(text, sizeof(text), "SELECT %s FROM %s", columns, table);
	int code = sqlite3_prepare_v2(m->from->handle, text, -1, &row, NULL);
	if (code != SQLITE_OK)
		return fail_sqlite(m->err, m->from, code, "reading rows to move");
	bool good = copy_begin(m, table, columns) && copy_end(m, send_rows(m, row));
	sqlite3_finalize(row);
	return good && triggers_set(m, table, "ENABLE");
}

/* Numbers that PostgreSQL gives go on behind those that are there. */
static bool sequences_set(const struct move *m)
{
	static const char text[] =
		"DO $$ DECLARE c record; BEGIN"
		" FOR c IN SELECT attrelid::regclass AS of, attname AS name FROM pg_attribute"
		" JOIN pg_class ON pg_class.oid = attrelid"
		" WHERE relnamespace = current_schema()::regnamespace AND attidentity <> '' LOOP"
		" EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L),"
		" coalesce(max(%I), 0) + 1, false) FROM %s', c.of, c.name, c.name, c.of);"
		" END LOOP; END $$";

	return postgres_exec(m->to, text, NULL, 0, m->err);
}

/* ---- work ---- */

static void counts_add(struct buf *to, const struct counts *c, const struct usage *u)
{
	buf_printf(to,
		   "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
		   "\t%" PRIu64 "\t%" PRIu64 "\n",
		   c->completed, c->failed, c->retried, u->input, u->cached, u->output,
		   u->reasoning, u->total);
}

static void span_row(struct buf *to, const struct work_moved *w, size_t i)
{
	const struct span_moved *s = &w->spans[i];

	buf_printf(to, "%s\t%u\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64, s->id.batch, s->id.n,
		   s->plan.first_segment, s->plan.segments, s->plan.lines);
	counts_add(to, &s->counts, &s->usage);
}

static void piece_row(struct buf *to, const struct work_moved *w, size_t i)
{
	const struct piece_moved *p = &w->pieces[i];

	buf_printf(to, "%s\t%u\t%s\t%" PRIu64 "\t%" PRIu64, p->span.batch, p->span.n, p->chunk,
		   p->at, p->length);
	counts_add(to, &p->counts, &p->usage);
}

typedef void (*work_row_fn)(struct buf *to, const struct work_moved *w, size_t i);

static bool work_send(const struct move *m, work_row_fn row, size_t n)
{
	AUTO(buf_free) struct buf rows = BUF(UINT32_MAX);

	for (size_t i = 0; i < n; i++) {
		row(&rows, m->work, i);
		if ((rows.n >= COPY_BYTES || rows.failed) && !send_some(m, &rows))
			return false;
	}
	return send_some(m, &rows);
}

#define COUNT_COLUMNS                                                                               \
	"completed, failed, retried, input_tokens, cached_tokens, output_tokens, reasoning_tokens," \
	" total_tokens"

/* What has ended of moved batches and no day has counts for today, as with a start on the directory: from here
 * on tokens count as they are settled. */
static bool tokens_count(const struct move *m)
{
	static const char text[] =
		"INSERT INTO org_day (day, org, tokens)"
		" SELECT floor(extract(epoch FROM statement_timestamp()) / 86400)::bigint, b.org,"
		" sum(s.tokens - p.counted_tokens)::bigint"
		" FROM (SELECT batch, sum(input_tokens + output_tokens) AS tokens FROM spans"
		" GROUP BY batch) AS s"
		" JOIN batch AS b ON b.id = s.batch JOIN progress AS p ON p.batch = s.batch"
		" WHERE s.tokens > p.counted_tokens GROUP BY b.org"
		" ON CONFLICT (day, org) DO UPDATE SET tokens = org_day.tokens + excluded.tokens";

	return postgres_exec(m->to, text, NULL, 0, m->err);
}

static bool work_move(const struct move *m)
{
	return m->work == NULL ||
	       (copy_begin(m, "spans",
			   "batch, n, first_segment, segments, lines, " COUNT_COLUMNS) &&
		copy_end(m, work_send(m, span_row, m->work->n_spans)) &&
		copy_begin(m, "journal_pieces", "batch, span, chunk, at, length, " COUNT_COLUMNS) &&
		copy_end(m, work_send(m, piece_row, m->work->n_pieces)) && tokens_count(m));
}

/* ---- where it went ---- */

static bool note_put(const struct move *m)
{
	AUTO(buf_free) struct buf text = BUF(UINT32_MAX);
	char *quoted = PQescapeLiteral(m->to->conn, m->bucket, strlen(m->bucket));

	if (quoted == NULL)
		return postgres_fail(m->to, NULL, "moving rows", m->err);
	buf_text(&text, "UPDATE lowtide SET moved_to = ");
	buf_text(&text, quoted);
	buf_char(&text, '\0');
	PQfreemem(quoted);
	return text.failed ? fail_memory(m->err) : postgres_exec(m->to, text.p, NULL, 0, m->err);
}

/* A call that goes on with an earlier one's work says the same as that. */
static bool note_check(struct store *to, const char *bucket, struct error *err)
{
	char noted[1024];

	if (!postgres_exec(postgres_of(to->writer), "SELECT moved_to FROM lowtide", noted,
			   sizeof(noted), err))
		return false;
	if (strcmp(noted, bucket) == 0)
		return true;
	return noted[0] != '\0'
		       ? fail(err, ERR_INVALID,
			      "an earlier call has moved these rows, and files to %s: make it again with "
			      "that bucket",
			      noted)
		       : fail(err, ERR_INVALID,
			      "an earlier call has moved these rows without a bucket, so files are here "
			      "alone: make it again without one");
}

/* ---- the whole ---- */

/* *ret_done: an earlier call has moved these rows, and nothing has come since. */
static bool is_there(struct store *from, struct store *to, bool *ret_done, struct error *err)
{
	struct store_directory ours, theirs;
	bool has_ours, has_theirs;
	struct org *orgs;
	size_t n;

	if (!store_directory_get(from, &ours, &has_ours, err) ||
	    !store_directory_get(to, &theirs, &has_theirs, err) ||
	    !store_org_list(to, &orgs, &n, err))
		return false;
	free(orgs);
	*ret_done = has_ours && has_theirs && strcmp(ours.id, theirs.id) == 0 &&
		    ours.turns == theirs.turns;
	return *ret_done || (!has_theirs && n == 0) ||
	       fail(err, ERR_INVALID,
		    "the database has rows already: give lowtide one, or a schema, of its own that is "
		    "empty");
}

static bool rows_move(const struct move *m)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (!table_move(m, tables[i]))
			return false;
	return sequences_set(m) && work_move(m) && note_put(m);
}

struct mover {
	struct store *from, *to;
	const char *bucket;
	bool done;
};

struct store *mover_from(const struct mover *m)
{
	return m->from;
}

bool mover_is_done(const struct mover *m)
{
	return m->done;
}

void mover_close(struct mover *m)
{
	if (m == NULL)
		return;
	store_close(m->to);
	store_close(m->from);
	free(m);
}

bool mover_open(const char *data_dir, const char *url, const char *bucket, struct mover **ret,
		struct error *err)
{
	struct mover *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return fail_memory(err);
	m->bucket = bucket != NULL ? bucket : "";
	if (store_open(data_dir, &m->from, err) && store_connect(url, &m->to, err) &&
	    store_claim(m->to, err) && is_there(m->from, m->to, &m->done, err) &&
	    (!m->done || note_check(m->to, m->bucket, err))) {
		*ret = m;
		return true;
	}
	mover_close(m);
	return false;
}

/* crash: before the commit, nothing; after it, all, which is_there() finds. */
bool mover_move(struct mover *m, const struct work_moved *work, uint64_t *ret_rows,
		struct error *err)
{
	const struct move move = { sqlite_of(m->from->writer),
				   postgres_of(m->to->writer),
				   work,
				   m->bucket,
				   ret_rows,
				   err };
	AUTO(txn_end) struct txn t = { 0 };

	*ret_rows = 0;
	return txn_begin(&t, m->to, err) && rows_move(&move) && txn_commit(&t, err);
}
