/* journal.h: the append-only record of finished request lines, one file a batch.
 *
 *	DATA/batches/<batch_id>.journal
 *
 *	+--------------------------+
 *	| "LTJOURNL", version      |  16 bytes
 *	+--------------------------+
 *	| head, 48 bytes           |  check, length, record, status, kind, attempts, tokens, number
 *	| the result line with LF  |  `length` bytes
 *	+--------------------------+
 *	| head ...                 |  in the order in which the lines ended
 *
 * Native little-endian. `check` is XXH3 over the rest of the head and the line. A line is finished
 * once its record is synced, not when the upstream answered. Records behind the synced end may be
 * torn by a crash: what follows the last one that checks is cut off at the next opening.
 *
 * A record's `number` is the place of its line in the order of ending (contract 11.3). It stands in
 * the head and is not counted out from the file, so that damage does not move the numbers of the
 * lines behind it.
 *
 * Damage costs the records that it hit and no others. Behind bytes that make no record the next one
 * is looked for, byte by byte. What is taken for one has a plausible head (kind, a zero, a record
 * number of the batch, a length that ends in the file), a line that begins as one does, and the
 * check over both. Nothing in a line looks like that by design or by malice: result lines are JSON,
 * which has no zero bytes, and a head has one at a fixed place.
 *
 * Threads: append, sync and rewind belong to the recorder; reading below the synced end is free,
 * and so is taking numbers. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "batch/outcome.h"

#define JOURNAL_START 16u /* offset of the first record */

enum journal_kind { JOURNAL_OUTPUT = 1, JOURNAL_ERROR = 2 };

struct journal_head {
	uint64_t check;
	uint32_t length;
	uint32_t record;
	uint16_t http_status; /* or, below 100, why there is none: cause_code() */
	uint8_t kind;         /* enum journal_kind */
	uint8_t zero;
	uint32_t attempts;
	uint32_t input, cached, output, reasoning, total; /* tokens */
	uint32_t number; /* in the order of ending, from 1; 0: none (before version 2) */
};
_Static_assert(sizeof(struct journal_head) == 48, "the journal's record head is 48 bytes");

struct journal;
struct redo;

/* Called for each whole record from `from` on, in file order. */
typedef void (*journal_fn)(void *ctx, const struct journal_head *head, uint64_t at);

/* What opening found wrong, and has put right: the lines concerned have not ended. */
struct journal_found {
	uint64_t torn_bytes;    /* of a torn tail, cut off: a crash, no damage */
	uint64_t damaged_bytes; /* that make no record, before the last one that does; they stay */
	uint64_t damaged_at;    /* offset of the first of these */
	bool is_synced;         /* as the caller said */
	uint64_t missing_bytes; /* by which the file was shorter than `from` */
};

/* Opens or creates the journal at `path`, of a batch of `records` lines, and replays it from offset
 * `from` (JOURNAL_START, or where merge_state says). A file that is gone, or ends before `from`, is
 * begun or lengthened: what was in it has been merged, or runs again.
 * INTERNAL with errno EBADMSG if the file is no journal, nor what a crash or damage makes of one
 * (it is left as it is); ENOTSUP if it is of another version of the program. */
MUST_USE bool journal_open(const char *path, uint64_t from, uint64_t records, journal_fn each,
			   void *ctx, struct journal **ret, struct journal_found *ret_found,
			   struct error *err);
/* The same of a journal whose records go to the redo log of the data directory, so that those of many
 * batches are synced together. */
struct journal_log {
	struct redo *redo; /* NULL: there is none */
	bool is_synced;    /* all that stands in the file is durable */
	bool is_scratch;   /* it need not outlive the process: nothing is synced */
};
MUST_USE bool journal_open_logged(const char *path, uint64_t from, uint64_t records,
				  journal_fn each, void *ctx, const struct journal_log *log,
				  struct journal **ret, struct journal_found *ret_found,
				  struct error *err);
/* The name in that log of the journal at `path`, which ends in a directory and a file. */
const char *journal_log_name(const char *path);
/* Another's journal, to be read up to `end` while its owner writes on: it changes nothing. ENOENT in
 * err->sys: there is none any more. */
MUST_USE bool journal_open_to_read(const char *path, uint64_t end, struct journal **ret,
				   struct error *err);
void journal_close(struct journal *j); /* NULL is fine */
/* Closes the file and keeps the rest, while nothing is appended or read; what was appended has been
 * synced. NULL is fine. */
void journal_let_go(struct journal *j);
/* Opens it again; it goes on where it was. */
MUST_USE bool journal_take_up(struct journal *j, struct error *err);

/* ---- numbers ---- */

/* The next number in the order of ending. Any thread. */
uint32_t journal_number_take(struct journal *j);
/* The last that was taken, or that opening found; 0: none. */
uint32_t journal_number_last(const struct journal *j);
/* Numbers up to `last` are taken: by lines that have no record. */
void journal_number_raise(struct journal *j, uint32_t last);
/* Gives back all that were taken behind `last`, unless others were taken behind `taken`. */
void journal_number_back(struct journal *j, uint32_t taken, uint32_t last);

/* Formats `o`, which has a number, as a record at the end of `to` (see outcome_line), and sets what
 * o says of it but journal_at. False (and `to` as it was) when memory is out or the line is over
 * 2^31 bytes. */
MUST_USE bool journal_encode(struct outcome *o, struct buf *to);
/* The same of a result line that is there already, with its LF: `about` has what is known of it but
 * check and length. */
MUST_USE bool journal_encode_line(const struct journal_head *about, struct slice line,
				  struct buf *to);
/* Writes records at the end. Not durable yet. */
MUST_USE bool journal_append(struct journal *j, struct slice records, struct error *err);
/* After it returns true everything appended is durable. */
MUST_USE bool journal_sync(struct journal *j, struct error *err);
/* Forgets what was appended since the last sync: after a failed append or sync, before the same
 * records are appended again. (After a failed fsync the kernel may have dropped the pages, so only
 * writing again helps.) */
void journal_rewind(struct journal *j);
uint64_t journal_end(const struct journal *j); /* offset where the next record will stand */

/* Reads heads and lines below the synced end. */
MUST_USE bool journal_read(const struct journal *j, uint64_t at, void *to, size_t n,
			   struct error *err);

/* Steps from one record that checks to the next between two offsets, over whatever is no record. */
struct journal_scan;
/* NULL when memory is out. `end` is at most the synced end. */
MUST_USE struct journal_scan *journal_scan_new(const struct journal *j, uint64_t from, uint64_t end,
					       uint64_t records);
void journal_scan_free(struct journal_scan *s); /* NULL is fine */
/* *ret_found false at the end. */
MUST_USE bool journal_scan_next(struct journal_scan *s, struct journal_head *ret, uint64_t *ret_at,
				bool *ret_found, struct error *err);

/* Checksum of a record, fed in pieces: for readers that copy long lines through a small buffer. */
struct journal_check;
MUST_USE struct journal_check *journal_check_new(void);
void journal_check_free(struct journal_check *c);
void journal_check_start(struct journal_check *c, const struct journal_head *head);
void journal_check_feed(struct journal_check *c, const void *p, size_t n);
MUST_USE bool journal_check_ok(const struct journal_check *c, const struct journal_head *head);
