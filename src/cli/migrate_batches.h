/* migrate_batches.h: batches of a data directory that are in progress become work of nodes: each is cut in spans,
 * and what has ended of it, by its journal, goes to chunks in the bucket (store/pieces.h). */
#pragma once

#include "blob/blob.h"
#include "store/move.h"

/* Arrays that are malloc'ed. */
struct batches_moved {
	struct span_moved *spans;
	struct piece_moved *pieces;
	size_t n_spans, n_pieces;
	char (*results)[ID_SIZE]; /* ids of result files that are not whole: nodes make them anew */
	size_t n_results;
	uint64_t batches, lines; /* that are in progress; that have ended in them */
};
void batches_moved_done(struct batches_moved *b);

/* The directory's redo log is closed and settled: journals are as they were written. Puts chunks, which
 * no row names until *ret is in the store. INVALID, before anything is put, with what can be done: a batch that
 * cannot go now. */
MUST_USE bool migrate_batches(const char *data_dir, struct store *store, struct blobs *from,
			      struct blobs *to, struct batches_moved *ret, struct error *err);
