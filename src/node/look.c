#include "node/look.h"

#include <poll.h>
#include <stdlib.h>

#include "base/log.h"
#include "node/drives.h"
#include "node/online.h"
#include "node/start_file.h"
#include "node/state.h"
#include "store/node_db.h"
#include "store/nodes.h"
#include "store/upstream_leases.h"

/* ---- it was buried ---- */

static bool is_buried(struct node *n, uint64_t *ret_epoch)
{
	pthread_mutex_lock(&n->lock);
	bool buried = n->is_buried;
	*ret_epoch = n->epoch_next;
	pthread_mutex_unlock(&n->lock);
	return buried;
}

/* Its row is gone: an older database was put in the place of this one. Under its number there may
 * be objects in the bucket, so it takes another.
 *
 * crash: DATA/node names a start whose lease is over some time. */
static bool enter_anew(struct node *n, struct error *err)
{
	struct node_about about = { n->address, n->version, n->config };

	if (n->next.node == NOBODY)
		n->next.node = node_draw();
	return store_node_enter(n->looking, n->next.node, &about, NOBODY, &n->next.epoch, err) &&
	       start_file_write(n->data_dir, n->next.node, err);
}

static void go_on_as(struct node *n, struct owner next)
{
	pthread_mutex_lock(&n->lock);
	n->me = next;
	n->is_buried = false;
	node_renew_soon(n);
	pthread_mutex_unlock(&n->lock);
	n->was_told = false;
	n->next = (struct owner){ 0 };
	n->look_due_us = 0;
}

/* Tells it, once; true: the node is in an epoch of which it has not heard that it is over. */
static bool goes_on(struct node *n, struct error *err)
{
	uint64_t epoch;

	if (!is_buried(n, &epoch))
		return true;
	if (!n->was_told) {
		log_warn("node.buried", kv_u64("node", n->me.node), kv_u64("epoch", n->me.epoch),
			 kv_str("why", "its lease was over; what it had is lost to it"));
		n->ops->lost(n->ctx);
		drives_drop(n);
		n->was_told = true;
	}
	if (epoch == 0 && !enter_anew(n, err))
		return false;
	go_on_as(n, epoch == 0 ? n->next : (struct owner){ n->me.node, epoch });
	return true;
}

/* ---- a look ---- */

static bool lists_read(struct node *n, struct error *err)
{
	AUTO(auto_free) struct node_seen *seen = NULL;
	AUTO(auto_free) struct upstream_seen *upstreams = NULL;
	size_t n_seen, n_upstreams;

	if (!store_node_list(n->looking, &seen, &n_seen, err) ||
	    !store_upstream_list(n->looking, &upstreams, &n_upstreams, err))
		return false;
	pthread_mutex_lock(&n->lock);
	struct node_seen *seen_before = n->seen;
	struct upstream_seen *upstreams_before = n->upstreams;
	n->seen = seen;
	n->n_seen = n_seen;
	n->upstreams = upstreams;
	n->n_upstreams = n_upstreams;
	pthread_mutex_unlock(&n->lock);
	seen = seen_before;
	upstreams = upstreams_before;
	return true;
}

static bool is_any_over(const struct node *n)
{
	for (size_t i = 0; i < n->n_seen; i++)
		if (n->seen[i].lease_left_us < 0 && n->seen[i].id != n->me.node)
			return true;
	return false;
}

/* A burial waits for what the buried has under way. Where that is stuck, all else goes on. */
static uint64_t bury(struct node *n)
{
	uint64_t buried = 0;
	struct error err;

	bool well = !is_any_over(n) || store_node_bury(n->looking, n->me, &buried, &err);
	node_note(n, FAULT_BURY, well ? NULL : &err);
	if (!well)
		return 0;
	if (buried > 0)
		log_warn("node.buries", kv_u64("nodes", buried));
	return buried;
}

static bool lists_look(struct node *n, struct error *err)
{
	return lists_read(n, err) && (bury(n) == 0 || lists_read(n, err)) && drives_turn(n, err);
}

/* Whether the lists are to be read: what spans and batches tell is the host's. */
static bool is_due(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	bool now = n->look_now;
	n->look_now = false;
	pthread_mutex_unlock(&n->lock);
	return now || node_mono_us() >= n->look_due_us ||
	       (n->told & (TOLD_NODES | TOLD_UPSTREAMS)) != 0;
}

static bool look(struct node *n, struct error *err)
{
	int64_t now_us = node_mono_us();
	unsigned told = n->told;

	if (!goes_on(n, err))
		return false;
	drives_configure(n);
	bool lists = is_due(n);
	if (lists ? !lists_look(n, err) : !drives_release(n, err))
		return false;
	if (lists)
		n->look_due_us = now_us + LOOK_US;
	n->told = 0;
	if (lists || told != 0)
		n->ops->look(n->ctx, told);
	return true;
}

/* ---- the thread ---- */

static void wake_drain(const struct node *n)
{
	uint64_t woken;

	/* It fails only where nobody woke it. */
	(void)!read(n->wake_fd, &woken, sizeof(woken));
}

/* Without the database. */
static void wait_again(const struct node *n)
{
	struct pollfd fd = { n->wake_fd, POLLIN, 0 };

	(void)poll(&fd, 1, (int)node_wait_ms(node_mono_us() + LEASE_RENEW_AGAIN_US));
}

static bool wait_told(struct node *n, struct error *err)
{
	struct node_news news;
	int64_t online_us = online_due_us(n);
	int64_t due_us = online_us < n->look_due_us ? online_us : n->look_due_us;

	if (!node_db_wait(n->looking, n->wake_fd, node_wait_ms(due_us), &news, err))
		return false;
	n->told |= news.told;
	for (size_t i = 0; i < news.online_n; i++)
		online_heard(n, &news.online[i]);
	for (size_t i = 0; i < news.wanted_n; i++)
		if (news.wanted[i].node != n->me.node)
			n->ops->wanted(n->ctx, news.wanted[i].model);
	return true;
}

void *look_main(void *arg)
{
	struct node *n = arg;
	struct error err;

	while (!node_is_closing(n)) {
		wake_drain(n);
		if (look(n, &err) && online_tell(n, &err) && wait_told(n, &err)) {
			node_note(n, FAULT_LOOK, NULL);
			continue;
		}
		n->look_due_us = 0;
		node_note(n, FAULT_LOOK, &err);
		wait_again(n);
	}
	return NULL;
}
