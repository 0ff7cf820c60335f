/* node.h: this start of the program as one of several that share a database and a bucket
 * (cluster/protocol.h): it holds a lease, looks at what the others do, buries those whose lease is
 * over, and drives its share of the upstreams.
 *
 * Two threads, each with a connection of its own: one renews the lease and waits for nothing else;
 * the node's own thread looks every LOOK_US and whenever another node tells of a change, and calls
 * the ops. While the database is away nothing is lost by that alone: the lease runs out, so nothing
 * is sent (node_deadline_us()), and the node goes on with what it had, unless it was buried
 * meanwhile. An outage is logged once, and once when it is over.
 *
 * Functions may be called from any thread, from within ops as well, where they do not say
 * otherwise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cluster/protocol.h"
#include "store/node_db.h"
#include "store/nodes.h"
#include "store/upstream_leases.h"

struct node;

/* All are called in the node's own thread; none may wait for long. */
struct node_ops {
	/* The node was buried, and goes on in its next epoch: all spans and upstreams that it had
	 * are lost, leave() is not called for them. Called before that epoch's lease and before
	 * anything is taken; until it returns node_owner() is of the epoch that is over. */
	void (*lost)(void *ctx);
	/* Drives `upstream` from now on. */
	void (*taken)(void *ctx, const char *upstream);
	/* No more lines are to be sent there; once nothing is in flight: node_released(). */
	void (*leave)(void *ctx, const char *upstream);
	/* Something may have changed for spans or batches: claims, cancels, views. After each look
	 * that reached the database, so every LOOK_US, too. `told`: bits of enum node_told. */
	void (*look)(void *ctx, unsigned told);
	/* Node `node`, another one, has online requests of so many units in flight at `upstream`,
	 * which it does not drive. Told again every ONLINE_TELL_US while there are any. */
	void (*online)(void *ctx, uint64_t node, const char *upstream, unsigned units);
	/* Another node has nothing to send of `model`, could, and finds no span of it. */
	void (*wanted)(void *ctx, const char *model);
};

/* Strings are copied; `ops` and `ctx` have to outlive the node. */
struct node_config {
	const char *url;                        /* of the database, which has been migrated */
	const char *data_dir;                   /* whose lock the caller holds */
	const char *address, *version, *digest; /* struct node_about; digest: 64 bytes at most */
	const struct node_ops *ops;
	void *ctx;
	bool drives; /* false: it takes no upstreams, and others see that: node_is_api() */
};

/* Connects and enters, under a number drawn now. DATA/node names it, and tells the next start on
 * this directory, which then ends this one's epoch at once: what it had is free before its lease is
 * over. Fails as store_connect() does, and where DATA/node cannot be written. Ops may be called
 * before it returns. */
MUST_USE bool node_open(const struct node_config *c, struct node **ret, struct error *err);
/* Ends the threads and, where the database can be reached, the epoch: what it still had is free.
 * Nothing calls the node any more. NULL is fine. */
void node_close(struct node *n);

/* ---- the lease ---- */

/* As whom to claim, settle and release. One transaction, and the names of the objects it tells of,
 * take the answer of one call. */
struct owner node_owner(struct node *n);
/* Until when lines may be sent: microseconds of sys.monotonic_us(); 0: it has no lease. Never
 * waits: to be asked before each send (lease_may_send()). */
int64_t node_deadline_us(struct node *n);
/* Whoever was refused something in this epoch's name: renews at once, which tells why. */
void node_refused(struct node *n);
/* For /readyz: its lease runs. Else `why` says in a sentence why not; `size` from 1. */
bool node_is_well(struct node *n, char *why, size_t size);
/* Its lease runs, and by the last look it has the smallest number of those whose lease does: does
 * what one node is to do. Two may believe it for a while. */
bool node_is_leader(struct node *n);

/* ---- upstreams ---- */

/* The names of those in its configuration, each under 256 bytes; may change at a reload. One that
 * is gone from it is left. Copied. */
void node_upstreams(struct node *n, const char *const *names, size_t count);
/* After leave(): nothing is in flight to `upstream` any more, and nothing will be. */
void node_released(struct node *n, const char *upstream);
/* From now on it takes nothing, leaves all upstreams, and others see that. */
void node_drain(struct node *n);

/* ---- online requests ---- */

#define ONLINE_TELL_US (2 * PROTOCOL_S)
/* Online requests of so many units are in flight at `upstream`, which another node drives: it is told soon,
 * at once where there were none, and a few times a second at most. While the database is away nobody
 * hears of it. Does not wait. */
void node_online(struct node *n, const char *upstream, unsigned units);

/* ---- objects ---- */

/* The number of the next object that this start makes, from 1; never given twice, in no epoch. */
uint64_t node_object_take(struct node *n);
/* Of each number that was taken, also where the object was never made, or its epoch is over: rows
 * name it, or never will. Objects below the smallest that is not decided may be swept if no row
 * names them (the floor, which goes along with the lease). */
void node_object_decided(struct node *n, uint64_t number);

/* ---- what the last look saw: for console and metrics ---- */

/* Malloc'ed arrays, by number, by name; NULL: no memory, and *ret_n 0. */
struct node_seen *node_list(struct node *n, size_t *ret_n);
struct upstream_seen *node_upstream_list(struct node *n, size_t *ret_n);
/* It takes no upstreams, since it is of that role. */
bool node_is_api(const struct node_seen *seen);
