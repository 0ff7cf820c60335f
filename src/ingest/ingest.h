/* ingest.h: the one pass over the bytes of an upload: blob, sha256, line index, duplicate check.
 *
 *	ingest_open -> ingest_write, as the bytes arrive -> ingest_finish -> ingest_commit
 *	ingest_open_beside -> ingest_read, a blob that is there \-> ingest_abort at any time before
 *
 * Memory: fixed buffers, one line where it straddles two writes (at most `line_bytes`), 2 MiB of
 * custom_id hashes; more hashes than that are spilled to disk as sorted runs and merged; half a MiB
 * of what ingest_read() reads ahead.
 * Belongs to one thread at a time. */
#pragma once

#include "base/budget.h"
#include "base/error.h"
#include "base/worker.h"
#include "batch/batch.h"
#include "blob/blob.h"
#include "ingest/index.h"

struct ingest;

struct ingest_limits {
	enum profile profile; /* whose message says that a file is too large */
	uint64_t file_bytes;  /* 0: none. Over it ingest_write fails as ingest_size_check does */
	uint64_t lines_max;   /* 0: all. ingest_file() stops after so many request lines */
	uint64_t line_bytes;  /* 0: none (then 2^31). A longer line is indexed as LINE_TOO_LONG */
	bool md5;             /* ingest_md5() will be asked for */
	/* What is written is hashed there while it is written and indexed; NULL: before. */
	struct workers *hashers;
	struct budget_use *use; /* that the ingest's memory is charged to; NULL: none */
};

/* INVALID in the words of contract 3.2: a file of more than `most` bytes, which `setting` says. */
bool ingest_size_fail(enum profile profile, uint64_t most, const char *setting, struct error *err);
/* Whether a file may have `bytes`; so refused, if not. */
MUST_USE bool ingest_size_check(const struct ingest_limits *limits, uint64_t bytes,
				struct error *err);

MUST_USE bool ingest_open(struct blobs *blobs, const struct ingest_limits *limits,
			  struct ingest **ret, struct error *err);
/* An ingest that writes no bytes: they stand in `file`, which has to outlive it, and stay there; only
 * the index gets a name. */
MUST_USE bool ingest_open_beside(struct blobs *blobs, const struct blob_reader *file,
				 const struct ingest_limits *limits, struct ingest **ret,
				 struct error *err);
/* Whether there is memory for what `bytes` more may take of it (base/budget.h). */
bool ingest_room(struct ingest *in, size_t bytes);
/* After a failure the ingest is spent: only ingest_abort may follow. */
MUST_USE bool ingest_write(struct ingest *in, struct slice bytes, struct error *err);
/* The bytes of `from` to its end, as if they were written; another thread reads them ahead and hashes
 * them. Stops after limits.lines_max request lines. Blocks for as long as that takes. */
MUST_USE bool ingest_read(struct ingest *in, const struct blob_reader *from, struct error *err);
/* The last line, the duplicate check, fsync of blob and index. Blocks: worker threads only. */
MUST_USE bool ingest_finish(struct ingest *in, struct error *err);
/* The upload is not to be stored: what is written is removed, bytes to come are counted and hashed
 * and no more. ingest_abort follows in the end, not ingest_commit. */
void ingest_forgo(struct ingest *in);
/* After ingest_finish. Owned by `in`. */
uint64_t ingest_bytes(const struct ingest *in);
const char *ingest_sha256(const struct ingest *in); /* hex */
const char *ingest_md5(const struct ingest *in);    /* hex; "" where limits.md5 is not set */
const struct index_summary *ingest_summary(const struct ingest *in);
/* Gives blob and index the name `id`, durable on return, and frees `in`, whatever the outcome. */
MUST_USE bool ingest_commit(struct ingest *in, const char *id, struct error *err);
void ingest_abort(struct ingest *in); /* NULL is fine; leaves nothing on disk */

/* Indexes a file that stays where it is (`lowtide run`, `lowtide check`): reads `file` to its end
 * and leaves index as `id`'s; the blob itself is blob_lend's business. With `blobs` NULL the index
 * has no name. *ret_index is the caller's. */
MUST_USE bool ingest_file(struct blobs *blobs, const struct blob_reader *file,
			  const struct ingest_limits *limits, const char *id,
			  char ret_sha256[static 65], struct index **ret_index, struct error *err);
