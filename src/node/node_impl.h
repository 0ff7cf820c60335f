/* node_impl.h: a node's own state, for its files.
 *
 * Guards: a member is fixed once the threads run, or belongs to one thread, or to the lock; what
 * the looking thread alone changes it reads without the lock. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "node/node.h"
#include "node/objects.h"

#define UPSTREAM_NAME_SIZE 256
/* Nobody took an upstream that was moved away: it is not moved again so soon. */
#define MOVE_AGAIN_US (600 * PROTOCOL_S)

/* What the node has of an upstream. Kept until the node is closed. */
struct drive {
	struct drive *next; /* by name */
	char name[UPSTREAM_NAME_SIZE];
	bool is_configured;
	bool is_held;
	bool is_leaving;        /* leave() was called */
	bool is_moved;          /* left for another node, and nobody has taken it since */
	uint64_t epoch;         /* of the upstream, where it is held */
	int64_t free_since_us;  /* by its monotonic clock; LEASE_NONE: it is not free */
	int64_t stays_until_us; /* it is not moved before; 0: any time */
	bool is_released;       /* node_released() was called: the lock's */
};

/* Who is kept from going on by a fault. */
enum node_fault { FAULT_RENEW = 1, FAULT_LOOK = 2, FAULT_BURY = 4 };

struct node {
	const struct node_ops *ops;
	void *ctx;
	bool drives_any;
	char *url, *data_dir;
	char address[256], version[64], config[80];
	int wake_fd; /* wakes the looking thread */
	pthread_t renews, looks;
	bool renews_started, looks_started;

	_Atomic int64_t deadline_us;

	struct db *renewing; /* the renewing thread's */
	int64_t renew_due_us;

	struct db *looking; /* the looking thread's, as the following */
	int64_t look_due_us;
	unsigned told;     /* and not looked at */
	bool was_told;     /* lost() was called for the burial at hand */
	struct owner next; /* as whom it goes on, where it enters under another number */

	pthread_mutex_t lock; /* for all that follows */
	pthread_cond_t renew_wake;
	bool is_buried;      /* and lost() has not returned yet */
	uint64_t epoch_next; /* where it is buried; 0: there is no row of it any more */
	bool renew_now, look_now, is_draining, is_closing;
	bool had_lease;     /* once, in whichever epoch */
	bool drain_is_told; /* its row says so: what it leaves is not moved back to it */
	struct objects objects;
	unsigned faults; /* bits of enum node_fault */
	char why[700];   /* of the last fault */
	char said[2100]; /* each sentence that was logged since it is away, one behind the other */

	/* Changed by the looking thread alone. */
	struct owner me;
	struct drive *drives;
	struct node_seen *seen;
	size_t n_seen;
	struct upstream_seen *upstreams;
	size_t n_upstreams;

	struct online_at *online; /* online.h */

	/* node_upstreams(), not yet looked at. */
	char (*named)[UPSTREAM_NAME_SIZE];
	size_t n_named;
	bool has_named;
};

/* The longest that a thread waits without a look at the clock. A test that sets the clock makes it
 * short before it opens a node. */
extern unsigned node_wait_ms_max;

/* As a process that dies: ends the threads, and nothing else. For tests. */
void node_abandon(struct node *n);
