/* cluster_impl.h: what cluster.c and the files of cluster_node.h share. Private to them. */
#pragma once

#include <stdatomic.h>

#include "base/worker.h"
#include "pipeline/chunks.h"
#include "pipeline/cluster_node.h"
#include "pipeline/reports.h"

#define DBS_OF_WORKS 4u /* connections: for tasks, and for coordinators */
#define DBS_OF_VIEWS 2u /* for what clients are shown */

/* Connections, of whoever has borrowed them. */
struct db_pool {
	pthread_mutex_t lock; /* for those that are idle */
	pthread_cond_t idle;
	struct db *dbs[DBS_OF_WORKS];
	unsigned n;
};

#define CLUSTER_ENDED 256u

/* A span that was given back since this node has nothing more to send of it. */
struct declined {
	struct span_id span;
	uint64_t until_ms;
};

#define CLUSTER_SEEN 64u

#define CLUSTER_WANTED 16u

/* A model of which another node would send the lines that this one cannot. */
struct wanted_model {
	char model[TOLD_NAME_SIZE];
	uint64_t until_ms;
};

/* How far a batch was, as a client was told: no later answer says less because the database is away. */
struct seen_progress {
	char id[ID_SIZE];
	struct span_progress progress;
};

/* An upstream that this node drives. */
struct driven_upstream {
	struct driven_upstream *next;
	char name[];
};

/* A batch that was seen to be whole, and not joined. */
struct whole_batch {
	char id[ID_SIZE];
	uint64_t since_ms;
	unsigned tries; /* of which each found that a part is gone */
};

/* Work of the pipeline's workers: one at a time, and once more where it was asked for meanwhile. */
struct cluster_task {
	struct work work;
	worker_fn fn;
	_Atomic unsigned asked; /* and not ended, the one under way among them */
};

struct cluster {
	struct coordinator_env *env;
	struct batch_table *table;
	const struct cluster_config *config;
	struct node *node;
	struct chunks chunks;
	struct reports *reports;

	struct db_pool works, views;
	struct db *recorder_db;

	_Atomic int64_t clock_ahead_ms; /* of the database's */
	_Atomic bool started, draining;
	_Atomic bool claims_anew; /* something says that there may be more to claim */
	_Atomic unsigned told;    /* bits of enum node_told, for the next look */
	_Atomic unsigned losses;  /* how often all that it had was lost */
	/* cluster_look.c, and what would keep that from it: cluster_join.c, cluster_lead.c */
	struct cluster_task look, join, lead;

	pthread_mutex_t driven_lock;              /* around both */
	struct driven_upstream *driven, *leaving; /* the latter go once nothing is in flight */

	pthread_mutex_t seen_lock; /* for what clients were shown last, in turn */
	struct seen_progress seen[CLUSTER_SEEN];
	unsigned seen_next;

	pthread_mutex_t wanted_lock; /* for what others would send, in turn */
	struct wanted_model wanted[CLUSTER_WANTED];
	unsigned wanted_next;

	pthread_mutex_t ended_lock; /* for batches whose last span was finished here */
	char ended[CLUSTER_ENDED][ID_SIZE];
	unsigned ended_n;

	/* the look's own */
	uint64_t ticket;
	size_t asked_spans, asked_full; /* what it had at the last claim, and when that was */
	uint64_t asked_ms;
	struct declined *declined;
	size_t declined_n;
	uint64_t want_ms; /* when others were told last what this node would send */
	uint64_t rest_ms;
	bool leads;
	struct log_storm failed;

	struct log_storm join_failed; /* the join's own */

	/* the lead's own */
	struct whole_batch *whole;
	size_t whole_n;
	uint64_t swept_ms, blobs_swept_ms;
	struct log_storm lead_failed;
};

#define CLOCK_OFF_MS 10000

/* ---- cluster.c ---- */

MUST_USE bool cluster_dbs_open(struct cluster *cl, struct error *err);
void cluster_dbs_close(struct cluster *cl); /* also where not all could be opened */

/* Has it run, from now on at any time. Does not wait. */
void cluster_ask(struct cluster *cl, struct cluster_task *t);
/* The last that its function does; `asked`: what t->asked was when that began. */
void cluster_task_end(struct cluster *cl, struct cluster_task *t, unsigned asked);
/* Unix s by the database's clock. */
int64_t cluster_now_s(const struct cluster *cl);
/* One of the ended batches, if there is any. */
bool cluster_ended_take(struct cluster *cl, char id[static ID_SIZE]);

/* ---- cluster_look.c, cluster_join.c, cluster_lead.c ---- */

/* Compares its clock with the database's. */
MUST_USE bool cluster_clock_look(struct cluster *cl, struct error *err);
/* The tasks (worker_fn). */
void cluster_look_work(void *arg);
void cluster_join_work(void *arg);
void cluster_lead_work(void *arg);

/* ---- cluster_claims.c ---- */

/* Claims what it wants more of, and gives back what it has nothing to send of. A look's. */
MUST_USE bool cluster_claims_look(struct cluster *cl, struct error *err);
/* Another node would send lines of `model`. Any thread. */
void cluster_wanted(struct cluster *cl, const char *model);
/* All that it has were lost with the node's epoch; are given back. */
void cluster_spans_lost(struct cluster *cl);
void cluster_spans_leave(struct cluster *cl);
/* Those of a batch. */
void cluster_spans_with(struct cluster *cl, const char *batch_id, batch_fn fn, void *ctx);
/* store_batches_open(). */
MUST_USE bool cluster_batches_open(struct cluster *cl, char (**ret)[ID_SIZE], size_t *ret_n,
				   struct error *err);
