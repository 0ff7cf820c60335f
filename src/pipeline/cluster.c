/* cluster.c: see cluster.h. */
#include "pipeline/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "pipeline/cluster_impl.h"
#include "pipeline/span_cut.h"

/* ---- connections ---- */

static void pool_init(struct db_pool *pool)
{
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->idle, NULL);
}

static bool pool_fill(struct db_pool *pool, unsigned n, const char *url, struct error *err)
{
	for (; pool->n < n; pool->n++)
		if (!node_db_open(url, &pool->dbs[pool->n], err))
			return false;
	return true;
}

static void pool_close(struct db_pool *pool)
{
	while (pool->n > 0)
		node_db_close(pool->dbs[--pool->n]);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->idle);
}

static struct db *pool_borrow(struct db_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->n == 0)
		pthread_cond_wait(&pool->idle, &pool->lock);
	struct db *db = pool->dbs[--pool->n];
	pthread_mutex_unlock(&pool->lock);
	return db;
}

static void pool_return(struct db_pool *pool, struct db *db)
{
	pthread_mutex_lock(&pool->lock);
	pool->dbs[pool->n++] = db;
	pthread_mutex_unlock(&pool->lock);
	pthread_cond_signal(&pool->idle);
}

struct db *cluster_db_borrow(struct cluster *cl)
{
	return pool_borrow(&cl->works);
}

void cluster_db_return(struct cluster *cl, struct db *db)
{
	pool_return(&cl->works, db);
}

struct db *cluster_view_db_borrow(struct cluster *cl)
{
	return pool_borrow(&cl->views);
}

void cluster_view_db_return(struct cluster *cl, struct db *db)
{
	pool_return(&cl->views, db);
}

struct db *cluster_recorder_db(struct cluster *cl)
{
	return cl->recorder_db;
}

bool cluster_dbs_open(struct cluster *cl, struct error *err)
{
	const char *url = cl->config->url;

	pool_init(&cl->works);
	pool_init(&cl->views);
	return pool_fill(&cl->works, DBS_OF_WORKS, url, err) &&
	       pool_fill(&cl->views, DBS_OF_VIEWS, url, err) &&
	       node_db_open(url, &cl->recorder_db, err);
}

void cluster_dbs_close(struct cluster *cl)
{
	node_db_close(cl->recorder_db);
	pool_close(&cl->views);
	pool_close(&cl->works);
}

/* ---- tasks ---- */

void cluster_ask(struct cluster *cl, struct cluster_task *t)
{
	if (cl->started && !cl->env->closing && atomic_fetch_add(&t->asked, 1) == 0)
		workers_post(cl->env->workers, &t->work, t->fn, cl);
}

void cluster_task_end(struct cluster *cl, struct cluster_task *t, unsigned asked)
{
	if (atomic_fetch_sub(&t->asked, asked) != asked && !cl->env->closing)
		workers_post(cl->env->workers, &t->work, t->fn, cl);
}

void cluster_look(struct cluster *cl)
{
	cl->claims_anew = true;
	cluster_check(cl);
}

void cluster_check(struct cluster *cl)
{
	cluster_ask(cl, &cl->look);
}

bool cluster_is_closing(const struct cluster *cl)
{
	return cl->env->closing;
}

/* ---- calls of span coordinators ---- */

bool cluster_cut(struct cluster *cl, const struct batch *b, const struct span_input *input,
		 struct error *err)
{
	AUTO(auto_free) struct span_plan *plan = NULL;
	size_t n, made;

	if (!span_cut(&b->options, input, &plan, &n, err))
		return false;
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_spans_create(db, b->id, plan, n, &made, err);
	cluster_db_return(cl, db);
	return ok;
}

/* Without room the node that leads finds it. */
static void ended_add(struct cluster *cl, const char *batch)
{
	pthread_mutex_lock(&cl->ended_lock);
	if (cl->ended_n < CLUSTER_ENDED)
		memcpy(cl->ended[cl->ended_n++], batch, ID_SIZE);
	pthread_mutex_unlock(&cl->ended_lock);
	cluster_ask(cl, &cl->join);
}

bool cluster_ended_take(struct cluster *cl, char id[static ID_SIZE])
{
	pthread_mutex_lock(&cl->ended_lock);
	bool any = cl->ended_n > 0;
	if (any)
		memcpy(id, cl->ended[--cl->ended_n], ID_SIZE);
	pthread_mutex_unlock(&cl->ended_lock);
	return any;
}

bool cluster_finish(struct cluster *cl, struct owner me, const struct span_lent *span,
		    const struct span_end *end, bool *ret_finished, struct error *err)
{
	bool last;
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_span_finish(db, me, &span->id, span->epoch, end, ret_finished, &last, err);

	cluster_db_return(cl, db);
	if (!ok)
		return false;
	if (!*ret_finished)
		node_refused(cl->node);
	if (last)
		ended_add(cl, span->id.batch);
	cluster_look(cl);
	return true;
}

bool cluster_give_back(struct cluster *cl, struct owner me, const struct span_lent *span,
		       struct error *err)
{
	bool given;
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_span_give_back(db, me, &span->id, span->epoch, &given, err);

	cluster_db_return(cl, db);
	return ok;
}

bool cluster_pieces(struct cluster *cl, const struct span_id *span, struct span_piece **ret,
		    size_t *ret_n, struct error *err)
{
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_pieces_list(db, span, ret, ret_n, err);

	cluster_db_return(cl, db);
	return ok;
}

void cluster_part_id(struct owner owner, uint64_t number, char ret[static ID_SIZE])
{
	snprintf(ret, ID_SIZE, "part-%016" PRIx64 "-%" PRIu64 "-%" PRIu64, owner.node, owner.epoch,
		 number);
}

struct node *cluster_node(struct cluster *cl)
{
	return cl->node;
}

bool cluster_clock_is_good(const struct cluster *cl)
{
	int64_t ahead_ms = cl->clock_ahead_ms;

	return llabs(ahead_ms) < CLOCK_OFF_MS;
}

int64_t cluster_now_s(const struct cluster *cl)
{
	return sys.now_s() - cl->clock_ahead_ms / 1000;
}
