/* redo_impl.h: what the files of redo/ share. Private to them. */
#pragma once

#include <limits.h>
#include <pthread.h>

#include "base/buf.h"
#include "redo/redo.h"
#include "redo/redo_format.h"

#define REDO_FILES 2u
#define GENERATION_BYTES (UINT64_C(32) << 20)
#define PENDING_MOST (4u << 20) /* bytes; then who hands over more has to wait for the disk */

/* One of the two files. */
struct redo_file {
	int fd;
	uint64_t generation; /* that stands in it and is not done with; 0: none */
	uint64_t last;       /* sequence of its last entry */
};

/* Which files have entries in the log: redo_names.c. */
struct redo_names {
	struct redo_name {
		uint64_t hash; /* 0: a free slot */
		uint64_t last; /* sequence of the last entry that names it */
	} * slots;
	size_t room, used;
	uint64_t done; /* entries up to here are done with */
};

struct redo {
	char data_dir[PATH_MAX - 256];
	uint64_t kernel; /* the one that runs */
	pthread_t keeper;
	bool keeper_started;

	pthread_mutex_t lock;  /* for all below, but what the thread has that syncs */
	pthread_cond_t synced; /* a sync has ended, or what is done with */
	pthread_cond_t wake;   /* for the keeper */
	bool closing;
	struct redo_file files[REDO_FILES];
	struct buf pending; /* entries that nobody writes yet */
	struct redo_names names;
	_Atomic uint64_t generation_bytes; /* GENERATION_BYTES; tests have less */
	uint64_t added;                    /* the last entry's sequence */
	uint64_t durable;                  /* all up to here are */
	uint64_t failures;                 /* syncs that failed */
	struct error fault;                /* of the last */

	/* Held shared by who writes to a file and hands that over; whole, by the thread that has
	 * `keeping`, which then waits for `syncing`. */
	pthread_rwlock_t handing;

	/* Held shared while a file is synced: redo_doubt.c. */
	pthread_rwlock_t file_syncs;
	_Atomic bool file_sync_failed;

	bool keeping; /* a thread makes files durable, ends generations, and has `doubted` */
	bool doubted; /* a sync of the file system failed */
	bool syncing; /* a thread has what follows */
	struct buf writing;
	uint64_t writing_to; /* sequence of its last entry */
	unsigned current;    /* files[current] takes it ... */
	uint64_t end;        /* ... here; 0: behind a header that is to be written */
	uint64_t generation;
};

/* Which of r->files comes first. */
static inline unsigned redo_first(const struct redo *r)
{
	return r->files[0].generation > r->files[1].generation;
}

/* ---- redo.c ---- */

/* The number of the next generation, under the lock: greater than any before, and one that none had whose
 * header a power cut has taken, so that no entry of that one's is one of this one's. */
void redo_generation_next(struct redo *r);

/* No thread writes to the log in between. */
void redo_syncing_take(struct redo *r);
void redo_syncing_end(struct redo *r);

/* ---- redo_names.c ---- */

/* False: memory is out. */
MUST_USE bool redo_names_note(struct redo_names *names, const char *name, uint64_t sequence);
/* Whether an entry that is not done with may name the file. */
bool redo_names_have(const struct redo_names *names, const char *name);
void redo_names_done(struct redo_names *names);

/* ---- redo_replay.c ---- */

/* Which boot and which mount `data_dir` is used in. */
uint64_t redo_kernel(const char *data_dir);
/* Finds the generations in r->files, which are open, and, where another kernel wrote them, writes
 * their entries to their files. Sets r->generation and r->added to the last there are, and r->names. */
MUST_USE bool redo_replay(struct redo *r, struct error *err);
typedef bool (*redo_entry_fn)(struct redo *r, const struct redo_entry *e, struct error *err);
/* Calls `each` for the entries of the generation in `f` behind *sequence, which becomes the last one's.
 * With `searches` also for those behind what is none. Adds to *entries. */
MUST_USE bool redo_each(struct redo *r, const struct redo_file *f, bool searches,
			redo_entry_fn each, uint64_t *sequence, uint64_t *entries,
			struct error *err);
/* Writes an entry's bytes to its file, if that is there, while the server runs. */
MUST_USE bool redo_entry_again(const struct redo *r, const struct redo_entry *e, struct error *err);

/* ---- redo_doubt.c: after a sync of the file system that failed; of the thread that has `keeping` ---- */

/* Bytes of files may be in the kernel alone for ever: it takes them for synced. The next start of this
 * kernel writes the log's to the files, too, unless redo_doubt_end() has. */
void redo_doubt(struct redo *r);
/* Whether a sync of one file has failed since this was asked; those under way are waited for. */
bool redo_file_sync_failed(struct redo *r);
/* Where there is doubt all that is in the log is written to the files once more, so that the next sync
 * has it. */
MUST_USE bool redo_doubt_end(struct redo *r, struct error *err);

/* ---- redo_keep.c ---- */

/* All that was written to files by anybody becomes durable: the generation in `f` is done with. */
MUST_USE bool redo_done_with(struct redo *r, const struct redo_file *f, struct error *err);
/* The same, of r->files and r->names. Under the lock, or where no other thread is. */
void redo_done_note(struct redo *r, struct redo_file *f);
MUST_USE bool redo_keeper_start(struct redo *r, struct error *err);
