/* cluster_look.c: what a node does at each look, in one of the pipeline's workers: claims
 * (cluster_claims.c), lets go of upstreams, joins what is whole, and, where it leads, does what one node is
 * to do for all. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "pipeline/cluster_impl.h"
#include "pipeline/garbage_sweep.h"
#include "pipeline/span_join.h"

#define REST_EVERY_MS 3000
#define SWEEP_EVERY_MS 600000
#define UNKNOWN_EVERY_MS 3600000
#define JUDGE_AFTER_S 10 /* a batch that its own node has not judged by then */
#define BATCHES_AT_ONCE 64u

/* ---- upstreams that are left ---- */

/* The first that leaves and has nothing in flight; NULL: there is none. The caller's. */
static struct driven_upstream *left_take(struct cluster *cl)
{
	pthread_mutex_lock(&cl->driven_lock);
	struct driven_upstream **link = &cl->driven;
	while (*link != NULL &&
	       !((*link)->leaves && dispatch_idle_upstream(cl->env->dispatch, (*link)->name)))
		link = &(*link)->next;
	struct driven_upstream *u = *link;
	if (u != NULL)
		*link = u->next;
	pthread_mutex_unlock(&cl->driven_lock);
	return u;
}

static void leaving_look(struct cluster *cl)
{
	struct driven_upstream *u;

	while ((u = left_take(cl)) != NULL) {
		node_released(cl->node, u->name);
		free(u);
	}
}

/* ---- what one node does for all; two that think they lead do no harm ---- */

static bool ended_take(struct cluster *cl, char id[static ID_SIZE])
{
	pthread_mutex_lock(&cl->ended_lock);
	bool any = cl->ended_n > 0;
	if (any)
		memcpy(id, cl->ended[--cl->ended_n], ID_SIZE);
	pthread_mutex_unlock(&cl->ended_lock);
	return any;
}

/* Whose last span was finished here. One that fails is found by the node that leads. */
static bool ended_join(struct cluster *cl, struct error *err)
{
	char id[ID_SIZE];

	while (ended_take(cl, id))
		if (!span_join(cl, cl->env, id, err))
			return false;
	return true;
}

static bool was_whole(const struct cluster *cl, const char *id)
{
	for (size_t i = 0; i < cl->whole_n; i++)
		if (strcmp(cl->whole[i], id) == 0)
			return true;
	return false;
}

/* What another node left: it would be joined by now. */
static bool wholes_join(struct cluster *cl, struct error *err)
{
	char(*ids)[ID_SIZE] = NULL;
	size_t n;

	struct db *db = cluster_db_borrow(cl);
	bool ok = store_spans_whole(db, BATCHES_AT_ONCE, &ids, &n, err);
	cluster_db_return(cl, db);
	if (!ok)
		return false;
	for (size_t i = 0; ok && i < n; i++)
		ok = !was_whole(cl, ids[i]) || span_join(cl, cl->env, ids[i], err);
	free(cl->whole);
	cl->whole = ids;
	cl->whole_n = n;
	return ok;
}

static bool left_judge(struct cluster *cl, struct error *err)
{
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	struct coordinator *c;
	size_t n;

	if (!store_batches_validating(cl->env->store, sys.now_s() - JUDGE_AFTER_S, BATCHES_AT_ONCE,
				      &ids, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!coordinator_new(cl->env, ids[i], &c, err))
			return false;
		if (batch_table_add(cl->table, c))
			coordinator_kick(c);
		else
			coordinator_free(c);
	}
	return true;
}

static void on_window(void *ctx, struct coordinator *c)
{
	if (coordinator_span_number(c) != COORDINATOR_WHOLE)
		coordinator_check_window(c, *(const int64_t *)ctx);
}

/* Of what it has, by the database's clock: its own would end them at another time, for good. */
static void windows_end(struct cluster *cl)
{
	int64_t theirs_s = sys.now_s() - cl->clock_ahead_ms / 1000;

	batch_table_each(cl->table, on_window, &theirs_s);
}

static bool clock_look(struct cluster *cl, struct error *err)
{
	int64_t ahead_ms;
	bool was_good = cluster_clock_is_good(cl);
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_node_clock(db, sys.now_s() * 1000 + 500, &ahead_ms, err);

	cluster_db_return(cl, db);
	if (!ok)
		return false;
	cl->clock_ahead_ms = ahead_ms;
	if (was_good && !cluster_clock_is_good(cl))
		log_warn("clock.off", kv_int("ahead_ms", ahead_ms),
			 kv_str("hint",
				"it is not the database's: this node ends windows by that one, and "
				"is not ready for clients, until its own is set"));
	else if (!was_good && cluster_clock_is_good(cl))
		log_info("clock.good");
	if (!cluster_clock_is_good(cl))
		windows_end(cl);
	return true;
}

static bool sweeps_run(struct cluster *cl, uint64_t now_ms, struct error *err)
{
	if (now_ms >= cl->blobs_swept_ms + UNKNOWN_EVERY_MS) {
		cl->blobs_swept_ms = now_ms;
		cl->env->sweep(cl->env->ctx);
	}
	if (now_ms < cl->swept_ms + SWEEP_EVERY_MS)
		return true;
	cl->swept_ms = now_ms;
	return garbage_sweep(cl, cl->env->blobs, err);
}

static bool rest_look(struct cluster *cl, struct error *err)
{
	uint64_t now_ms = sys.monotonic_ms();
	bool leads = node_is_leader(cl->node);

	if (leads != cl->leads)
		cl->config->leads(cl->config->ctx, leads);
	cl->leads = leads;
	if (now_ms < cl->rest_ms + REST_EVERY_MS)
		return true;
	cl->rest_ms = now_ms;
	return clock_look(cl, err) && (!leads || (wholes_join(cl, err) && left_judge(cl, err) &&
						  sweeps_run(cl, now_ms, err)));
}

/* ---- the look ---- */

static void on_row(void *ctx, struct coordinator *c)
{
	(void)ctx;
	coordinator_span_look(c);
}

static void look(struct cluster *cl)
{
	struct error err;
	uint64_t others;
	unsigned told = atomic_exchange(&cl->told, 0);
	if ((told & TOLD_BATCHES) != 0)
		batch_table_each(cl->table, on_row, NULL);
	leaving_look(cl);
	bool ok = cluster_claims_look(cl, &err);
	ok = ok && ended_join(cl, &err) && rest_look(cl, &err);
	if (!ok && log_storm_pass(&cl->failed, sys.monotonic_ms(), &others))
		log_fault("cluster.look_failed", &err, kv_u64("others_before", others));
}

/* Two at a time would be lent one span twice: what the first has claimed, and not yet begun, is in the
 * node's name and not held. */
void cluster_look_work(void *arg)
{
	struct cluster *cl = arg;
	unsigned asked = cl->looks;

	look(cl);
	if (atomic_fetch_sub(&cl->looks, asked) != asked && !cl->env->closing)
		workers_post(cl->env->workers, &cl->look_work, cl->look_fn, cl);
}
