/* bucket_append.c: a blob that grows. What is appended waits in memory until it is synced or is
 * BUCKET_APPEND_BYTES, and is put as the next object of the row then. What is taken back is removed
 * from the row's end before anything is put in its place: an object at a place where an old one could
 * still stand would be followed by what belongs to the old one.
 *
 * A crash at any place leaves the row as far as it was put: all that is kept, and perhaps more, which
 * the next opening cuts. A call that failed leaves it open what is in the bucket: so the next one
 * loads the row again. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blob/bucket_impl.h"

struct bucket_appender {
	struct blob_appender appender; /* first */
	struct bucket *bucket;
	struct bucket_row row;
	uint64_t put;    /* bytes of the blob that are in the row */
	struct buf tail; /* what comes behind them */
	bool doubt;      /* the row is perhaps not what is in the bucket */
	char id[ID_SIZE];
};

static struct bucket_appender *appender_of(struct blob_appender *a)
{
	return (struct bucket_appender *)a;
}

/* ---- the row ---- */

static bool row_cut(struct bucket_appender *d, uint64_t bytes, struct error *err)
{
	d->doubt = true;
	if (!bucket_row_tidy(d->bucket, d->id, &d->row, err) ||
	    !bucket_row_cut(d->bucket, d->id, &d->row, bytes, err))
		return false;
	d->doubt = false;
	return true;
}

/* Loads the row, which has to have `bytes` bytes at least, and cuts it to them. */
static bool row_load(struct bucket_appender *d, uint64_t bytes, struct error *err)
{
	d->doubt = true;
	if (!bucket_row_load(d->bucket, d->id, &d->row, err))
		return false;
	if (bytes > 0 && d->row.n == 0)
		return fail_sys(err, ENOENT, "opening %s", d->id);
	if (d->row.bytes < bytes)
		return fail_sys(err, EBADMSG, "%s has %llu bytes, %llu were acknowledged", d->id,
				(unsigned long long)d->row.bytes, (unsigned long long)bytes);
	return row_cut(d, bytes, err);
}

/* The object that the next bytes are put as. One that is empty is put anew with them. */
static struct bucket_object *object_next(struct bucket_appender *d, struct error *err)
{
	struct bucket_row *row = &d->row;

	if (!bucket_row_reserve(row, err))
		return NULL;
	assert(row->objects != NULL);
	struct bucket_object *last = row->n > 0 ? &row->objects[row->n - 1] : NULL;
	if (last != NULL && last->bytes == 0 && !last->written)
		return last;
	struct bucket_object *next = row->objects + row->n;
	*next = (struct bucket_object){ .start = row->bytes };
	return next;
}

/* Puts what waits, also nothing at all. crash: a whole object more, or not. */
static bool tail_put(struct bucket_appender *d, struct error *err)
{
	struct slice bytes = buf_slice(&d->tail);
	struct s3_body body = s3_body_of(&bytes);
	char key[BUCKET_KEY_SIZE];
	struct s3_object now;
	struct bucket_object *o = object_next(d, err);

	if (o == NULL)
		return false;
	bucket_object_key(d->id, o, key);
	d->doubt = true;
	if (!s3_put(d->bucket->s3, key, &body, &now, err))
		return false;
	d->doubt = false;
	o->bytes = bytes.n;
	memcpy(o->etag, now.etag, sizeof(o->etag));
	d->row.n = (size_t)(o - d->row.objects) + 1;
	d->row.bytes += bytes.n;
	d->put = d->row.bytes;
	buf_free(&d->tail);
	return true;
}

/* Row and tail become the first `bytes`: the rest was taken back, or a call with it has failed. */
static bool settle(struct bucket_appender *d, uint64_t bytes, struct error *err)
{
	uint64_t put = bytes < d->put ? bytes : d->put;

	if (d->doubt && !row_load(d, put, err))
		return false;
	if (d->row.bytes > put && !row_cut(d, put, err))
		return false;
	if (put < d->put)
		buf_clear(&d->tail);
	d->put = put;
	d->tail.n = (size_t)(bytes - put);
	return true;
}

/* ---- the operations ---- */

static bool appender_append(struct blob_appender *a, struct slice bytes, struct error *err)
{
	struct bucket_appender *d = appender_of(a);

	if (!settle(d, a->bytes, err))
		return false;
	while (bytes.n > 0) {
		size_t room = d->tail.max - d->tail.n, n = bytes.n < room ? bytes.n : room;
		if (!buf_reserve(&d->tail, n)) {
			d->tail.failed = d->tail.no_memory = false;
			return fail_memory(err);
		}
		buf_append(&d->tail, bytes.p, n);
		bytes = (struct slice){ bytes.p + n, bytes.n - n };
		if (d->tail.n == d->tail.max && !tail_put(d, err))
			return false;
	}
	return true;
}

static bool appender_sync(struct blob_appender *a, struct error *err)
{
	struct bucket_appender *d = appender_of(a);

	return settle(d, a->bytes, err) && (d->tail.n == 0 || tail_put(d, err));
}

static void appender_close(struct blob_appender *a)
{
	struct bucket_appender *d = appender_of(a);

	bucket_row_free(&d->row);
	buf_free(&d->tail);
	free(d);
}

static const struct blob_appender_ops appender_ops = { appender_append, appender_sync,
						       appender_close };

bool bucket_append(struct blobs *blobs, const char *id, uint64_t keep_bytes,
		   struct blob_appender **ret, struct error *err)
{
	if (!blob_id_is_plain(id))
		return blob_not_found(id, err);
	struct bucket_appender *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return fail_memory(err);
	d->bucket = (struct bucket *)blobs;
	memcpy(d->id, id, strlen(id) + 1);
	d->tail = BUF(BUCKET_APPEND_BYTES);
	d->appender = (struct blob_appender){ .ops = &appender_ops, .bytes = keep_bytes };
	/* Only a blob of which nothing is acknowledged is made anew.
	 * crash: an empty one, named in no row or in the row of its batch: sweep, or used on. */
	bool ok = row_load(d, keep_bytes, err) && (d->row.n > 0 || tail_put(d, err));
	d->put = d->row.bytes;
	if (!ok) {
		appender_close(&d->appender);
		return false;
	}
	*ret = &d->appender;
	return true;
}
