/* uploads.c: the counts of organizations, and the blobs that may go, are the work of triggers
 * (migrations/016_uploads.sql). */
#include "store/uploads.h"

#include <assert.h>
#include <stdio.h>

#include "base/sys.h"
#include "store/store_priv.h"

static const char *const names[] = {
	[UPLOAD_PENDING] = "pending",
	[UPLOAD_COMPLETED] = "completed",
	[UPLOAD_CANCELLED] = "cancelled",
	[UPLOAD_EXPIRED] = "expired",
};

const char *upload_status_name(enum upload_status status)
{
	return names[status];
}

/* ---- rows ---- */

static bool row_read(struct query *q, struct upload_row *ret, struct error *err)
{
	query_text(q, ret->id, sizeof(ret->id));
	query_text(q, ret->org, sizeof(ret->org));
	ret->bytes = query_u64(q);
	query_text(q, ret->filename, sizeof(ret->filename));
	ret->expires_after_s = query_int(q);
	ret->created_at = query_int(q);
	ret->expires_at = query_int(q);
	int64_t status = query_int(q);
	q->misread = q->misread || status < 0 || status > UPLOAD_EXPIRED;
	ret->status = (enum upload_status)status;
	query_text(q, ret->blob, sizeof(ret->blob));
	ret->blob_bytes = query_u64(q);
	ret->received = query_u64(q);
	ret->parts = query_u64(q);
	query_text(q, ret->file, sizeof(ret->file));
	query_text(q, ret->part_list, sizeof(ret->part_list));
	return query_row_ok(q, err);
}

static bool fail_no_upload(struct error *err, const char *id)
{
	(void)!fail(err, ERR_NOT_FOUND, "No such Upload object: %s", id);
	snprintf(err->param, sizeof(err->param), "id");
	return false;
}

static bool row_find(struct db *db, const char *org, const char *id, int64_t now,
		     struct upload_row *ret, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_upload_get, VALUES(txt(id), txt(org)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return fail_no_upload(err, id);
	if (!row_read(&q, ret, err))
		return false;
	ret->ended = ret->status != UPLOAD_PENDING;
	if (!ret->ended && ret->expires_at <= now)
		ret->status = UPLOAD_EXPIRED; /* the next sweep says so, too */
	return true;
}

bool upload_is_pending(const struct upload_row *u, struct error *err)
{
	return u->status == UPLOAD_PENDING ||
	       fail(err, ERR_INVALID,
		    "The upload '%s' is %s. Only a pending upload can be changed.", u->id,
		    upload_status_name(u->status));
}

/* ---- begin ---- */

static bool uploads_have_room(struct db *db, const struct upload_row *u, uint64_t max,
			      struct error *err)
{
	int64_t pending;

	if (max == 0)
		return true;
	if (!sql_number(db, SQL_upload_count, VALUES(txt(u->org), num(u->created_at)), &pending,
			err))
		return false;
	return (uint64_t)pending < max ||
	       fail(err, ERR_RATE_LIMIT,
		    "An organization may have %llu uploads at once (limits.org.uploads). Please "
		    "complete or cancel some.",
		    (unsigned long long)max);
}

static bool quota_has_room(struct db *db, const char *org, int64_t now,
			   const struct file_quota *quota, const struct file_use *more,
			   struct error *err)
{
	struct file_use use;

	if (quota->files_max == 0 && quota->bytes_max == 0)
		return true;
	return file_use(db, org, now, &use, err) && file_quota_allows(quota, &use, more, err);
}

static bool row_insert(struct db *db, const struct upload_row *u, struct error *err)
{
	return sql_run(db, SQL_upload_insert,
		       VALUES(txt(u->id), txt(u->org), num((int64_t)u->bytes), txt(u->filename),
			      num(u->expires_after_s), num(u->created_at), num(u->expires_at),
			      txt(u->blob)),
		       NULL, err);
}

bool store_upload_insert(struct store *s, const struct upload_row *u,
			 const struct file_quota *quota, uint64_t uploads_max,
			 const struct call *call, char ret_id[static ID_SIZE], struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	char id[ID_SIZE];

	if (!txn_begin(&t, s, err) || !call_find(t.db, call, u->created_at, id, err))
		return false;
	if (id[0] == '\0') {
		memcpy(id, u->id, sizeof(id));
		if (!uploads_have_room(t.db, u, uploads_max, err) ||
		    !quota_has_room(t.db, u->org, u->created_at, quota,
				    &(struct file_use){ 1, u->bytes }, err) ||
		    !row_insert(t.db, u, err) ||
		    !call_record(t.db, call, u->id, u->created_at, err))
			return false;
	}
	if (!txn_commit(&t, err))
		return false;
	memcpy(ret_id, id, sizeof(id));
	return true;
}

bool store_upload_get(struct store *s, const char *org, const char *id, int64_t now,
		      struct upload_row *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return row_find(db, org, id, now, ret, err);
}

/* ---- parts ---- */

static uint64_t reserved(uint64_t bytes, uint64_t received)
{
	return bytes > received ? bytes : received;
}

/* Whether the upload may have a part of so many bytes. */
static bool part_has_room(struct db *db, const struct upload_row *u, uint64_t bytes,
			  const struct file_quota *quota, int64_t now, struct error *err)
{
	uint64_t more = reserved(u->bytes, u->received + bytes) - reserved(u->bytes, u->received);

	if (u->parts >= UPLOAD_PARTS_MAX)
		return fail(err, ERR_INVALID,
			    "An upload may have %u parts. Please send larger ones.",
			    UPLOAD_PARTS_MAX);
	return more == 0 ||
	       quota_has_room(db, u->org, now, quota, &(struct file_use){ 0, more }, err);
}

static bool part_row_insert(struct db *db, const struct upload_row *u, const struct upload_part *p,
			    struct error *err)
{
	bool in_turn = strcmp(p->blob, u->blob) == 0;

	assert(!in_turn || p->at == u->blob_bytes);
	return sql_run(db, SQL_part_insert,
		       VALUES(txt(p->id), txt(u->id), txt(p->blob), num((int64_t)p->at),
			      num((int64_t)p->bytes)),
		       NULL, err) &&
	       sql_run(db, SQL_upload_grow,
		       VALUES(txt(u->id), num((int64_t)p->bytes),
			      num(in_turn ? (int64_t)p->bytes : 0)),
		       NULL, err);
}

bool store_part_insert(struct store *s, const char *org, const char *upload_id,
		       const struct upload_part *p, const struct file_quota *quota, int64_t now,
		       struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	struct upload_row u;

	/* crash: bytes of no part: a part's own blob is swept at the next start, in the upload's
	 * they are written over, or cut off. */
	(void)failpoint("part.before_row");
	if (!txn_begin(&t, s, err) || !row_find(t.db, org, upload_id, now, &u, err) ||
	    !upload_is_pending(&u, err) || !part_has_room(t.db, &u, p->bytes, quota, now, err) ||
	    !part_row_insert(t.db, &u, p, err) || !txn_commit(&t, err))
		return false;
	(void)failpoint("part.after_row");
	return true;
}

static bool part_get(struct db *db, const char *upload_id, struct upload_part *p, size_t number,
		     struct error *err)
{
	AUTO(query_done)
	struct query q = query(db, SQL_part_get, VALUES(txt(p->id), txt(upload_id)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return fail_param(err, "part_ids", "invalid_value",
				  "Invalid value for 'part_ids[%zu]': the upload has no part '%s'.",
				  number, p->id);
	query_text(&q, p->blob, sizeof(p->blob));
	p->at = query_u64(&q);
	p->bytes = query_u64(&q);
	return query_row_ok(&q, err);
}

bool store_parts_get(struct store *s, const char *upload_id, struct upload_part *parts, size_t n,
		     struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	bool ok = true;

	for (size_t i = 0; ok && i < n; i++)
		ok = part_get(db, upload_id, &parts[i], i, err);
	return ok;
}

/* ---- the end ---- */

/* Of `u` as row_find() found it in the same transaction, beside which nobody else writes; the statement
 * asks all the same. */
static bool row_end(struct db *db, struct upload_row *u, enum upload_status to, int64_t now,
		    struct error *err)
{
	uint64_t ended;

	if (!upload_is_pending(u, err))
		return false;
	u->status = to;
	return sql_run(db, SQL_upload_end,
		       VALUES(txt(u->id), num(to), num(now), txt_or_null(u->file),
			      txt_or_null(u->part_list)),
		       &ended, err) &&
	       (ended == 1 ||
		fail(err, ERR_CONFLICT, "The upload '%s' is being ended by another call.", u->id));
}

bool store_upload_complete(struct store *s, const char *upload_id, const struct file *f,
			   const char part_list[static 65], struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	struct upload_row u;

	/* crash: the upload is pending, and complete can be called again. The index, and a blob that
	 * was made of the parts, are swept at the next start or replaced. */
	(void)failpoint("upload.before_complete");
	if (!txn_begin(&t, s, err) || !row_find(t.db, f->org, upload_id, f->created_at, &u, err))
		return false;
	memcpy(u.file, f->id, sizeof(u.file));
	memcpy(u.part_list, part_list, sizeof(u.part_list));
	if (!row_end(t.db, &u, UPLOAD_COMPLETED, f->created_at, err) ||
	    !file_insert(t.db, f, err) || !txn_commit(&t, err))
		return false;
	/* crash: the file is there; blobs of no use any more go with the first sweep. */
	(void)failpoint("upload.after_complete");
	return true;
}

bool store_upload_cancel(struct store *s, const char *org, const char *id, int64_t now,
			 struct upload_row *ret, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err) || !row_find(t.db, org, id, now, ret, err) ||
	    !row_end(t.db, ret, UPLOAD_CANCELLED, now, err) || !txn_commit(&t, err))
		return false;
	/* crash: the parts' blobs go with the first sweep. */
	(void)failpoint("upload.after_cancel");
	return true;
}
