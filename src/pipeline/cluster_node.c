/* cluster_node.c: see cluster_node.h: the node comes, is told of what happens, and goes. */
#include "pipeline/cluster_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/sys.h"
#include "pipeline/cluster_impl.h"
#include "store/webhooks.h"

#define DRAIN_LOOK_MS 20
#define GIVE_BACK_MS 5000 /* for spans to go back, once nothing is in flight */

/* ---- what the node tells ---- */

static void driven_free(struct driven_upstream *first)
{
	for (struct driven_upstream *u = first, *next; u != NULL; u = next) {
		next = u->next;
		free(u);
	}
}

/* Drives and leaves nothing any more. */
static void driven_drop(struct cluster *cl)
{
	pthread_mutex_lock(&cl->driven_lock);
	for (const struct driven_upstream *u = cl->driven; u != NULL; u = u->next)
		dispatch_drives(cl->env->dispatch, u->name, false);
	driven_free(TAKE(cl->driven));
	driven_free(TAKE(cl->leaving));
	pthread_mutex_unlock(&cl->driven_lock);
}

static void on_lost(void *ctx)
{
	struct cluster *cl = ctx;

	cl->losses++; /* before: what a claim adds behind that is told of it by this alone */
	cluster_spans_lost(cl);
	driven_drop(cl);
}

static void on_taken(void *ctx, const char *upstream)
{
	struct cluster *cl = ctx;
	size_t n = strlen(upstream) + 1;
	struct driven_upstream *u = must_calloc(1, sizeof(*u) + n);

	memcpy(u->name, upstream, n);
	pthread_mutex_lock(&cl->driven_lock);
	u->next = cl->driven;
	cl->driven = u;
	if (!cl->draining) /* else it is left again, unsent to */
		dispatch_drives(cl->env->dispatch, upstream, true);
	pthread_mutex_unlock(&cl->driven_lock);
	cluster_look(cl);
}

static void on_leave(void *ctx, const char *upstream)
{
	struct cluster *cl = ctx;

	dispatch_drives(cl->env->dispatch, upstream, false);
	pthread_mutex_lock(&cl->driven_lock);
	struct driven_upstream **link = &cl->driven;
	while (*link != NULL && strcmp((*link)->name, upstream) != 0)
		link = &(*link)->next;
	struct driven_upstream *u = *link;
	if (u != NULL) {
		*link = u->next;
		u->next = cl->leaving;
		cl->leaving = u;
	}
	pthread_mutex_unlock(&cl->driven_lock);
	cluster_look(cl);
}

static void on_look(void *ctx, unsigned told)
{
	struct cluster *cl = ctx;

	cl->told |= told;
	if ((told & TOLD_BATCHES) != 0) {
		store_changed_elsewhere(cl->env->store);
		store_outbox_look(cl->env->store);
	}
	cluster_look(cl);
}

static void on_online(void *ctx, uint64_t node, const char *upstream, unsigned units)
{
	struct cluster *cl = ctx;

	dispatch_online_heard(cl->env->dispatch, node, upstream, units);
}

static void on_wanted(void *ctx, const char *model)
{
	cluster_wanted(ctx, model);
}

static const struct node_ops node_ops = { .lost = on_lost,
					  .taken = on_taken,
					  .leave = on_leave,
					  .look = on_look,
					  .online = on_online,
					  .wanted = on_wanted };

void cluster_online(struct cluster *cl, const char *upstream, unsigned units)
{
	node_online(cl->node, upstream, units);
}

bool cluster_publish(struct cluster *cl, struct recorded *parts, size_t n, struct error *err)
{
	return chunks_publish(&cl->chunks, parts, n, err);
}

/* ---- opening and closing ---- */

static int64_t on_deadline(void *ctx)
{
	const struct cluster *cl = ctx;

	return node_deadline_us(cl->node);
}

void cluster_upstreams(struct cluster *cl, const struct upstream_config *list, size_t n)
{
	AUTO(auto_free) const char **names = calloc(n + 1, sizeof(*names));

	if (names == NULL)
		return; /* those of before stay */
	for (size_t i = 0; i < n; i++)
		names[i] = list[i].name;
	node_upstreams(cl->node, names, n);
}

bool cluster_open(const struct cluster_config *config, struct coordinator_env *env,
		  struct batch_table *table, struct cluster **ret, struct error *err)
{
	struct cluster *cl = calloc(1, sizeof(*cl));

	if (cl == NULL)
		return fail_memory(err);
	*ret = cl;
	cl->env = env;
	cl->table = table;
	cl->config = config;
	cl->look.fn = cluster_look_work;
	cl->join.fn = cluster_join_work;
	cl->lead.fn = cluster_lead_work;
	pthread_mutex_init(&cl->driven_lock, NULL);
	pthread_mutex_init(&cl->wanted_lock, NULL);
	pthread_mutex_init(&cl->ended_lock, NULL);
	pthread_mutex_init(&cl->seen_lock, NULL);
	chunks_init(&cl->chunks, cl, env->blobs);
	dispatch_drives(env->dispatch, NULL, false);
	const struct node_config node = {
		.url = config->url,
		.data_dir = env->data_dir,
		.address = config->address,
		.version = config->version,
		.digest = config->digest,
		.ops = &node_ops,
		.ctx = cl,
		.drives = config->drives,
	};
	return cluster_dbs_open(cl, err) && node_open(&node, &cl->node, err) &&
	       cluster_clock_look(cl, err) && /* before anything ends by it */
	       reports_open(cl, config->url, &cl->reports, err);
}

void cluster_start(struct cluster *cl)
{
	dispatch_deadline(cl->env->dispatch, on_deadline, cl);
	cl->started = true;
	cluster_upstreams(cl, cl->env->config->upstreams, cl->env->config->upstream_count);
	cluster_look(cl);
}

static void on_idle_leave(void *ctx, struct coordinator *c)
{
	struct span_unsent left;

	(void)ctx;
	if (coordinator_span_number(c) == COORDINATOR_WHOLE)
		return;
	coordinator_span_unsent(c, &left);
	if (left.running == 0)
		coordinator_span_leave(c, SPAN_GOES_BACK);
}

/* Once it returns no line is sent any more; the upstreams are left later, when the others know that this
 * node drains. */
static void sending_stop(struct cluster *cl)
{
	struct dispatch *d = cl->env->dispatch;

	pthread_mutex_lock(&cl->driven_lock);
	for (const struct driven_upstream *u = cl->driven; u != NULL; u = u->next)
		dispatch_drives(d, u->name, false);
	pthread_mutex_unlock(&cl->driven_lock);
	(void)dispatch_idle_upstream(d, ""); /* a call, behind which that is done */
}

/* Those without lines in flight go back at once; what is in flight after `at_most_ms` is dropped. */
void cluster_drain(struct cluster *cl, uint64_t at_most_ms)
{
	uint64_t now_ms = sys.monotonic_ms(), until_ms = now_ms + at_most_ms;

	cl->draining = true;
	sending_stop(cl);
	node_drain(cl->node);
	for (; now_ms < until_ms + GIVE_BACK_MS && cluster_spans(cl) > 0;
	     now_ms = sys.monotonic_ms()) {
		if (now_ms < until_ms)
			batch_table_each(cl->table, on_idle_leave, NULL);
		else
			cluster_spans_leave(cl);
		cluster_check(cl);
		usleep(DRAIN_LOOK_MS * 1000);
	}
}

bool cluster_takes_clients(struct cluster *cl, char *why, size_t size)
{
	int64_t ahead_ms = cl->clock_ahead_ms;

	if (!node_is_well(cl->node, why, size))
		return false;
	if (cluster_clock_is_good(cl))
		return true;
	snprintf(why, size, "The clock of this node is %lld s %s the database's: set it.",
		 (long long)llabs(ahead_ms) / 1000, ahead_ms > 0 ? "ahead of" : "behind");
	return false;
}

void cluster_quiet(struct cluster *cl)
{
	if (cl != NULL)
		reports_stop(cl->reports);
}

void cluster_leave(struct cluster *cl)
{
	if (cl != NULL)
		node_close(TAKE(cl->node));
}

void cluster_close(struct cluster *cl)
{
	if (cl == NULL)
		return;
	reports_close(cl->reports);
	cluster_dbs_close(cl);
	driven_free(cl->driven);
	driven_free(cl->leaving);
	chunks_done(&cl->chunks);
	pthread_mutex_destroy(&cl->driven_lock);
	pthread_mutex_destroy(&cl->ended_lock);
	pthread_mutex_destroy(&cl->wanted_lock);
	pthread_mutex_destroy(&cl->seen_lock);
	free(cl->whole);
	free(cl->declined);
	free(cl);
}
