/* redo.h: the redo log: small writes of many files, made durable by one sync.
 *
 *	DATA/redo/0, DATA/redo/1     one takes entries, the other is done with, or soon will be
 *
 *	+----------------------------------------------+
 *	| "LTREDO", version, generation, kernel, check |  a generation: what was logged until the file
 *	+----------------------------------------------+  was full
 *	| head, name of a file, its bytes              |  an entry (redo_format.h)
 *	| ...                                          |
 *	+----------------------------------------------+
 *
 * Who writes a file writes it as ever, but does not sync it, and hands the same bytes to the log;
 * redo_sync() makes all that was handed over durable, by whomever: one write and one sync for all who
 * wait. The files themselves are synced with the whole file system, once a generation, in a thread of
 * the log's; then that generation is done with.
 *
 * A kill leaves the files as they were written: the kernel still has them. Only where the kernel is
 * another one since (power cut, crash of the machine), or the file system was mounted anew, the next
 * redo_open() writes what the log has into the files, before anybody reads them. It changes nothing in
 * a file that is as it was.
 *
 * For that to be right a file is put whole, or written to, not both while entries name it. All that is
 * written to it between its first entry and the end of that generation has to be in the log, in the order
 * of the writes; or, of one that is written to, to be synced in the file itself, and at a place that no
 * entry names. A name that is removed is in the log as well (redo_gone()). Who writes to a file without
 * the log, begins it anew, or gives its name to another, has it leave the log before (redo_leave()).
 *
 * Threads: any. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

struct redo;

/* Opens DATA/redo, writing what is left to the files of DATA. Nobody has any of them open. */
MUST_USE bool redo_open(const char *data_dir, struct redo **ret, struct error *err);
void redo_close(struct redo *r); /* NULL is fine */

/* An entry's bytes: more is better synced in its own file. */
#define REDO_MOST (256u << 10)

/* Around writing to a file and handing that over, so that the log can write its bytes to files again; not
 * around a sync. Any number of threads at once. `r` NULL is fine. */
void redo_begin(struct redo *r);
void redo_end(struct redo *r);

/* Names are below DATA, like "files/file-x.jsonl". False, and nothing handed over: memory is out, or the
 * disk refuses and the log waits for it with as much as it may. */

/* The file holds `bytes` at `at`, and may hold others: `at` is no further than its end. */
MUST_USE bool redo_write(struct redo *r, const char *name, uint64_t at, struct slice bytes,
			 struct error *err);
/* The file holds `bytes` and no others: what else is written to it without the log would be cut off. */
MUST_USE bool redo_put(struct redo *r, const char *name, struct slice bytes, struct error *err);
/* The name is going to be removed. It is in the log soon, not at once: who finds
 * the file again after a power cut knows it as he knows one that could not be removed. */
void redo_gone(struct redo *r, const char *name); /* `r` NULL is fine */

/* No entry names the file any more: it may be written without the log from now on, or its name be another
 * file's. Costs nothing where none does; else that is redo_settle(). `r` NULL is fine. */
MUST_USE bool redo_leave(struct redo *r, const char *name, struct error *err);

/* fdatasync() of a file that entries may name. Where it fails, what entries have of the file may be in the
 * kernel alone, which takes it for written, and the log writes it to the file again before it is done with
 * them. False: errno. `r` NULL is fine. */
MUST_USE bool redo_file_sync(struct redo *r, int fd);

/* The number of the entry that was handed over last, by anybody. */
uint64_t redo_last(struct redo *r);
/* The entries up to that one are durable. */
MUST_USE bool redo_sync(struct redo *r, uint64_t last, struct error *err);
/* All that anybody has written to files before is durable, also what is in no entry, and nothing is left
 * in the log. As slow as the disk: at a start, and where a file that may have entries is written without. */
MUST_USE bool redo_settle(struct redo *r, struct error *err);
