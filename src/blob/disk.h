/* disk.h: what the files of this machine's kind of store share: disk.c has the directory,
 * disk_file.c one file of it, disk_small.c a small one, disk_name.c the names. Private to them. */
#pragma once

#include <limits.h>
#include <pthread.h>

#include "base/buf.h"
#include "blob/backend.h"
#include "redo/redo.h"

/* Room for a directory of ours, so that with the longest name it is still a path. */
#define DISK_NAME_SIZE 96
#define DISK_DIR_SIZE (PATH_MAX - DISK_NAME_SIZE)

struct disk {
	struct blobs blobs; /* first */
	char data_dir[DISK_DIR_SIZE];
	char files[DISK_DIR_SIZE];
	char tmp[DISK_DIR_SIZE];
	struct redo *redo; /* NULL: there is none */

	pthread_mutex_t lock;  /* for all below */
	pthread_cond_t synced; /* the directory was, or not */
	uint64_t logged;       /* entry of the redo log that the last small blob has */
	uint64_t names;        /* names that were given or taken away in files/ */
	uint64_t names_synced; /* so many are durable */
	bool syncing;          /* a thread syncs the directory */
};

/* Prompts and answers are readable by their owner alone. */
#define BLOB_MODE 0600

/* ---- disk_sync.c ---- */

/* blobs_ops.sync */
MUST_USE bool disk_sync(struct blobs *blobs, struct error *err);
/* A name in files/ has been given, or taken away: the next disk_sync() makes it durable. */
void disk_named(struct disk *disk);
/* A blob's bytes were handed to the redo log: likewise. */
void disk_logged(struct disk *disk);

/* ---- disk_name.c ---- */

/* The path of a blob; false with NOT_FOUND if `id` cannot be the name of one. */
MUST_USE bool disk_path(const struct disk *disk, const char *id, enum blob_kind kind,
			char ret[static PATH_MAX], struct error *err);
/* The blob's name in the redo log. */
const char *disk_logged_name(const struct disk *disk, const char *path);
/* A name in tmp that nothing has had before. */
void disk_temporary_path(const struct disk *disk, char ret[static PATH_MAX]);
/* The id in a name like "file-x.jsonl"; false of names that are never given. */
bool disk_id_of_name(const char *name, char ret[static ID_SIZE]);
bool disk_name_is_data(const char *name);

/* ---- disk_file.c: blobs_ops that open one file ---- */

MUST_USE bool disk_open(struct blobs *blobs, const char *id, enum blob_kind kind,
			struct blob_reader **ret, struct error *err);
/* One that is a file in tmp from the beginning. */
MUST_USE bool disk_file_create(struct blobs *blobs, struct blob_writer **ret, struct error *err);
MUST_USE bool disk_append(struct blobs *blobs, const char *id, uint64_t keep_bytes,
			  struct blob_appender **ret, struct error *err);

/* ---- disk_small.c ---- */

MUST_USE bool disk_create(struct blobs *blobs, struct blob_writer **ret, struct error *err);
/* blobs_ops.put; there is a redo log. */
MUST_USE bool disk_put(struct blobs *blobs, const char *id, enum blob_kind kind, struct slice bytes,
		       struct error *err);
