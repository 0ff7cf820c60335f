/* files.c: files, their quota, their tombstones, and the blobs that may go. */
#include <stdio.h>

#include "base/duration.h"
#include "store/store_priv.h"

/* How long the id of a file that went is valid as `after` in a list (contract 10). */
#define TOMBSTONE_KEPT_S (24 * 3600)

/* ---- rows ---- */

static bool purpose_from_name(const char *name, enum file_purpose *ret)
{
	for (enum file_purpose p = PURPOSE_BATCH; p <= PURPOSE_BATCH_OUTPUT; p++) {
		if (strcmp(name, file_purpose_name(p)) != 0)
			continue;
		*ret = p;
		return true;
	}
	return false;
}

static bool file_read(struct query *q, struct file *ret, struct error *err)
{
	char purpose[32];

	query_text(q, ret->id, sizeof(ret->id));
	query_text(q, ret->org, sizeof(ret->org));
	query_text(q, purpose, sizeof(purpose));
	q->misread = q->misread || !purpose_from_name(purpose, &ret->purpose);
	ret->bytes = query_u64(q);
	ret->created_at = query_int(q);
	ret->expires_at = query_int(q);
	query_text(q, ret->sha256, sizeof(ret->sha256));
	query_text(q, ret->filename, sizeof(ret->filename));
	ret->lines = query_u64(q);
	return query_row_ok(q, err);
}

bool file_insert(struct db *db, const struct file *f, struct error *err)
{
	return sql_run(db, SQL_file_insert,
		       VALUES(txt(f->id), txt(f->org), txt(file_purpose_name(f->purpose)),
			      num((int64_t)f->bytes), num(f->created_at),
			      num_or_null(f->expires_at), txt(f->sha256), txt(f->filename),
			      num((int64_t)f->lines)),
		       NULL, err);
}

bool file_find(struct db *db, const char *org, const char *id, int64_t now, struct file *ret,
	       bool *ret_found, struct error *err)
{
	AUTO(query_done)
	struct query q = query(db, SQL_file_get, VALUES(txt(id), txt(org), num(now)));

	if (!query_step(&q, ret_found, err))
		return false;
	return !*ret_found || file_read(&q, ret, err);
}

static bool fail_no_file(struct error *err, const char *id)
{
	(void)!fail(err, ERR_NOT_FOUND, "No such File object: %s", id);
	snprintf(err->param, sizeof(err->param), "id");
	return false;
}

/* ---- one file ---- */

bool file_use(struct db *db, const char *org, int64_t now, struct file_use *ret, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_file_usage, VALUES(txt(org), num(now)));
	bool row;

	*ret = (struct file_use){ 0 };
	if (!query_step(&q, &row, err))
		return false;
	if (!row)
		return true;
	ret->files = query_u64(&q);
	ret->bytes = query_u64(&q);
	return query_row_ok(&q, err);
}

bool store_file_use(struct store *s, const char *org, int64_t now, struct file_use *ret,
		    struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return file_use(db, org, now, ret, err);
}

bool file_quota_allows(const struct file_quota *quota, const struct file_use *use,
		       const struct file_use *more, struct error *err)
{
	uint64_t files = use->files + more->files, bytes = use->bytes + more->bytes;
	char max[24];

	if (quota->files_max != 0 && files > quota->files_max)
		return fail_param(err, NULL, "file_quota_exceeded",
				  "The number of files you have uploaded exceeded the max file "
				  "count %llu, please delete previous uploaded files "
				  "(limits.org.files)",
				  (unsigned long long)quota->files_max);
	if (quota->bytes_max == 0 || bytes <= quota->bytes_max)
		return true;
	size_format(quota->bytes_max, max);
	return fail_param(err, NULL, "file_quota_exceeded",
			  "The total size of the files you have uploaded exceeded the max "
			  "size %s, please delete previous uploaded files "
			  "(limits.org.bytes)",
			  max);
}

static bool quota_has_room(struct db *db, const struct file *f, const struct file_quota *quota,
			   struct error *err)
{
	struct file_use use;

	if (quota == NULL || f->purpose != PURPOSE_BATCH ||
	    (quota->files_max == 0 && quota->bytes_max == 0))
		return true;
	return file_use(db, f->org, f->created_at, &use, err) &&
	       file_quota_allows(quota, &use, &(struct file_use){ 1, f->bytes }, err);
}

bool file_add(struct db *db, const struct file *f, const struct file_quota *quota,
	      struct error *err)
{
	return quota_has_room(db, f, quota, err) && file_insert(db, f, err);
}

bool store_file_insert(struct store *s, const struct file *f, const struct file_quota *quota,
		       const struct call *call, char ret_id[static ID_SIZE], struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	char id[ID_SIZE];

	if (!txn_begin(&t, s, err) || !call_find(t.db, call, f->created_at, id, err))
		return false;
	if (id[0] == '\0') {
		memcpy(id, f->id, sizeof(id));
		if (!file_add(t.db, f, quota, err) ||
		    !call_record(t.db, call, f->id, f->created_at, err))
			return false;
	}
	if (!txn_commit(&t, err))
		return false;
	memcpy(ret_id, id, sizeof(id));
	return true;
}

bool store_file_get(struct store *s, const char *org, const char *id, int64_t now, struct file *ret,
		    struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	bool found;

	if (!file_find(db, org, id, now, ret, &found, err))
		return false;
	return found || fail_no_file(err, id);
}

bool store_file_delete(struct store *s, const char *org, const char *id, int64_t now,
		       struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	uint64_t deleted;

	if (!txn_begin(&t, s, err) ||
	    !sql_run(t.db, SQL_file_delete, VALUES(txt(id), txt(org), num(now)), &deleted, err))
		return false;
	if (deleted == 0)
		return fail_no_file(err, id);
	return txn_commit(&t, err);
}

/* ---- lists ---- */

/* Where a page begins: the number of `after` in the order of making. */
static bool find_cursor(struct db *db, const struct file_query *q, int64_t *ret, struct error *err)
{
	AUTO(query_done)
	struct query cursor = query(db, SQL_file_cursor,
				    VALUES(txt(q->after), txt(q->org),
					   num(q->now - TOMBSTONE_KEPT_S)));
	bool known;

	if (!query_step(&cursor, &known, err))
		return false;
	if (!known)
		return fail_param(err, "after", "invalid_value",
				  "Invalid value for 'after': no file has the id '%s'.", q->after);
	*ret = query_int(&cursor);
	return true;
}

static struct query list_query(struct db *db, const struct file_query *q, int64_t from)
{
	/* One row more than the page holds tells whether there is a next page. */
	struct value limit = num((int64_t)q->limit + 1);

	if (q->purpose == NULL)
		return query(db, q->ascending ? SQL_file_list_asc : SQL_file_list_desc,
			     VALUES(txt(q->org), num(q->now), num(from), limit));
	return query(db, q->ascending ? SQL_file_list_purpose_asc : SQL_file_list_purpose_desc,
		     VALUES(txt(q->org), num(q->now), num(from), limit, txt(q->purpose)));
}

bool store_file_list(struct store *s, const struct file_query *q, struct file **ret, size_t *ret_n,
		     bool *ret_more, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	int64_t from = q->ascending ? 0 : INT64_MAX;

	if (q->after != NULL && !find_cursor(db, q, &from, err))
		return false;

	AUTO(query_done) struct query page = list_query(db, q, from);
	AUTO(auto_free) struct file *files = NULL;
	size_t n = 0;
	bool row;
	for (;;) {
		struct file *grown = array_room(files, n, sizeof(*files));
		if (grown == NULL)
			return fail_memory(err);
		files = grown;
		if (!query_step(&page, &row, err))
			return false;
		if (!row || n == q->limit)
			break;
		if (!file_read(&page, &files[n++], err))
			return false;
	}
	*ret = TAKE(files);
	*ret_n = n;
	*ret_more = row;
	return true;
}

/* ---- what goes ---- */

bool store_sweep(struct store *s, int64_t now, int64_t *ret_next, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	int64_t next;

	if (!txn_begin(&t, s, err) ||
	    !sql_run(t.db, SQL_file_expire, VALUES(num(now)), NULL, err) ||
	    !sql_run(t.db, SQL_upload_expire, VALUES(num(now)), NULL, err) ||
	    !sql_run(t.db, SQL_upload_forget, VALUES(num(now - UPLOAD_KEPT_S)), NULL, err) ||
	    !sql_run(t.db, SQL_file_forget, VALUES(num(now - TOMBSTONE_KEPT_S)), NULL, err) ||
	    !sql_run(t.db, SQL_call_forget, VALUES(num(now - CALL_KEPT_S)), NULL, err) ||
	    !sql_number(t.db, SQL_file_next_expiry, VALUES(), &next, err) || !txn_commit(&t, err))
		return false;
	*ret_next = next;
	return true;
}

bool store_blobs_spare(struct store *s, char (*ids)[ID_SIZE], size_t max, size_t *ret_n,
		       struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_blob_spare, VALUES(num((int64_t)max)));
	size_t n = 0;
	bool row;

	while (query_step(&q, &row, err)) {
		if (!row) {
			*ret_n = n;
			return true;
		}
		query_text(&q, ids[n++], ID_SIZE);
	}
	return false;
}

bool store_blobs_gone(struct store *s, const char (*ids)[ID_SIZE], size_t n, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!sql_run(t.db, SQL_blob_gone, VALUES(txt(ids[i])), NULL, err) ||
		    !sql_run(t.db, SQL_spare_gone, VALUES(txt(ids[i])), NULL, err))
			return false;
	return txn_commit(&t, err);
}

bool store_blob_known(struct store *s, const char *id, bool *ret_known, bool *ret_deleted,
		      struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	int64_t standing;

	if (!sql_number(db, SQL_blob_known, VALUES(txt(id)), &standing, err))
		return false;
	*ret_known = standing == 1;
	*ret_deleted = standing == 2;
	return true;
}
