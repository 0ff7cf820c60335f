/* results.h: the output and the error file of one batch. Finished segments are appended in input
 * order, so the files are sorted by line, each byte is copied once, and a batch ends in the time of
 * its last segments whatever its size; or, where the batch asks for it, in the order in which lines
 * ended (results_append_run()). Where each line went, by its number in the order of ending,
 * is noted beside them (order.h).
 *
 * What is appended counts once merge_state says so (store_merge_put). A crash before that leaves
 * bytes behind the recorded length: results_open() cuts them and the segment is merged again.
 *
 * Belongs to one thread at a time (a worker of the pipeline). */
#pragma once

#include "base/error.h"
#include "batch/outcome.h"
#include "batch/segment.h"
#include "blob/blob.h"
#include "journal/journal.h"
#include "results/order.h"
#include "store/store.h"

struct results;

struct results_files {
	struct blobs *blobs;
	const char *output_id, *error_id;
	const char *order_path; /* outlives the results; NULL: no order is kept */
	/* One merge makes all of it, and nothing counts before the batch is final: where the store
	 * shares syncs the files are put at once, the order where it is of a batch that is final. */
	bool at_once;
	/* Of a part of a batch: lines are numbered from 1 as they are appended, whatever the journal
	 * says, and the order is scratch, which is not synced. */
	bool of_part;
};
/* Opens the files at the lengths that `m` says. */
MUST_USE bool results_open(const struct results_files *files, const struct merge_state *m,
			   struct results **ret, struct error *err);
void results_close(struct results *r); /* NULL is fine */
/* After a restart: order_recover() of the order. Nothing where none is kept. */
MUST_USE bool results_recover(struct results *r, const struct merge_state *m, order_fn each,
			      void *ctx, uint32_t *ret_last, struct error *err);
/* order_clear() of the order, if it is kept. */
MUST_USE bool results_order_clear(struct results *r, uint32_t first, uint32_t last,
				  struct error *err);
/* order_mark_lost() of the order, which is kept. */
MUST_USE bool results_order_mark_lost(struct results *r, struct error *err);
/* Nothing was written before results_sync(), and what is now counts when the batch is final. */
bool results_are_at_once(const struct results *r);
/* The order was made by the results: its name is not durable yet. */
bool results_order_is_new(const struct results *r);

/* One segment to append. */
struct results_segment {
	uint64_t first; /* its first record */
	uint32_t lines;
	uint64_t journal_at,
		journal_end; /* between them stand all its journal records; equal: none */
	/* What becomes of a line without a record that checks: OUTCOME_EXPIRED, _CANCELLED,
	 * _BATCH_FAILED or _SPENT. OUTCOME_ANSWERED: all lines have one, unless the journal has been damaged
	 * since they ended. */
	enum outcome_fault missing;
	/* Bit a line: it stands in the files already, and is left as it is. NULL: none does. */
	const uint8_t *settled;
	/* Gives the next number to a line whose record has none, or that has no record. */
	uint32_t (*number)(void *ctx);
};
/* Gives the raw custom_id of a record, for the lines that are missing: appended to `to`; false when
 * it cannot be read (then it is null). */
typedef bool (*custom_id_fn)(void *ctx, uint64_t record, struct buf *to);

/* Appends the segment to the files and to the sums in `m` (not `segments`, `journal_from`). `j` may
 * be NULL where the segment has no records. *ret_damaged: a line that had ended has no record that
 * checks any more, and `missing` does not say what becomes of it. Then, and on failure, the files
 * may hold a part of the segment and `m` is as it was: call results_rewind(m), then again. */
MUST_USE bool results_append(struct results *r, const struct journal *j,
			     const struct results_segment *segment, custom_id_fn custom_id,
			     void *ctx, struct merge_state *m, bool *ret_damaged,
			     struct error *err);
/* Lines in the order of their records in the journal (output_order "completion"). */
#define RESULTS_RUN_LINES (16u * SEGMENT_LINES)
struct results_run {
	uint64_t from, end; /* between them stand the records; `from` moves on */
	uint64_t records;   /* lines of the batch */
	uint8_t *settled; /* bit a line: it stands in the files; set for those that are appended */
	uint32_t (*number)(void *ctx); /* as of a segment */
	void *ctx;
	uint32_t taken[RESULTS_RUN_LINES]; /* records whose bits were set */
	size_t n;
};
/* Appends at most RESULTS_RUN_LINES of them, each line once; a record that does not check is passed
 * over. On failure, and whenever the merge fails: results_rewind(m) and results_run_undo(). */
MUST_USE bool results_append_run(struct results *r, const struct journal *j,
				 struct results_run *run, struct merge_state *m, struct error *err);
/* Takes back the bits. */
void results_run_undo(struct results_run *run);
/* Makes what was appended durable, and its order: before `m` goes to the store. */
MUST_USE bool results_sync(struct results *r, struct error *err);
/* `m` is in the store: what it counts is never rewound. */
void results_keep(struct results *r, const struct merge_state *m);
/* Back to the lengths in `m`, which is no less than what was kept. */
void results_rewind(struct results *r, const struct merge_state *m);
