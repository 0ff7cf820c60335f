/* nodes.h: the nodes that share a database: their leases and epochs (cluster/protocol.h, "nodes").
 * Connection, threads, failures and round trips: node_db.h. Whoever changes what others wait for
 * tells the channel lowtide_nodes (LISTEN). */
#pragma once

#include <stddef.h>

#include "store/node_db.h"

/* What a node says of itself. */
struct node_about {
	const char *address, *version, *config; /* config: digest of the configuration */
};

/* node_enter(): node `id`, drawn by the caller, enters in epoch 1 with a lease of LEASE_US; asked
 * again it changes nothing. Where `before` is not NOBODY the epoch of that start, which is no more,
 * ends in the same transaction. *ret_epoch: that it has now. */
MUST_USE bool store_node_enter(struct db *db, uint64_t id, const struct node_about *about,
			       uint64_t before, uint64_t *ret_epoch, struct error *err);
/* node_renew(): given up after LEASE_RENEW_TIMEOUT_US. *ret_renewed false: it was buried, or has
 * left; it drops all it has, and goes on as *ret_epoch, which the row has now (0: there is no row).
 * A renewal that comes late does no harm: the node reckons from when it asked. */
MUST_USE bool store_node_renew(struct db *db, struct owner me, uint64_t floor, bool draining,
			       bool *ret_renewed, uint64_t *ret_epoch, struct error *err);
/* node_bury(): ends the epoch of every node whose lease is over. *ret_buried: how many; 0 also
 * where the caller may not (node_may_bury()). Waits for what those it buries have under way. */
MUST_USE bool store_node_bury(struct db *db, struct owner me, uint64_t *ret_buried,
			      struct error *err);
/* node_leave(): *ret_left false: that epoch is over already. */
MUST_USE bool store_node_leave(struct db *db, struct owner me, bool *ret_left, struct error *err);

/* By how much the caller's wall clock (`now_ms`, asked right before) is ahead of the database's, in ms; with
 * what the call took, which is under a second where it says anything. */
MUST_USE bool store_node_clock(struct db *db, int64_t now_ms, int64_t *ret_ahead_ms,
			       struct error *err);

/* One that has not left nor been buried. */
struct node_seen {
	uint64_t id, epoch;
	int64_t lease_left_us; /* below 0: it is over, and nobody has buried the node yet */
	bool draining;
	uint64_t floor;
	unsigned driven; /* upstreams */
	char address[256], version[64], config[80];
};
/* By number. A malloc'ed array. */
MUST_USE bool store_node_list(struct db *db, struct node_seen **ret, size_t *ret_n,
			      struct error *err);
