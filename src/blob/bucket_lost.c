/* bucket_lost.c: blobs that go: removed, or moved below lost/, where they are until `forget`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/log.h"
#include "blob/bucket_impl.h"

#define TIME_FORMAT "%Y%m%dT%H%M%SZ"
#define TIME_SIZE 32
#define FORGET_EVERY_S 3600
/* An upload in parts that is older belongs to a process that has died. Other nodes' may take longer than
 * what one process, which has just started, finds of its own. */
#define UPLOAD_GRACE_S 3600
#define UPLOAD_GRACE_SHARED_S 86400
#define YOUNG_S 3600 /* of a blob that another node may be about to record */

/* ---- removing ---- */

static bool row_remove(struct bucket *b, const char *id, struct bucket_row *row, struct error *err)
{
	char key[BUCKET_KEY_SIZE];

	if (!bucket_row_tidy(b, id, row, err))
		return false;
	for (size_t i = row->n; i-- > 0;) {
		bucket_object_key(id, &row->objects[i], key);
		if (!s3_delete(b->s3, key, err))
			return false;
	}
	return true;
}

/* crash: data without their index, or a shorter row: the row of the database went before the blob, so
 * what is left is without one: sweep. */
bool bucket_remove(struct blobs *blobs, const char *id, struct error *err)
{
	struct bucket *b = (struct bucket *)blobs;
	struct bucket_row row = { 0 };
	char key[BUCKET_KEY_SIZE];

	if (!blob_id_is_plain(id))
		return true; /* there is none of that name */
	bucket_index_key(id, key);
	bool ok = bucket_row_load(b, id, &row, err) &&
		  (!row.has_index || s3_delete(b->s3, key, err)) && row_remove(b, id, &row, err);
	bucket_row_free(&row);
	return ok;
}

/* ---- moving to lost/ ---- */

static void time_name(int64_t at, char ret[static TIME_SIZE])
{
	time_t t = (time_t)at;
	struct tm utc;

	gmtime_r(&t, &utc);
	strftime(ret, TIME_SIZE, TIME_FORMAT, &utc);
}

static bool found(void *ctx, const char *key, const struct s3_object *o, struct error *err)
{
	(void)key;
	(void)o;
	(void)err;
	*(bool *)ctx = true;
	return true;
}

/* "lost/WHEN/". What is lost twice within one second is told apart by the next. */
static bool place_find(struct bucket *b, const char *id, int64_t at,
		       char ret[static BUCKET_KEY_SIZE], struct error *err)
{
	char time[TIME_SIZE], begin[2 * BUCKET_KEY_SIZE];
	bool is_taken = true;

	for (; is_taken; at++) {
		time_name(at, time);
		snprintf(ret, BUCKET_KEY_SIZE, "lost/%s/", time);
		snprintf(begin, sizeof(begin), "%s%s.", ret, id);
		is_taken = false;
		if (!s3_list(b->s3, begin, found, &is_taken, err))
			return false;
	}
	return true;
}

static bool copy_to(struct bucket *b, const char *key, uint64_t bytes, const char *place,
		    struct error *err)
{
	char to[2 * BUCKET_KEY_SIZE];

	snprintf(to, sizeof(to), "%s%s", place, key + strlen("files/"));
	return s3_copy(b->s3, key, to, bytes, err);
}

static bool row_copy(struct bucket *b, const char *id, const struct bucket_row *row,
		     const char *place, struct error *err)
{
	char key[BUCKET_KEY_SIZE];

	for (size_t i = 0; i < row->n; i++) {
		bucket_object_key(id, &row->objects[i], key);
		if (!copy_to(b, key, row->objects[i].bytes, place, err))
			return false;
	}
	return true;
}

/* crash, before the copies are whole: the blob is where it was, and the next time is copied to another
 * place; while it is removed: it is whole in lost/, and what is left of it goes there as well. */
static bool row_lose(struct bucket *b, const char *id, struct bucket_row *row, bool with_index,
		     int64_t at, struct error *err)
{
	char place[BUCKET_KEY_SIZE], index[BUCKET_KEY_SIZE];

	bucket_index_key(id, index);
	with_index = with_index && row->has_index;
	if (!place_find(b, id, at, place, err) || !row_copy(b, id, row, place, err) ||
	    (with_index && !copy_to(b, index, row->index_bytes, place, err)))
		return false;
	return (!with_index || s3_delete(b->s3, index, err)) && row_remove(b, id, row, err);
}

bool bucket_lose(struct blobs *blobs, const char *id, int64_t at, struct error *err)
{
	struct bucket *b = (struct bucket *)blobs;
	struct bucket_row row = { 0 };

	if (!blob_id_is_plain(id))
		return blob_not_found(id, err);
	bool ok = bucket_row_load(b, id, &row, err) &&
		  (row.n == 0 || row_lose(b, id, &row, false, at, err));
	bucket_row_free(&row);
	return ok;
}

/* ---- the sweep ---- */

/* One that the database does not know as a blob that is. */
struct swept {
	char id[ID_SIZE];
	enum blob_standing standing;
};

struct bucket_sweep {
	struct bucket *b;
	blob_standing_fn standing;
	void *ctx;
	int64_t old_until; /* what is younger stays; INT64_MAX: nothing is */
	char id[ID_SIZE];  /* of the object before; "": there was none */
	int64_t newest;    /* of its objects, Unix s */
	struct swept *list;
	size_t n;
	uint64_t removed, lost;
};

static bool swept_add(struct bucket_sweep *s, enum blob_standing standing, struct error *err)
{
	struct swept *more = array_room(s->list, s->n, sizeof(*more));

	if (more == NULL)
		return fail_memory(err);
	s->list = more;
	memcpy(s->list[s->n].id, s->id, sizeof(s->id));
	s->list[s->n++].standing = standing;
	return true;
}

/* A blob is as old as the youngest of its objects. The row of a part of a span says its name only when it
 * is whole, and what no row names is its owner's to remove (store/garbage.h). */
static bool is_others(const struct bucket_sweep *s)
{
	return s->b->shared && (s->newest > s->old_until || strncmp(s->id, "part-", 5) == 0);
}

/* All objects of s->id have been seen. */
static bool sweep_judge(struct bucket_sweep *s, struct error *err)
{
	if (s->id[0] == '\0' || is_others(s))
		return true;
	enum blob_standing is = s->standing(s->ctx, s->id);
	return is == BLOB_KNOWN || swept_add(s, is, err);
}

/* The objects of one blob stand together in the list. */
static bool sweep_look(void *ctx, const char *path, const struct s3_object *o, struct error *err)
{
	struct bucket_sweep *s = ctx;
	const char *name = path + strlen("files/"), *dot = strchr(name, '.');
	struct slice id = { name, dot != NULL ? (size_t)(dot - name) : 0 };
	int64_t at = o->modified_s > 0 ? o->modified_s : INT64_MAX; /* when in doubt, now */
	char copy[ID_SIZE];

	if (dot == NULL || !slice_copy(id, copy, sizeof(copy)) || !blob_id_is_plain(copy) ||
	    (strcmp(dot, ".jsonl") != 0 && strcmp(dot, ".index") != 0 &&
	     strncmp(dot, ".parts/", 7) != 0)) {
		log_warn("blob.unknown_name", kv_str("name", name)); /* not ours to move */
		return true;
	}
	if (strcmp(copy, s->id) == 0) {
		s->newest = at > s->newest ? at : s->newest;
		return true;
	}
	bool ok = sweep_judge(s, err);
	memcpy(s->id, copy, sizeof(s->id));
	s->newest = at;
	return ok;
}

/* crash: some are left: the next start sweeps again. */
static bool sweep_one(struct bucket_sweep *s, const struct swept *w, int64_t at, struct error *err)
{
	struct bucket_row row = { 0 };
	bool ok = bucket_row_load(s->b, w->id, &row, err);
	bool is_empty = row.n > 0 && row.bytes == 0 && !row.has_index;

	if (ok && (w->standing == BLOB_DELETED || is_empty)) {
		ok = bucket_remove(&s->b->blobs, w->id, err);
		s->removed += ok;
	} else if (ok) {
		ok = row_lose(s->b, w->id, &row, true, at, err);
		s->lost += ok;
	}
	bucket_row_free(&row);
	return ok;
}

static void sweep_say(const struct bucket_sweep *s, unsigned uploads)
{
	if (s->removed > 0 || uploads > 0)
		log_info("blob.swept", kv_u64("files", s->removed), kv_u64("uploads", uploads));
	if (s->lost > 0)
		log_warn("blob.lost", kv_u64("files", s->lost), kv_str("moved_to", "lost/"));
}

static bool sweep_do(struct bucket_sweep *s, int64_t at, int64_t uploads_until, struct error *err)
{
	unsigned uploads = 0;

	bool ok = s3_list(s->b->s3, "files/", sweep_look, s, err) && sweep_judge(s, err);
	for (size_t i = 0; ok && i < s->n; i++)
		ok = sweep_one(s, &s->list[i], at, err);
	free(s->list);
	ok = ok && s3_uploads_abort(s->b->s3, "", uploads_until, &uploads, err);
	sweep_say(s, uploads);
	return ok;
}

/* Ages are by the store's clock, which is asked before what is looked at. */
static bool sweep_shared(struct bucket_sweep *s, int64_t at, struct error *err)
{
	int64_t now;

	if (!s3_now(s->b->s3, &now, err))
		return false;
	if (now == 0) {
		log_warn("blob.not_swept",
			 kv_str("reason", "the store does not say what time it is"));
		return true;
	}
	s->old_until = now - YOUNG_S;
	return sweep_do(s, at, now - UPLOAD_GRACE_SHARED_S, err);
}

bool bucket_sweep(struct blobs *blobs, blob_standing_fn standing, void *ctx, int64_t at,
		  struct error *err)
{
	struct bucket_sweep s = { .b = (struct bucket *)blobs,
				  .standing = standing,
				  .ctx = ctx,
				  .old_until = INT64_MAX };

	return s.b->shared ? sweep_shared(&s, at, err) : sweep_do(&s, at, at - UPLOAD_GRACE_S, err);
}

/* ---- what was lost long ago ---- */

struct forgetting {
	int64_t until;
	struct buf keys; /* each with its NUL */
	uint64_t *files, *bytes;
};

static bool forget_look(void *ctx, const char *key, const struct s3_object *o, struct error *err)
{
	struct forgetting *f = ctx;
	struct tm utc = { 0 };
	const char *end = strptime(key + strlen("lost/"), TIME_FORMAT, &utc);

	if (end == NULL || *end != '/' || (int64_t)timegm(&utc) > f->until)
		return true;
	buf_text(&f->keys, key);
	buf_char(&f->keys, '\0');
	++*f->files;
	*f->bytes += o->bytes;
	return !f->keys.failed || fail_memory(err);
}

/* crash: some are left; they are as old the next time. */
/* NOLINTNEXTLINE(readability-non-const-parameter): they are added to by forget_look() */
bool bucket_forget(struct blobs *blobs, int64_t until, uint64_t *files, uint64_t *bytes,
		   struct error *err)
{
	struct bucket *b = (struct bucket *)blobs;
	struct forgetting f = { until, BUF(64u << 20), files, bytes };

	/* What is asked for every few seconds is looked for once an hour. */
	if (until < b->forgotten_until + FORGET_EVERY_S)
		return true;
	bool ok = s3_list(b->s3, "lost/", forget_look, &f, err);

	for (size_t at = 0; ok && at < f.keys.n; at += strlen(f.keys.p + at) + 1)
		ok = s3_delete(b->s3, f.keys.p + at, err);
	buf_free(&f.keys);
	if (ok)
		b->forgotten_until = until;
	return ok;
}
