/* node_db.h: a node's connection to what many machines share (cluster/protocol.h), for nodes.h,
 * upstream_leases.h, spans.h, pieces.h and garbage.h. PostgreSQL alone has it.
 *
 * Each call there is one transaction and one round trip, where its header says nothing else. On
 * failure:
 *
 *	UNAVAILABLE  nobody knows whether it has happened, or will yet: the connection broke,
 *	             nobody answered in time, a lock could not be had. Ask the same again, on this
 *	             connection, which is made anew, or another. What had happened is answered, or
 *	             refused, as the call says; in no case does it happen twice. A claim is asked
 *	             again with the next ticket
 *	INTERNAL, NO_SPACE
 *	             it has not happened; or its answer found no memory, or made no sense. Ask again
 *	             all the same
 *
 * Refused is no failure, but an answer: the caller's epoch, or the span's or upstream's, is over.
 * Who is refused renews its lease at once, which tells whether it was buried.
 *
 * Threads: a connection is used by one at a time. A node has several: one that renews waits for
 * nothing else. */
#pragma once

#include "base/error.h"
#include "base/id.h"
#include "cluster/protocol.h"

struct db;

/* Connects to where store_connect() leads, migrating it first; fails as that does. */
MUST_USE bool node_db_open(const char *url, struct db **ret, struct error *err);
void node_db_close(struct db *db); /* NULL is fine */

/* ---- what others tell (NOTIFY) ---- */

/* The channels lowtide_nodes, lowtide_upstreams, lowtide_spans, lowtide_batches. */
enum node_told { TOLD_NODES = 1, TOLD_UPSTREAMS = 2, TOLD_SPANS = 4, TOLD_BATCHES = 8 };

#define TOLD_NAME_SIZE 257 /* of an upstream, of a model: SPAN_MODEL_SIZE */

/* Of the channel lowtide_online_OID, of the schema: a node has online requests of so many units in flight at an upstream. */
struct online_told {
	uint64_t node;
	unsigned units;
	char upstream[TOLD_NAME_SIZE];
};

/* Of the channel lowtide_wanted_OID: a node has nothing to send of a model, could, and finds no span
 * of it. */
struct wanted_told {
	uint64_t node;
	char model[TOLD_NAME_SIZE];
};

#define NEWS_MAX 16u

/* What came; more of one kind than there is room for come with the next wait. */
struct node_news {
	unsigned told; /* bits of enum node_told */
	size_t online_n, wanted_n;
	struct online_told online[NEWS_MAX];
	struct wanted_told wanted[NEWS_MAX];
};

/* `db` is told of these channels from now on, also on the connection that follows a broken one. What
 * is read after it has all that nobody will be told of. */
MUST_USE bool node_db_listen(struct db *db, struct error *err);
/* Waits until a channel tells, `wake_fd` (-1: none) can be read, or `wait_ms` have passed; what came
 * since the last wait counts. ret->told has all bits after the connection was made anew, since some
 * may have been missed. What `wake_fd` has stays to be read. UNAVAILABLE, at
 * once: the connection is broken, and cannot be made again now, which may have taken 5 s to see. */
MUST_USE bool node_db_wait(struct db *db, int wake_fd, unsigned wait_ms, struct node_news *ret,
			   struct error *err);
/* All nodes hear of it, the caller's as well. */
MUST_USE bool store_online_tell(struct db *db, const struct online_told *told, struct error *err);
MUST_USE bool store_wanted_tell(struct db *db, const struct wanted_told *told, struct error *err);

/* The name of a chunk or a part in the bucket, with its NUL: UTF-8. */
#define OBJECT_NAME_SIZE 160
