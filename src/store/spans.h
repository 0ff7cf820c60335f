/* spans.h: the work of many machines in spans: runs of segments of one batch, lent to one node at a
 * time (cluster/protocol.h, "spans"). Connection, threads, failures and round trips: node_db.h.
 *
 * A span is free, or a node's; each owner is a new epoch of the span, by which all its writes are
 * told from those of an owner before. The order of claims is span_claim.sql's. New batches, cancels
 * and holds tell the channel lowtide_batches, a span given back lowtide_spans, a burial
 * lowtide_nodes. */
#pragma once

#include <stddef.h>

#include "batch/batch.h"
#include "batch/causes.h"
#include "store/node_db.h"

struct span_id {
	char batch[ID_SIZE];
	uint32_t n; /* from 0 */
};

/* ---- made ---- */

struct span_plan {
	uint64_t first_segment, segments, lines;
};
/* The spans of a batch, before store_batch_start(): nobody is lent one of a batch that is
 * validating. Where it has some, of this plan or another's, they stay. *ret_n: how many it has now;
 * 0: there is no such batch, or it is final. */
MUST_USE bool store_spans_create(struct db *db, const char *batch, const struct span_plan *plan,
				 size_t n, size_t *ret_n, struct error *err);

/* ---- lent ---- */

/* The lines of a span in one chunk. */
struct span_piece {
	char chunk[OBJECT_NAME_SIZE];
	uint64_t at, length; /* bytes of the chunk */
	uint64_t lines;
};

struct span_wanted {
	uint64_t ticket;           /* above that of the node's last claim in this epoch */
	const char *const *models; /* that it drives; a batch of mixed models is for any */
	size_t n_models;
	const struct span_id *held; /* what it knows that it has, or wants no more */
	size_t n_held;
	const char *const *full; /* batches that it wants no more of, unless they have ended */
	size_t n_full;
};

/* The models of batches that are in progress, but for longer names than an input's index has; "": some
 * batch has several. A malloc'ed array. */
#define SPAN_MODEL_SIZE 257
MUST_USE bool store_span_models(struct db *db, char (**ret)[SPAN_MODEL_SIZE], size_t *ret_n,
				struct error *err);

struct span_lent {
	struct span_id id;
	uint64_t epoch; /* of the span, from now on */
	uint64_t first_segment, segments, lines;
	enum batch_status status;
	bool has_ended; /* cancelled, or past its window: its lines are filled, none is sent */
	struct counts counts;
	struct usage usage;
	struct span_piece *pieces; /* malloc'ed: what owners before have finished; NULL: nothing */
	size_t n_pieces;
};
void span_lent_done(struct span_lent *s);

/* ticket_take() and span_claim(), a node's one at a time. *ret_lent false: there is none, the
 * caller is not live, or the ticket is old. Asked again with a new ticket, since the answer was
 * lost, it gives the same span, which is not among `held`; the claim before is refused if it comes
 * yet. */
MUST_USE bool store_span_claim(struct db *db, struct owner me, const struct span_wanted *wanted,
			       struct span_lent *ret, bool *ret_lent, struct error *err);
/* span_give_back(), of its `epoch`. *ret_given false: it is not the caller's, in that epoch: given
 * back before, or another's. What it has settled stays. */
MUST_USE bool store_span_give_back(struct db *db, struct owner me, const struct span_id *span,
				   uint64_t epoch, bool *ret_given, struct error *err);

/* ---- finished ---- */

struct span_part {
	char name[OBJECT_NAME_SIZE]; /* "": no line ended there */
	uint64_t bytes, lines;
};

struct span_end {
	struct counts counts; /* of all its lines, in the end; total is not looked at */
	struct usage usage;
	struct causes causes;
	struct span_part output, error;
	/* what it adds to which UTC day of its organization (store.h), in days since 1970, when it is
	 * finished; not listed. So store_batch_finish() adds nothing of it */
	int64_t day;
	uint64_t day_tokens;
};

/* span_finish(): both parts are in the bucket. *ret_finished false: it is not the caller's, in that
 * epoch; asked again, because it is finished. *ret_last: the batch has no open span now, and is in
 * store_spans_whole() from the commit on. In a transaction behind it, which waits for the stores that
 * write, it went from `in_progress` to `finalizing`, if it was not cancelled; where that failed, which
 * the log says, it stays `in_progress` until it is finished.
 *
 * crash: between the two, the same; right after both, the batch is in store_spans_whole() until
 * somebody finishes it. */
MUST_USE bool store_span_finish(struct db *db, struct owner me, const struct span_id *span,
				uint64_t epoch, const struct span_end *end, bool *ret_finished,
				bool *ret_last, struct error *err);

/* At most `max` batches all of whose spans are finished, which are not final: store_batch_finish()
 * is to be called, by any node, once the parts are in the result files. When a batch is final, its
 * spans and their pieces go with the commit, whoever has them; their objects are garbage then. A
 * malloc'ed array. */
MUST_USE bool store_spans_whole(struct db *db, unsigned max, char (**ret)[ID_SIZE], size_t *ret_n,
				struct error *err);

/* How far a batch is: sums over its spans. */
struct span_progress {
	char org[ID_SIZE];
	struct counts counts; /* total: lines of all spans */
	struct usage usage;
	uint64_t spans; /* 0: none are made yet; or it is final, or there is no such batch */
	uint64_t finished;
	uint64_t lent;       /* to nodes whose leases run */
	uint64_t lent_lines; /* of these spans, that are neither completed nor failed yet */
};
#define SPAN_PROGRESS_MAX 1000u
/* Of each of up to SPAN_PROGRESS_MAX batches, no two the same, into `ret`, in their order. */
MUST_USE bool store_span_progress(struct db *db, const char (*batches)[ID_SIZE], size_t n,
				  struct span_progress *ret, struct error *err);

/* Where batches are. */
struct batch_state {
	bool is_there;
	enum batch_status status;
	enum batch_hold hold;
};
/* Of each of `n` batches, however many, into `ret`, in their order. */
MUST_USE bool store_batches_states(struct db *db, const char (*batches)[ID_SIZE], size_t n,
				   struct batch_state *ret, struct error *err);

/* The manifest, and how far a batch is: its spans in order. */
struct span_seen {
	uint32_t n;
	bool is_finished;
	int64_t after; /* so many of the batch were finished before it; -1: that is not known */
	struct span_end end; /* counts and usage so far; causes and parts once it is finished */
};
/* A malloc'ed array. */
MUST_USE bool store_span_manifest(struct db *db, const char *batch, struct span_seen **ret,
				  size_t *ret_n, struct error *err);
