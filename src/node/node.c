#include "node/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/worker.h"
#include "node/drives.h"
#include "node/lease.h"
#include "node/look.h"
#include "node/online.h"
#include "node/start_file.h"
#include "node/state.h"
#include "store/nodes.h"

#define ENTER_TIMES 3 /* that it is asked, where its outcome is not known */

/* ---- opening ---- */

static void node_free(struct node *n)
{
	node_db_close(n->renewing);
	node_db_close(n->looking);
	if (n->wake_fd >= 0)
		close(n->wake_fd);
	pthread_cond_destroy(&n->renew_wake);
	pthread_mutex_destroy(&n->lock);
	objects_done(&n->objects);
	drives_done(n);
	online_free(n);
	free(n->named);
	free(n->seen);
	free(n->upstreams);
	free(n->url);
	free(n->data_dir);
	free(n);
}

static struct node *node_make(const struct node_config *c, struct error *err)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n == NULL) {
		(void)fail_memory(err);
		return NULL;
	}
	n->ops = c->ops;
	n->ctx = c->ctx;
	n->drives_any = c->drives;
	n->told = TOLD_NODES | TOLD_UPSTREAMS | TOLD_SPANS | TOLD_BATCHES;
	snprintf(n->address, sizeof(n->address), "%s", c->address);
	snprintf(n->version, sizeof(n->version), "%s", c->version);
	snprintf(n->config, sizeof(n->config), "%s%s", c->drives ? "" : NODE_API_MARK, c->digest);
	pthread_mutex_init(&n->lock, NULL);
	clock_cond_init(&n->renew_wake);
	n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->url = strdup(c->url);
	n->data_dir = strdup(c->data_dir);
	if (n->wake_fd >= 0 && n->url != NULL && n->data_dir != NULL)
		return n;
	(void)(n->wake_fd < 0 ? fail_sys(err, errno, "eventfd") : fail_memory(err));
	node_free(n);
	return NULL;
}

static bool enter_ask(struct node *n, uint64_t before, struct error *err)
{
	struct node_about about = { n->address, n->version, n->config };

	for (int i = 0; i < ENTER_TIMES; i++) {
		if (store_node_enter(n->looking, n->me.node, &about, before, &n->me.epoch, err))
			return true;
		if (err->kind != ERR_UNAVAILABLE)
			return false;
	}
	return false;
}

/* crash: before it has entered, DATA/node names the start before, or nobody; behind that, a start
 * that is not named, whose lease runs out. */
static bool enter(struct node *n, struct error *err)
{
	uint64_t before;
	bool left;
	struct error unheard;

	n->me.node = node_draw();
	if (!start_file_read(n->data_dir, &before, err) || !enter_ask(n, before, err))
		return false;
	if (start_file_write(n->data_dir, n->me.node, err))
		return true;
	(void)!store_node_leave(n->looking, n->me, &left, &unheard); /* or its lease runs out */
	return false;
}

static bool threads_start(struct node *n, struct error *err)
{
	n->renews_started = thread_start(&n->renews, "node-lease", lease_main, n, err);
	n->looks_started = n->renews_started && thread_start(&n->looks, "node", look_main, n, err);
	return n->looks_started;
}

static void threads_end(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	n->is_closing = true;
	pthread_cond_signal(&n->renew_wake);
	pthread_mutex_unlock(&n->lock);
	node_wake(n);
	if (n->renews_started)
		pthread_join(n->renews, NULL);
	if (n->looks_started)
		pthread_join(n->looks, NULL);
}

bool node_open(const struct node_config *c, struct node **ret, struct error *err)
{
	struct node *n = node_make(c, err);

	if (n == NULL)
		return false;
	if (!node_db_open(n->url, &n->renewing, err) || !node_db_open(n->url, &n->looking, err) ||
	    !node_db_listen(n->looking, err) || !enter(n, err)) {
		node_free(n);
		return false;
	}
	if (!threads_start(n, err)) {
		node_close(n);
		return false;
	}
	log_info("node.enters", kv_u64("node", n->me.node), kv_u64("epoch", n->me.epoch));
	*ret = n;
	return true;
}

void node_abandon(struct node *n)
{
	threads_end(n);
	node_free(n);
}

void node_close(struct node *n)
{
	bool left;
	struct error err;

	if (n == NULL)
		return;
	threads_end(n);
	if (store_node_leave(n->looking, n->me, &left, &err))
		log_info("node.leaves", kv_u64("node", n->me.node));
	else
		log_write_error(LOG_WARN, "node.leaves_without_a_word", &err, LOG_FIELDS());
	node_free(n);
}

/* ---- the lease ---- */

static bool has_lease(struct node *n)
{
	return lease_may_send(node_deadline_us(n), node_mono_us());
}

bool node_is_well(struct node *n, char *why, size_t size)
{
	if (has_lease(n))
		return true;
	pthread_mutex_lock(&n->lock);
	snprintf(why, size, "This node has no lease%s.%s%s", n->had_lease ? " any more" : " yet",
		 n->faults != 0 ? " " : "", n->faults != 0 ? n->why : "");
	pthread_mutex_unlock(&n->lock);
	return false;
}

bool node_is_leader(struct node *n)
{
	uint64_t least = UINT64_MAX;

	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->n_seen; i++)
		if (n->seen[i].lease_left_us > 0 && n->seen[i].id < least)
			least = n->seen[i].id;
	bool is_least = least == n->me.node;
	pthread_mutex_unlock(&n->lock);
	return is_least && has_lease(n);
}

/* ---- upstreams ---- */

void node_upstreams(struct node *n, const char *const *names, size_t count)
{
	char(*named)[UPSTREAM_NAME_SIZE] = must_calloc(count + 1, UPSTREAM_NAME_SIZE);

	for (size_t i = 0; i < count; i++)
		snprintf(named[i], UPSTREAM_NAME_SIZE, "%s", names[i]);
	pthread_mutex_lock(&n->lock);
	free(n->named);
	n->named = named;
	n->n_named = count;
	n->has_named = true;
	pthread_mutex_unlock(&n->lock);
	node_look_soon(n);
}

void node_released(struct node *n, const char *upstream)
{
	pthread_mutex_lock(&n->lock);
	for (struct drive *d = n->drives; d != NULL; d = d->next)
		if (strcmp(d->name, upstream) == 0)
			d->is_released = d->is_held && d->is_leaving;
	pthread_mutex_unlock(&n->lock);
	node_wake(n);
}

void node_drain(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	n->is_draining = true;
	node_renew_soon(n);
	pthread_mutex_unlock(&n->lock);
	node_look_soon(n);
}

/* ---- objects ---- */

uint64_t node_object_take(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	uint64_t number = objects_take(&n->objects);
	pthread_mutex_unlock(&n->lock);
	return number;
}

void node_object_decided(struct node *n, uint64_t number)
{
	pthread_mutex_lock(&n->lock);
	objects_decided(&n->objects, number);
	pthread_mutex_unlock(&n->lock);
}

/* ---- what the last look saw ---- */

/* With the lock held. */
static void *copy(const void *from, size_t n, size_t size, size_t *ret_n)
{
	void *to = calloc(n + 1, size);

	if (to != NULL && n > 0)
		memcpy(to, from, n * size);
	*ret_n = to != NULL ? n : 0;
	return to;
}

struct node_seen *node_list(struct node *n, size_t *ret_n)
{
	pthread_mutex_lock(&n->lock);
	struct node_seen *seen = copy(n->seen, n->n_seen, sizeof(*seen), ret_n);
	pthread_mutex_unlock(&n->lock);
	return seen;
}

struct upstream_seen *node_upstream_list(struct node *n, size_t *ret_n)
{
	pthread_mutex_lock(&n->lock);
	struct upstream_seen *seen = copy(n->upstreams, n->n_upstreams, sizeof(*seen), ret_n);
	pthread_mutex_unlock(&n->lock);
	return seen;
}
