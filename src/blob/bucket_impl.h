/* bucket_impl.h: what the files of a bucket's kind of store share: bucket.c has the store,
 * bucket_row.c the objects of one blob, bucket_read.c and bucket_cache.c how they are read,
 * bucket_put.c, bucket_write.c and bucket_append.c how they come to be, bucket_lost.c how they go. Private to
 * them. */
#pragma once

#include "base/buf.h"
#include "base/id.h"
#include "blob/backend.h"
#include "s3/s3.h"

struct bucket_cache;

struct bucket {
	struct blobs blobs; /* first */
	struct s3 *s3;
	struct bucket_cache *cache;
	bool shared;             /* blobs_bucket_share() */
	int64_t forgotten_until; /* bucket_forget() alone */
};

#define BUCKET_KEY_SIZE 128
/* Of one object that is appended, and of a part of one that is written: what an upload holds in
 * memory is one of them at most. */
#define BUCKET_APPEND_BYTES (8u << 20)
#define BUCKET_PART_BYTES (UINT64_C(16) << 20)

/* ---- bucket_put.c ---- */

/* Puts the first `bytes` of `from` as the object `key`. */
MUST_USE bool bucket_put_from(struct bucket *b, const char *key, const struct blob_reader *from,
			      uint64_t bytes, struct error *err);

/* ---- bucket_row.c ---- */

struct bucket_object {
	uint64_t start, bytes;
	bool written; /* it is <id>.jsonl */
	char etag[S3_ETAG_SIZE];
};

/* The data of one blob. Zeroed it is empty. */
struct bucket_row {
	struct bucket_object *objects; /* one behind the other */
	size_t n;
	uint64_t bytes;   /* of them all */
	uint64_t *strays; /* starts of objects that are not in the row */
	size_t strays_n;
	uint64_t index_bytes;
	bool has_index;
};

void bucket_row_free(struct bucket_row *row);
/* Reads the row of `id`, in place of what is in `row`. n == 0: there are no data. */
MUST_USE bool bucket_row_load(struct bucket *b, const char *id, struct bucket_row *row,
			      struct error *err);
/* Room for one more. */
MUST_USE bool bucket_row_reserve(struct bucket_row *row, struct error *err);
/* The object that holds the byte `at`, which there is. */
const struct bucket_object *bucket_row_at(const struct bucket_row *row, uint64_t at);
/* Removes what stands behind the first `bytes` from the end on; an object that they end in is put
 * anew, without its end. Of a row that is there an object stays, though empty. After a failure `row`
 * is not what it was, and is to be loaded again. */
MUST_USE bool bucket_row_cut(struct bucket *b, const char *id, struct bucket_row *row,
			     uint64_t bytes, struct error *err);
/* Removes the strays, and after a failure some of them. */
MUST_USE bool bucket_row_tidy(struct bucket *b, const char *id, struct bucket_row *row,
			      struct error *err);
void bucket_object_key(const char *id, const struct bucket_object *o,
		       char ret[static BUCKET_KEY_SIZE]);
void bucket_index_key(const char *id, char ret[static BUCKET_KEY_SIZE]);

/* ---- bucket_cache.c: windows of objects, the same few for all readers ---- */

#define BUCKET_WINDOW_BYTES (512u << 10)

MUST_USE bool bucket_cache_open(struct s3 *s3, struct bucket_cache **ret, struct error *err);
void bucket_cache_close(struct bucket_cache *c); /* NULL is fine */
/* An object of `bytes` bytes; texts are the caller's. */
struct bucket_source {
	const char *key, *etag;
	uint64_t bytes;
};
/* Some of `n` bytes at `at`, which is in the object. Any thread; waits
 * for the store, unless in a hurry. */
MUST_USE bool bucket_cache_read(struct bucket_cache *c, const struct bucket_source *o, uint64_t at,
				void *to, size_t n, size_t *ret_n, struct error *err);
/* blobs_trouble(); where there is any a thread of the cache's asks the store again. */
const char *bucket_cache_trouble(struct bucket_cache *c);
/* Begins to read the window around `at`, if there is room. Waits for nothing. */
void bucket_cache_ahead(struct bucket_cache *c, const struct bucket_source *o, uint64_t at);

/* ---- bucket_read.c ---- */

MUST_USE bool bucket_open(struct blobs *blobs, const char *id, enum blob_kind kind,
			  struct blob_reader **ret, struct error *err);

/* ---- bucket_write.c ---- */

MUST_USE bool bucket_create(struct blobs *blobs, struct blob_writer **ret, struct error *err);
/* What `from` reads becomes a blob, in place of one that is there. */
MUST_USE bool bucket_name_give(struct bucket *b, const char *id, enum blob_kind kind,
			       const struct blob_reader *from, struct error *err);

/* ---- bucket_append.c ---- */

MUST_USE bool bucket_append(struct blobs *blobs, const char *id, uint64_t keep_bytes,
			    struct blob_appender **ret, struct error *err);

/* ---- bucket_lost.c: blobs_ops ---- */

MUST_USE bool bucket_remove(struct blobs *blobs, const char *id, struct error *err);
MUST_USE bool bucket_lose(struct blobs *blobs, const char *id, int64_t at, struct error *err);
MUST_USE bool bucket_sweep(struct blobs *blobs, blob_standing_fn standing, void *ctx, int64_t at,
			   struct error *err);
MUST_USE bool bucket_forget(struct blobs *blobs, int64_t until, uint64_t *files, uint64_t *bytes,
			    struct error *err);
