/* blob.h: bytes by name. A blob is written once, or grows by appending; it becomes visible whole at
 * its commit, and is read by ranges. The names are file ids.
 *
 *	blob_open   -> blob_reader     read_at, any thread
 *	blob_create -> blob_writer     write, sync, commit: an upload, its index
 *	blob_append_open
 *	            -> blob_appender   append, sync, keep, rewind_to: results of a running batch
 *
 * A blob may lie anywhere: no call needs its place in memory, and a descriptor is only a short way
 * (blob_reader_take_fd()). backend.h is the interface of a kind of store; one kind is a bucket
 * (bucket.h), this machine's is a directory (disk.c):
 *
 *	DATA/tmp/<random>            being written; swept at start
 *	DATA/files/<id>.jsonl        the bytes, exactly as they came: no header, so that they can be
 *	                             sent with sendfile and read with ordinary tools
 *	DATA/files/<id>.index        beside an uploaded file its line index (ingest/index.h), beside a
 *	                             result file the order of its batch's lines (results/order.h)
 *
 * Threads: a reader, and the store itself, may be used by several threads at once; a writer and an
 * appender belong to one thread at a time. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct blobs; /* the store of blobs */
struct redo;

/* Opens `data_dir`/files and /tmp, creating them; clears tmp. With the directory's redo log small blobs
 * are durable by that; NULL: there is none. */
MUST_USE bool blobs_open(const char *data_dir, struct redo *redo, struct blobs **ret,
			 struct error *err);
void blobs_close(struct blobs *blobs); /* NULL is fine */

enum blob_kind { BLOB_DATA, BLOB_INDEX };

/* Whether the store answers, as its last calls have shown. Waits for nothing: where it does not it is
 * asked again meanwhile. Any thread. */
bool blobs_answer(struct blobs *blobs);
/* The same: NULL where it answers, else why not, in a static sentence for clients. */
const char *blobs_trouble(struct blobs *blobs);

/* ---- reading ---- */

struct blob_reader;

/* NOT_FOUND if there is none. *ret is the caller's to close. */
MUST_USE bool blob_open(struct blobs *blobs, const char *id, enum blob_kind kind,
			struct blob_reader **ret, struct error *err);
/* A user's own file, which is in no store: takes `fd` over, also on failure. `name` is for
 * messages. */
MUST_USE bool blob_reader_of_file(int fd, const char *name, struct blob_reader **ret,
				  struct error *err);
void blob_reader_close(struct blob_reader *r); /* NULL is fine */

/* The blob's length when the reader was opened. */
uint64_t blob_bytes(const struct blob_reader *r);
/* Exactly `n` bytes at `at`, or failure: ENODATA in err->sys where the blob ends before `at` + `n`,
 * which is no fault of the disk. After a failure `to` holds anything. */
MUST_USE bool blob_read_at(const struct blob_reader *r, uint64_t at, void *to, size_t n,
			   struct error *err);
/* As many of `n` bytes as there are: fewer only where the blob ends, 0 behind its end. */
MUST_USE bool blob_read_upto(const struct blob_reader *r, uint64_t at, void *to, size_t n,
			     size_t *ret_n, struct error *err);
/* A short way to the same bytes, for sendfile: hands over the descriptor, the caller's to close,
 * and the reader can only be closed from then on. -1: there is none, and the reader is as it
 * was. */
int blob_reader_take_fd(struct blob_reader *r);

/* Until it is called with false, reads by this thread wait for no network: what is not here yet is
 * begun to be fetched, and the read fails with EAGAIN (error_may_pass()). A later one may find it. */
void blob_hurry(bool on);
/* Whether an open reader costs a descriptor. Where it does not readers may stay open. */
bool blobs_cost_descriptors(const struct blobs *blobs);

/* Removes data and index of `id`; what is not there is no error. */
MUST_USE bool blob_remove(struct blobs *blobs, const char *id, struct error *err);

/* From now on `id`'s data are those of the user's own file `path` (`lowtide run`: no copy), until
 * blob_remove(), which leaves the file alone. One file a store, which forgets it when it is closed;
 * before other threads use the store. */
MUST_USE bool blob_lend(struct blobs *blobs, const char *id, const char *path, struct error *err);

/* ---- write once: temporary name, fsync, rename, fsync of the directory ---- */

struct blob_writer;

/* `blobs` NULL: bytes of no store, to be read back and never committed (`lowtide check`); they are
 * gone with the writer, whatever ends it. */
MUST_USE bool blob_create(struct blobs *blobs, struct blob_writer **ret, struct error *err);
/* As blob_create(), for bytes that are read back and never synced: they stay in the page cache where
 * there is room for them. */
MUST_USE bool blob_scratch_create(struct blobs *blobs, struct blob_writer **ret, struct error *err);
/* Appends. Starts write-back every few MiB so that the fsync at the end finds little to do. A write
 * that failed may be repeated. */
MUST_USE bool blob_write(struct blob_writer *w, struct slice bytes, struct error *err);
/* Changes bytes that were written. */
MUST_USE bool blob_overwrite(struct blob_writer *w, uint64_t at, struct slice bytes,
			     struct error *err);
/* Reads what was written so far. The writer's, and valid as long as it is. */
const struct blob_reader *blob_writer_reader(const struct blob_writer *w);
/* fsync; still under its temporary name. A crash now leaves a file in tmp, swept at start. */
MUST_USE bool blob_sync(struct blob_writer *w, struct error *err);
/* Gives the bytes their name, syncing them if they are not, and frees `w`, whatever the outcome.
 * The name is durable after blobs_sync(). A crash before the row in the store leaves a blob without
 * a row, which the sweep at the next start moves to lost/. */
MUST_USE bool blob_commit(struct blob_writer *w, const char *id, enum blob_kind kind,
			  struct error *err);
/* A blob of these bytes, in place of one that is there; durable after blobs_sync(). */
MUST_USE bool blob_put(struct blobs *blobs, const char *id, enum blob_kind kind, struct slice bytes,
		       struct error *err);
/* Whether small blobs are synced together: then one that is put costs no sync of its own. */
bool blobs_share_syncs(const struct blobs *blobs);
/* Names given by blob_commit, blob_put, blob_append_open are durable, and what was put. */
MUST_USE bool blobs_sync(struct blobs *blobs, struct error *err);
/* Keeps its bytes for as long as they are read, without a name, and frees `w`. The reader is the
 * caller's. */
MUST_USE struct blob_reader *blob_writer_end(struct blob_writer *w);
/* Removes the temporary file and frees `w`. NULL is fine. */
void blob_abort(struct blob_writer *w);

/* The file at `path`, whose bytes are synced and which is in the data directory, becomes a blob: it
 * has its new name alone, or after a crash either. NOT_FOUND: there is no such file. */
MUST_USE bool blob_take(struct blobs *blobs, const char *path, const char *id, enum blob_kind kind,
			struct error *err);

/* ---- grow by appending: the result files of a running batch ----
 *
 *	0 ......... kept ......... synced ......... appended
 *	  for good        may be rewound
 *
 * What was kept is recorded in the database (store_merge_put) and stays: a store in which written
 * parts cannot be changed finishes them up to there. What was not is cut at the next opening. */

struct blob_appender;

/* Opens `id`'s data for appending, creating it, and cuts it to `keep_bytes`: what stands behind was
 * written but never acknowledged. `keep_bytes` count as kept. A shorter blob is EBADMSG, and one
 * that is gone ENOENT: neither is made anew. */
MUST_USE bool blob_append_open(struct blobs *blobs, const char *id, uint64_t keep_bytes,
			       struct blob_appender **ret, struct error *err);
/* After a failure none of `bytes` count, and the call may be repeated. */
MUST_USE bool blob_append(struct blob_appender *a, struct slice bytes, struct error *err);
/* The blob's length, with the bytes that are not synced yet. */
uint64_t blob_appended_bytes(const struct blob_appender *a);
/* What was appended is durable on return, and nothing stands behind it. */
MUST_USE bool blob_append_sync(struct blob_appender *a, struct error *err);
/* The first `bytes`, which are synced, are recorded by the owner: they are kept for good. */
void blob_append_keep(struct blob_appender *a, uint64_t bytes);
/* Takes back what was appended behind `bytes`: not below what is kept. */
void blob_append_rewind_to(struct blob_appender *a, uint64_t bytes);
/* What was appended and not synced may be there, or not. NULL is fine. */
void blob_append_close(struct blob_appender *a);

/* ---- blobs that the database does not know ---- */

/* Moves `id`'s data to lost/ (lost.h), where it counts from `at`; none there is no error. */
MUST_USE bool blob_lose(struct blobs *blobs, const char *id, int64_t at, struct error *err);

/* If `id`'s data is longer than `keep_bytes`, moves it to lost/ and leaves a copy of its first
 * `keep_bytes` in its place: before blob_append_open() would cut off what nothing can bring
 * back. */
MUST_USE bool blob_lose_tail(struct blobs *blobs, const char *id, uint64_t keep_bytes, int64_t at,
			     struct error *err);

/* What the database says of a blob. */
enum blob_standing {
	BLOB_KNOWN,
	BLOB_DELETED, /* it says that the blob was removed: a power cut has brought it back */
	BLOB_UNKNOWN,
};
typedef enum blob_standing (*blob_standing_fn)(void *ctx, const char *id);
/* Asks `standing(ctx, id)` for every id in the store; removes what was deleted, and moves what is
 * unknown to lost/, where it counts from `at`; but for empty data, in which nothing is lost: a
 * result file without lines. At start, before anything else is done with the store; of a bucket that nodes
 * share (blobs_bucket_share()) whenever it is wanted, an hour apart and more, by one node at a time: two may
 * put a copy each to lost/. */
MUST_USE bool blobs_sweep(struct blobs *blobs, blob_standing_fn standing, void *ctx, int64_t at,
			  struct error *err);
/* Removes what was lost at `until` (Unix s) or before, where that is not in the data directory
 * (lost.h), and adds up how much. */
MUST_USE bool blobs_forget(struct blobs *blobs, int64_t until, uint64_t *files, uint64_t *bytes,
			   struct error *err);
