/* order.h: the order in which the lines of a batch ended, as places in its result files. It is what
 * GET /v1/batches/{id}/results goes by (contract 11.3).
 *
 *	DATA/batches/<batch id>.order        while the batch runs
 *	DATA/files/<result file id>.index    then: beside each of the two result files
 *
 *	+---------------------------+
 *	| "LTORDER", version, lost  |  16 bytes
 *	+---------------------------+
 *	| place, length, record     |  16 bytes, of number 1
 *	| ...                       |  of number 2 ...
 *	+---------------------------+
 *
 * Native little-endian. A line's number is in its journal record; what ends without one (cancelled,
 * expired) gets the next when it is merged. Entries are written with the lines' merge and synced
 * before that counts. An entry counts if its line lies within the lengths that the store has of the
 * files: others are of a merge that a crash has undone, or zeros. A number without an entry that
 * counts is a hole: its line was damaged on disk, or given up, and ended again under another.
 *
 * `lost` is 1 where entries of merged lines were lost, and the journal with them: these lines stand in
 * the files alone.
 *
 * Threads: one at a time for a writer; what was committed may be read by any. */
#pragma once

#include "base/error.h"
#include "batch/batch.h"
#include "blob/blob.h"
#include "store/store.h"

#define ORDER_ENTRY_BYTES 16u

struct order_entry {
	uint64_t place; /* offset in the file; with ORDER_ERROR in the error file, else the output */
	uint32_t length; /* of the line with its LF; 0: no entry */
	uint32_t record;
};
_Static_assert(sizeof(struct order_entry) == ORDER_ENTRY_BYTES, "the layout on disk");
#define ORDER_ERROR (UINT64_C(1) << 63)

/* One to be written. */
struct order_note {
	uint32_t number; /* from 1 */
	struct order_entry entry;
};

struct order;

/* Where the order of a batch that is final lives: with each of its result files, as one file of two
 * names, so that it is there as long as one of them is. NULL: the batch has no such file. */
struct order_homes {
	const char *output, *error; /* file ids */
};
struct order_homes order_homes(const struct batch *b);
/* The batch is final: the file at `path` goes to where its order lives, or, where that is nowhere,
 * goes. No file is no error. */
MUST_USE bool order_move_home(struct blobs *blobs, const char *path,
			      const struct order_homes *homes, struct error *err);

/* Opens the file at `path`; of a batch of which nothing is merged it is begun anew, and its name is
 * not durable yet (*ret_created: there was none). ENOENT or EBADMSG in err->sys if it is lost. */
MUST_USE bool order_open(const char *path, bool begins, struct order **ret, bool *ret_created,
			 struct error *err);
void order_close(struct order *o); /* NULL is fine */
/* Writes the entries, in whatever order they are given; sorts them. A failure may leave some. */
MUST_USE bool order_put(struct order *o, struct order_note *notes, size_t n, struct error *err);
/* A whole order of these entries, in `to`; false, and nothing in `to`, if it has no room. Sorts them. */
MUST_USE bool order_format(struct order_note *notes, size_t n, struct buf *to);
MUST_USE bool order_sync(struct order *o, struct error *err);
/* Takes back the entries of the numbers from `first` to `last`: of a merge that failed after they were
 * written. Lengths grow, and they would count some day. */
MUST_USE bool order_clear(struct order *o, uint32_t first, uint32_t last, struct error *err);

/* Whether the entry's line lies within the merged lengths. */
bool order_counts(const struct order_entry *e, uint64_t output_bytes, uint64_t error_bytes);

/* Goes through the file after a restart: clears what does not count by `m`, calls `each` (may be
 * NULL) for what does, and sets *ret_last to the greatest number that does. EBADMSG if these are not
 * as many as `m` has lines; of an order that is marked as lost, if they are more. */
typedef void (*order_fn)(void *ctx, uint32_t number, const struct order_entry *e);
MUST_USE bool order_recover(struct order *o, const struct merge_state *m, order_fn each, void *ctx,
			    uint32_t *ret_last, struct error *err);

/* Entries are lost for good, and durably known to be: order_recover() takes those there are. */
MUST_USE bool order_mark_lost(struct order *o, struct error *err);

/* Entries from `number` on; *ret_n fewer than `n` where the file ends. EBADMSG if it is none of
 * ours. Also while it is written: what counts does not change. */
MUST_USE bool order_read(const struct blob_reader *from, uint32_t number, struct order_entry *to,
			 size_t n, size_t *ret_n, struct error *err);
/* The greatest number of a file that is complete. */
MUST_USE bool order_last(const struct blob_reader *from, uint32_t *ret, struct error *err);
