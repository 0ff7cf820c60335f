/* cluster.h: this node among those that share a database and a bucket (cluster/protocol.h), as the files
 * below its looks know it: connections, and what a span coordinator asks. Private to pipeline/; one
 * machine has none of it.
 *
 *	node (node/node.h) -- look, lost, taken, leave --> cluster_node.h -- claim --> coordinators, one a span
 *	recorder -- a group of records --> chunks.h: an object, and a row for each span in it
 *	coordinators -- parts written --> span finished; the last of a batch --> span_join.h
 *
 * A *span coordinator* is a coordinator (coordinator.h) of a run of a batch's segments instead of all:
 * its journal is scratch, made of what owners before have finished; its result files are parts; its
 * end is that of the span. It is gone when the span is finished, given back or lost.
 *
 * Threads: any. A call that has an error borrows a connection and waits for the database; no lock is
 * held meanwhile, but the day's `counting` (day_tokens.h) by who finishes a span. */
#pragma once

#include "node/node.h"
#include "store/pieces.h"

struct batch;
struct cluster;
struct span_input;

struct node *cluster_node(struct cluster *cl); /* NULL: it has left */
/* Has a look at what there is to claim, to drop, to join. Does not wait. */
void cluster_look(struct cluster *cl);
/* Now and then: the same, where it asks the database for nothing unless what it has to send runs out. */
void cluster_check(struct cluster *cl);

/* Its wall clock is the database's, about: else it ends nothing by it. */
bool cluster_clock_is_good(const struct cluster *cl);
/* The pipeline ends: what takes long leaves the rest to who comes next. */
bool cluster_is_closing(const struct cluster *cl);

/* For a task, or a coordinator. The caller's alone until it is returned. Waits for one. */
struct db *cluster_db_borrow(struct cluster *cl);
void cluster_db_return(struct cluster *cl, struct db *db);
/* For what clients are shown: no work waits for them, however often they ask. */
struct db *cluster_view_db_borrow(struct cluster *cl);
void cluster_view_db_return(struct cluster *cl, struct db *db);
/* The recorder's own: what it acknowledges waits for nobody else's question. */
struct db *cluster_recorder_db(struct cluster *cl);

/* A batch that was judged good is cut in spans, before store_batch_start(). */
MUST_USE bool cluster_cut(struct cluster *cl, const struct batch *b, const struct span_input *input,
			  struct error *err);
/* As store_span_finish(); the last of its batch has that joined. */
MUST_USE bool cluster_finish(struct cluster *cl, struct owner me, const struct span_lent *span,
			     const struct span_end *end, bool *ret_finished, struct error *err);
MUST_USE bool cluster_give_back(struct cluster *cl, struct owner me, const struct span_lent *span,
				struct error *err);
/* store_pieces_list(). */
MUST_USE bool cluster_pieces(struct cluster *cl, const struct span_id *span,
			     struct span_piece **ret, size_t *ret_n, struct error *err);
/* An id for a part, of the object's number. */
void cluster_part_id(struct owner owner, uint64_t number, char ret[static ID_SIZE]);
