/* move.h: the rows of a data directory go to a PostgreSQL, in one transaction; and with them, where nodes are to
 * have them, what they know of batches that are in progress (spans.h, pieces.h). One thread. */
#pragma once

#include "store/pieces.h"
#include "store/store.h"

/* A span that nobody has, and what its pieces say has ended. */
struct span_moved {
	struct span_id id;
	struct span_plan plan;
	struct counts counts; /* completed, failed, retried */
	struct usage usage;
};
/* A piece of a chunk that is in the bucket. */
struct piece_moved {
	struct span_id span;
	char chunk[OBJECT_NAME_SIZE];
	uint64_t at, length;
	struct counts counts;
	struct usage usage;
};
struct work_moved {
	const struct span_moved *spans;
	const struct piece_moved *pieces;
	size_t n_spans, n_pieces;
};

/* Both databases, open; the one that `url` leads to is claimed. `bucket`: the URL of that to which files and work go,
 * NULL: none; kept. INVALID where it has other rows, or these with another bucket. Nobody else uses either. */
struct mover;
MUST_USE bool mover_open(const char *data_dir, const char *url, const char *bucket,
			 struct mover **ret, struct error *err);
/* NULL is fine. */
void mover_close(struct mover *m);
/* The directory's own, to be read. */
struct store *mover_from(const struct mover *m);
/* An earlier call has moved all, and nothing has come since. */
bool mover_is_done(const struct mover *m);
/* All rows, and `work` (NULL: none). *ret_rows: of the directory's. crash: nothing before the commit, all after. */
MUST_USE bool mover_move(struct mover *m, const struct work_moved *work, uint64_t *ret_rows,
			 struct error *err);
