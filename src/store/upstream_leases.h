/* upstream_leases.h: which node drives which upstream (cluster/protocol.h, "upstreams").
 * Connection, threads, failures and round trips: node_db.h. A release tells the channel
 * lowtide_upstreams. */
#pragma once

#include <stddef.h>

#include "store/node_db.h"

/* upstream_take(): `me`, whose lease runs, drives `upstream` from now on, in the upstream's epoch
 * *ret_epoch; false: another does, or `me` is not live. What is in its name already is answered as
 * it stands: so is a take whose answer was lost. */
MUST_USE bool store_upstream_take(struct db *db, struct owner me, const char *upstream,
				  bool *ret_taken, uint64_t *ret_epoch, struct error *err);
/* upstream_release(), of its `epoch`, with nothing in flight there any more. *ret_released false:
 * that tenure is over, by this call asked before or by another node. */
MUST_USE bool store_upstream_release(struct db *db, struct owner me, const char *upstream,
				     uint64_t epoch, bool *ret_released, struct error *err);

struct upstream_seen {
	char upstream[256];
	uint64_t epoch;
	struct owner owner; /* NOBODY: it was released */
	bool is_free;       /* released, or its owner's epoch is over */
};
/* Those that were ever taken, by name. A malloc'ed array. */
MUST_USE bool store_upstream_list(struct db *db, struct upstream_seen **ret, size_t *ret_n,
				  struct error *err);
