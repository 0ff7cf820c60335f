/* bucket_read.c: a blob read out of its row of objects, as the row was when it was opened. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "blob/bucket_impl.h"

struct bucket_reader {
	struct blob_reader reader; /* first */
	struct bucket *bucket;
	struct bucket_row row;
	bool index;
	_Atomic uint64_t next; /* where a reader goes on who reads one window after the other */
	char id[ID_SIZE];
};

static struct bucket_source source_of(const struct bucket_reader *d, const struct bucket_object *o,
				      char key[static BUCKET_KEY_SIZE])
{
	if (d->index)
		bucket_index_key(d->id, key);
	else
		bucket_object_key(d->id, o, key);
	return (struct bucket_source){ key, o->etag, o->bytes };
}

#define NEXT_UNKNOWN UINT64_MAX /* nothing was read yet */

/* Who has come to another window than before, one behind the other, will want the next; and who begins
 * somewhere may. */
static void read_ahead(struct bucket_reader *d, const struct bucket_object *o, uint64_t at)
{
	uint64_t in = at - o->start, window = in - in % BUCKET_WINDOW_BYTES;
	uint64_t end = window + BUCKET_WINDOW_BYTES < o->bytes
			       ? o->start + window + BUCKET_WINDOW_BYTES
			       : o->start + o->bytes;
	uint64_t expected = o->start + window, unknown = NEXT_UNKNOWN;
	char key[BUCKET_KEY_SIZE];

	if (!atomic_compare_exchange_strong(&d->next, &unknown, end) &&
	    !atomic_compare_exchange_strong(&d->next, &expected, end))
		return;
	if (end >= d->reader.bytes)
		return;
	o = bucket_row_at(&d->row, end);
	struct bucket_source source = source_of(d, o, key);
	bucket_cache_ahead(d->bucket->cache, &source, end - o->start);
}

static bool reader_read(const struct blob_reader *r, uint64_t at, void *to, size_t n, size_t *ret_n,
			struct error *err)
{
	struct bucket_reader *d = (struct bucket_reader *)r;
	char key[BUCKET_KEY_SIZE];

	*ret_n = 0;
	if (at >= r->bytes)
		return true;
	const struct bucket_object *o = bucket_row_at(&d->row, at);
	struct bucket_source source = source_of(d, o, key);
	if (!bucket_cache_read(d->bucket->cache, &source, at - o->start, to, n, ret_n, err))
		return false;
	read_ahead(d, o, at);
	return true;
}

static void reader_close(struct blob_reader *r)
{
	struct bucket_reader *d = (struct bucket_reader *)r;

	bucket_row_free(&d->row);
	free(d);
}

static const struct blob_reader_ops reader_ops = { .read = reader_read, .close = reader_close };

/* A row of one object. */
static bool index_load(struct bucket_reader *d, struct error *err)
{
	char key[BUCKET_KEY_SIZE];
	struct s3_object object;

	bucket_index_key(d->id, key);
	if (!s3_head(d->bucket->s3, key, &object, err))
		return err->sys == ENOENT; /* an empty row */
	if (!bucket_row_reserve(&d->row, err))
		return false;
	d->row.objects[0] = (struct bucket_object){ .bytes = object.bytes };
	memcpy(d->row.objects[0].etag, object.etag, sizeof(object.etag));
	d->row.n = 1;
	d->row.bytes = object.bytes;
	return true;
}

bool bucket_open(struct blobs *blobs, const char *id, enum blob_kind kind, struct blob_reader **ret,
		 struct error *err)
{
	if (!blob_id_is_plain(id))
		return blob_not_found(id, err);
	struct bucket_reader *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return fail_memory(err);
	d->bucket = (struct bucket *)blobs;
	d->next = NEXT_UNKNOWN;
	d->index = kind == BLOB_INDEX;
	memcpy(d->id, id, strlen(id) + 1);
	bool ok = d->index ? index_load(d, err) : bucket_row_load(d->bucket, id, &d->row, err);
	if (ok && d->row.n == 0)
		ok = blob_not_found(id, err);
	if (!ok) {
		reader_close(&d->reader);
		return false;
	}
	d->reader = (struct blob_reader){ &reader_ops, d->id, d->row.bytes };
	*ret = &d->reader;
	return true;
}
