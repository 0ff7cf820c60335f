/* cluster_look.c: what a node does at each look, in one of the pipeline's workers: it lets go of upstreams, claims
 * (cluster_claims.c), sees to its clock, and, where it leads, has that done. What takes long is in tasks of its
 * own, and never keeps a look waiting. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "base/sys.h"
#include "pipeline/cluster_impl.h"

#define REST_EVERY_MS 3000

/* ---- upstreams that are left ---- */

static struct driven_upstream *leaving_take(struct cluster *cl)
{
	pthread_mutex_lock(&cl->driven_lock);
	struct driven_upstream *first = TAKE(cl->leaving);
	pthread_mutex_unlock(&cl->driven_lock);
	return first;
}

static void leaving_put(struct cluster *cl, struct driven_upstream *u)
{
	pthread_mutex_lock(&cl->driven_lock);
	u->next = cl->leaving;
	cl->leaving = u;
	pthread_mutex_unlock(&cl->driven_lock);
}

static void leaving_look(struct cluster *cl)
{
	for (struct driven_upstream *u = leaving_take(cl), *next; u != NULL; u = next) {
		next = u->next;
		if (!dispatch_idle_upstream(cl->env->dispatch, u->name)) {
			leaving_put(cl, u);
			continue;
		}
		node_released(cl->node, u->name);
		free(u);
	}
}

/* ---- its clock ---- */

static void on_window(void *ctx, struct coordinator *c)
{
	if (coordinator_span_number(c) != COORDINATOR_WHOLE)
		coordinator_check_window(c, *(const int64_t *)ctx);
}

/* Of what it has, by the database's clock: its own would end them at another time, for good. */
static void windows_end(struct cluster *cl)
{
	int64_t theirs_s = cluster_now_s(cl);

	batch_table_each(cl->table, on_window, &theirs_s);
}

bool cluster_clock_look(struct cluster *cl, struct error *err)
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

/* ---- now and then ---- */

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
	if (leads)
		cluster_ask(cl, &cl->lead);
	return cluster_clock_look(cl, err);
}

/* ---- what changed of its batches ---- */

/* Those of which it has spans, each once. */
struct states {
	char (*ids)[ID_SIZE];
	struct batch_state *of;
	size_t n;
	bool failed;
};

static void states_done(struct states *s)
{
	free(s->ids);
	free(s->of);
}

static size_t states_find(const struct states *s, const char *id)
{
	size_t i = 0;

	while (i < s->n && strcmp(s->ids[i], id) != 0)
		i++;
	return i;
}

static void on_id(void *ctx, struct coordinator *c)
{
	struct states *s = ctx;

	if (coordinator_span_number(c) == COORDINATOR_WHOLE ||
	    states_find(s, coordinator_id(c)) < s->n)
		return;
	char(*more)[ID_SIZE] = array_room(s->ids, s->n, ID_SIZE);
	s->failed = s->failed || more == NULL;
	if (more == NULL)
		return;
	s->ids = more;
	memcpy(more[s->n++], coordinator_id(c), ID_SIZE);
}

static void on_state(void *ctx, struct coordinator *c)
{
	const struct states *s = ctx;
	size_t i = states_find(s, coordinator_id(c));

	if (i < s->n)
		coordinator_span_look(c, &s->of[i]);
}

/* A batch that came in between is of the row that its spans read when they open. */
static bool states_look(struct cluster *cl, struct error *err)
{
	AUTO(states_done) struct states s = { 0 };

	batch_table_each(cl->table, on_id, &s);
	s.of = calloc(s.n + 1, sizeof(*s.of));
	if (s.failed || s.of == NULL)
		return fail_memory(err);
	if (s.n == 0)
		return true;
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_batches_states(db, (const char(*)[ID_SIZE])s.ids, s.n, s.of, err);
	cluster_db_return(cl, db);
	if (ok)
		batch_table_each(cl->table, on_state, &s);
	return ok;
}

/* ---- the look ---- */

static void look(struct cluster *cl)
{
	struct error err;
	uint64_t others;
	unsigned told = atomic_exchange(&cl->told, 0);
	bool ok = (told & TOLD_BATCHES) == 0 || states_look(cl, &err);

	if (!ok)
		cl->told |= TOLD_BATCHES; /* at the next */
	leaving_look(cl);
	ok = rest_look(cl, &err) && ok;
	ok = cluster_claims_look(cl, &err) && ok;
	if (!ok && log_storm_pass(&cl->failed, sys.monotonic_ms(), &others))
		log_fault("cluster.look_failed", &err, kv_u64("others_before", others));
}

/* Two at a time would be lent one span twice: what the first has claimed, and not yet begun, is in the
 * node's name and not held. */
void cluster_look_work(void *arg)
{
	struct cluster *cl = arg;
	unsigned asked = cl->look.asked;

	look(cl);
	cluster_task_end(cl, &cl->look, asked);
}
