/* cluster_node.h: this node among others (cluster.h), for the pipeline: it comes, claims, shows and goes.
 *
 * Threads: any. What may wait runs in the pipeline's workers, one look at a time. */
#pragma once

#include "pipeline/batch_table.h"
#include "pipeline/cluster.h"
#include "pipeline/reports.h"

struct cluster_config;
struct recorded;

/* Enters as a node and begins to look; spans are claimed from cluster_start() on. `env` and `table`
 * outlive it. On failure, too, *ret is the caller's to leave and to close. */
MUST_USE bool cluster_open(const struct cluster_config *config, struct coordinator_env *env,
			   struct batch_table *table, struct cluster **ret, struct error *err);
void cluster_start(struct cluster *cl);
/* Its configuration has other upstreams now. */
void cluster_upstreams(struct cluster *cl, const struct upstream_config *list, size_t n);
/* Claims and sends nothing more, leaves the upstreams, and gives spans back as their lines in flight end;
 * after `at_most_ms` these are dropped. */
void cluster_drain(struct cluster *cl, uint64_t at_most_ms);
/* Its lease runs, and its clock is right; else `why` says in a sentence what is not so. */
bool cluster_takes_clients(struct cluster *cl, char *why, size_t size);
/* Tells the others nothing more of what it does, and adds what it did last to the history of all. Before
 * dispatch stops; NULL is fine. */
void cluster_quiet(struct cluster *cl);
/* Workers and recorder are stopped: leaves, and calls dispatch no more. NULL is fine. */
void cluster_leave(struct cluster *cl);
void cluster_close(struct cluster *cl); /* without coordinators. NULL is fine */

/* recorder_ops.publish of the workers, whose journals hold the parts (chunks.h). */
MUST_USE bool cluster_publish(struct cluster *cl, struct recorded *parts, size_t n,
			      struct error *err);

/* dispatch_ops.online: between cluster_start() and cluster_leave(). */
void cluster_online(struct cluster *cl, const char *upstream, unsigned units);

size_t cluster_spans(struct cluster *cl); /* how many it has */

/* ---- what clients are shown: cluster_view.c ---- */

/* Lays what all nodes have finished over the row of a batch that is in progress, and what they do at the
 * moment. Waits for the database. False: it has no spans, or nobody can tell. */
bool cluster_view(struct cluster *cl, struct batch_view *v);
/* pipeline_scheduling(). */
MUST_USE bool cluster_scheduling(struct cluster *cl, const struct view_asked *asked, view_fn fn,
				 void *ctx, struct error *err);
/* history_read(), history_read_batch(), of all nodes together. Waits for the database; false: it does not
 * tell. */
bool cluster_history(struct cluster *cl, const char *org, enum rings_span span,
		     struct history_page *ret);
bool cluster_history_batch(struct cluster *cl, const char *batch, struct history_page *ret);
/* pipeline_pulses(): of all batches that have spans. Waits for the database. */
void cluster_pulses(struct cluster *cl, pulse_fn each, void *ctx);
