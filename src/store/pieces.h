/* pieces.h: what nodes have finished: the pieces of journal chunks (cluster/protocol.h, "to settle
 * a chunk"). Connection, threads, failures and round trips: node_db.h. */
#pragma once

#include "store/spans.h"

#define PIECES_SETTLED_MAX 4096u /* of a chunk */

/* The lines of one span in a chunk. */
struct piece_settled {
	struct span_id span;
	uint64_t epoch;       /* of the span, as it was lent */
	uint64_t at, length;  /* bytes of the chunk */
	struct counts counts; /* completed, failed, retried; the others come with the end */
	struct usage usage;
	bool is_held; /* the answer */
};

/* The chunk `chunk` is in the bucket. Of each piece whose span is the caller's, in that epoch, the
 * lines are finished with the commit: its row is there, the counts are in the span's, and the tokens in the
 * organization's of the day (store_day_get()), by the database's clock. `is_held`
 * false: the span is another's, or finished, and its lines are lost to the caller; the others of
 * the chunk are not. A chunk has one piece of a span at most.
 *
 * Asked again, which a failure wants, with the same pieces: what is there is answered as held, and
 * counted once. Until there is an answer the span is neither written nor given back. */
MUST_USE bool store_pieces_settle(struct db *db, struct owner me, const char *chunk,
				  struct piece_settled *pieces, size_t n, struct error *err);
/* The pieces of a span, by chunk; none once it is finished. A malloc'ed array. */
MUST_USE bool store_pieces_list(struct db *db, const struct span_id *span, struct span_piece **ret,
				size_t *ret_n, struct error *err);
