/* cluster_lead.c: what one node does for all: it joins batches that others left whole, judges those that they left
 * unjudged, and sweeps. Two that think they lead do no harm. Each duty, and each batch, is tried whatever became
 * of the one before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "pipeline/cluster_impl.h"
#include "pipeline/garbage_sweep.h"
#include "pipeline/span_join.h"

#define SWEEP_EVERY_MS 600000
#define UNKNOWN_EVERY_MS 3600000
#define JUDGE_AFTER_S 10    /* a batch that its own node has not judged by then */
#define JOIN_AFTER_MS 10000 /* nor joined: a large one takes a while */
#define LOST_TRIES 5u       /* to find a part, until it is taken for lost */
#define BATCHES_AT_ONCE 64u

static void failed(struct cluster *cl, const char *what, const char *batch, const struct error *err)
{
	uint64_t others;

	if (log_storm_pass(&cl->lead_failed, sys.monotonic_ms(), &others))
		log_fault("cluster.lead_failed", err, kv_str("at", what), kv_str("batch", batch),
			  kv_u64("others_before", others));
}

/* ---- batches that are whole ---- */

static void one_join(struct cluster *cl, struct whole_batch *b)
{
	bool lost = b->tries >= LOST_TRIES;
	struct error err;

	if (sys.monotonic_ms() < b->since_ms + JOIN_AFTER_MS ||
	    span_join(cl, cl->env, b->id, lost ? JOIN_WHAT_IS_THERE : JOIN_ALL, &err))
		return;
	if (err.kind == ERR_NOT_FOUND || err.sys == ENOENT || err.sys == EBADMSG)
		b->tries++;
	failed(cl, "join", b->id, &err);
}

static struct whole_batch *whole_find(const struct cluster *cl, const char *id)
{
	for (size_t i = 0; i < cl->whole_n; i++)
		if (strcmp(cl->whole[i].id, id) == 0)
			return &cl->whole[i];
	return NULL;
}

/* Those of before, as far as they still are. */
static bool wholes_keep(struct cluster *cl, const char (*ids)[ID_SIZE], size_t n, struct error *err)
{
	struct whole_batch *now = calloc(n + 1, sizeof(*now));

	if (now == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < n; i++) {
		const struct whole_batch *before = whole_find(cl, ids[i]);
		if (before != NULL)
			now[i] = *before;
		else
			now[i].since_ms = sys.monotonic_ms();
		memcpy(now[i].id, ids[i], ID_SIZE);
	}
	free(cl->whole);
	cl->whole = now;
	cl->whole_n = n;
	return true;
}

static void wholes_join(struct cluster *cl)
{
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	struct error err;
	size_t n;

	struct db *db = cluster_db_borrow(cl);
	bool ok = store_spans_whole(db, BATCHES_AT_ONCE, &ids, &n, &err);
	cluster_db_return(cl, db);
	if (!ok || !wholes_keep(cl, (const char(*)[ID_SIZE])ids, n, &err)) {
		failed(cl, "join", "", &err);
		return;
	}
	for (size_t i = 0; i < cl->whole_n && !cluster_is_closing(cl); i++)
		one_join(cl, &cl->whole[i]);
}

/* ---- batches that are not judged ---- */

static void one_judge(struct cluster *cl, const char *id)
{
	struct coordinator *c;
	struct error err;

	if (!coordinator_new(cl->env, id, &c, &err))
		failed(cl, "judge", id, &err);
	else if (batch_table_add(cl->table, c))
		coordinator_kick(c);
	else
		coordinator_free(c);
}

static void left_judge(struct cluster *cl)
{
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	struct error err;
	size_t n = 0;

	if (!store_batches_validating(cl->env->store, cluster_now_s(cl) - JUDGE_AFTER_S,
				      BATCHES_AT_ONCE, &ids, &n, &err))
		failed(cl, "judge", "", &err);
	for (size_t i = 0; i < n; i++)
		one_judge(cl, ids[i]);
}

/* ---- sweeps ---- */

static void sweeps_run(struct cluster *cl)
{
	uint64_t now_ms = sys.monotonic_ms();
	struct error err;

	if (now_ms >= cl->blobs_swept_ms + UNKNOWN_EVERY_MS) {
		cl->blobs_swept_ms = now_ms;
		cl->env->sweep(cl->env->ctx);
	}
	if (now_ms < cl->swept_ms + SWEEP_EVERY_MS)
		return;
	cl->swept_ms = now_ms;
	if (!garbage_sweep(cl, cl->env->blobs, &err))
		failed(cl, "sweep", "", &err);
}

void cluster_lead_work(void *arg)
{
	struct cluster *cl = arg;
	unsigned asked = cl->lead.asked;

	wholes_join(cl);
	left_judge(cl);
	sweeps_run(cl);
	cluster_task_end(cl, &cl->lead, asked);
}
