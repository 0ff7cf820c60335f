/* blob.h: bytes by name. A blob is written once, becomes visible whole at its commit, and is
 * read by ranges; the names are file ids. On one machine it is a directory (disk.c):
 *
 *	DATA/tmp/<random>            being written; swept at start
 *	DATA/files/<id>.jsonl        the bytes, exactly as they came: no header, so that they can be
 *	                             sent with sendfile and read with ordinary tools
 *	DATA/files/<id>.index        the line index of an uploaded file (ingest/index.h)
 *
 * Threads: a writer belongs to one thread at a time; the rest may be called from any. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct blobs; /* the store of blobs */

/* Opens `data_dir`/files and /tmp, creating them; clears tmp. */
MUST_USE bool blobs_open(const char *data_dir, struct blobs **ret, struct error *err);
void blobs_close(struct blobs *blobs);

enum blob_kind { BLOB_DATA, BLOB_INDEX };

/* A file descriptor open for reading, the caller's to close. NOT_FOUND if there is none. */
MUST_USE bool blob_open(struct blobs *blobs, const char *id, enum blob_kind kind, int *ret_fd,
			uint64_t *ret_bytes, struct error *err);

/* Removes data and index of `id`; what is not there is no error. */
MUST_USE bool blob_remove(struct blobs *blobs, const char *id, struct error *err);

/* Makes `id`'s data a symbolic link to the user's own file `path` (`lowtide run`: no copy). */
MUST_USE bool blob_link(struct blobs *blobs, const char *id, const char *path, struct error *err);

/* ---- write once: temporary name, fsync, rename, fsync of the directory ---- */

struct blob_writer;

MUST_USE bool blob_create(struct blobs *blobs, struct blob_writer **ret, struct error *err);
/* Appends. Starts write-back every few MiB so that the fsync at the end finds little to do. */
MUST_USE bool blob_write(struct blob_writer *w, struct slice bytes, struct error *err);
/* The descriptor written to, for pwrite and pread by the owner. Still the writer's. */
int blob_writer_fd(const struct blob_writer *w);
/* fsync; still under its temporary name. A crash now leaves a file in tmp, swept at start. */
MUST_USE bool blob_sync(struct blob_writer *w, struct error *err);
/* Gives the synced bytes their name and frees `w`, whatever the outcome. The name is durable after
 * blobs_sync(). A crash before the row in the store leaves a blob without a row, which the sweep at
 * the next start moves to lost/. */
MUST_USE bool blob_commit(struct blob_writer *w, const char *id, enum blob_kind kind,
			  struct error *err);
/* fsync of the directory: names given by blob_commit, blob_append_open are durable. */
MUST_USE bool blobs_sync(struct blobs *blobs, struct error *err);
/* Removes the temporary file and frees `w`. NULL is fine. */
void blob_abort(struct blob_writer *w);

/* ---- grow by appending: the result files of a running batch ---- */

/* Opens `id`'s data for appending, creating it, and cuts it to `keep_bytes`: what stands behind was
 * written but never acknowledged. The descriptor is the caller's; offset-addressed. */
MUST_USE bool blob_append_open(struct blobs *blobs, const char *id, uint64_t keep_bytes,
			       int *ret_fd, struct error *err);

/* ---- what nobody knows ---- */

/* Moves `id`'s data to lost/ (lost.h), where it counts from `at`; none there is no error. */
MUST_USE bool blob_lose(struct blobs *blobs, const char *id, int64_t at, struct error *err);

/* If `id`'s data is longer than `keep_bytes`, moves it to lost/ and leaves a copy of its first
 * `keep_bytes` in its place: before blob_append_open() would cut off what nothing can bring back. */
MUST_USE bool blob_lose_tail(struct blobs *blobs, const char *id, uint64_t keep_bytes, int64_t at,
			     struct error *err);

/* What the database says of a blob. */
enum blob_standing {
	BLOB_KNOWN,
	BLOB_DELETED, /* it says that the blob was removed: a power cut has brought it back */
	BLOB_UNKNOWN,
};
/* Asks `standing(ctx, id)` for every id in the directory; removes what was deleted, and moves what is
 * unknown to lost/, where it counts from `at`; but for empty data, in which nothing is lost: a result
 * file without lines. At start only. */
MUST_USE bool blobs_sweep(struct blobs *blobs,
			  enum blob_standing (*standing)(void *ctx, const char *id), void *ctx,
			  int64_t at, struct error *err);
