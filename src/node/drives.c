#include "node/drives.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "node/state.h"
#include "store/upstream_leases.h"

/* ---- the list ---- */

static struct drive *drive_of(struct node *n, const char *name)
{
	struct drive **at = &n->drives;
	int order = -1;

	while (*at != NULL && (order = strcmp((*at)->name, name)) < 0)
		at = &(*at)->next;
	if (*at != NULL && order == 0)
		return *at;
	struct drive *d = must_calloc(1, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->free_since_us = LEASE_NONE;
	d->next = *at;
	*at = d;
	return d;
}

void drives_configure(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	if (n->has_named) {
		for (struct drive *d = n->drives; d != NULL; d = d->next)
			d->is_configured = false;
		for (size_t i = 0; i < n->n_named; i++)
			drive_of(n, n->named[i])->is_configured = true;
		free(TAKE(n->named));
		n->has_named = false;
	}
	pthread_mutex_unlock(&n->lock);
}

void drives_drop(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	for (struct drive *d = n->drives; d != NULL; d = d->next) {
		d->is_held = d->is_leaving = d->is_released = d->is_moved = false;
		d->free_since_us = LEASE_NONE;
	}
	pthread_mutex_unlock(&n->lock);
}

void drives_done(struct node *n)
{
	while (n->drives != NULL) {
		struct drive *d = n->drives;
		n->drives = d->next;
		free(d);
	}
}

/* node_released() looks at it in any thread. */
static void drive_held(struct node *n, struct drive *d, bool is_held)
{
	pthread_mutex_lock(&n->lock);
	d->is_held = is_held;
	d->is_leaving = d->is_released = false;
	d->free_since_us = LEASE_NONE; /* how long it was free before says nothing any more */
	pthread_mutex_unlock(&n->lock);
}

/* ---- leaving ---- */

static void leave(struct node *n, struct drive *d, const char *why)
{
	pthread_mutex_lock(&n->lock);
	d->is_leaving = true;
	pthread_mutex_unlock(&n->lock);
	log_info("node.upstream_leave", kv_str("upstream", d->name), kv_str("why", why));
	n->ops->leave(n->ctx, d->name);
}

/* crash: the lease is over some time, and the upstream free by that. */
static bool release(struct node *n, struct drive *d, struct error *err)
{
	bool released;

	if (!store_upstream_release(n->looking, n->me, d->name, d->epoch, &released, err))
		return false;
	drive_held(n, d, false);
	if (!released)
		node_refused(n);
	return true;
}

static bool is_released(struct node *n, const struct drive *d)
{
	pthread_mutex_lock(&n->lock);
	bool released = d->is_held && d->is_released;
	pthread_mutex_unlock(&n->lock);
	return released;
}

bool drives_release(struct node *n, struct error *err)
{
	for (struct drive *d = n->drives; d != NULL; d = d->next)
		if (is_released(n, d) && !release(n, d, err))
			return false;
	return true;
}

/* ---- the balance ---- */

/* What the last look tells, for one turn. */
struct balance {
	struct upstream_candidate *c;
	size_t n;
	bool may_take, drains;
};

static void count_driven(const struct node *n, struct balance *b)
{
	for (size_t u = 0; u < n->n_upstreams; u++)
		for (size_t i = 0; i < b->n && !n->upstreams[u].is_free; i++)
			if (b->c[i].node == n->upstreams[u].owner.node)
				b->c[i].driven++;
}

/* Who has which upstreams in its configuration the rows do not tell. One that has not is taken for
 * one that has: then nobody takes what falls to it, for UPSTREAM_FREE_US. */
static bool balance_make(struct node *n, struct balance *b, struct error *err)
{
	*b = (struct balance){ .n = n->n_seen,
			       .c = calloc(n->n_seen + 1, sizeof(struct upstream_candidate)) };
	if (b->c == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < n->n_seen; i++) {
		const struct node_seen *s = &n->seen[i];
		b->c[i] = (struct upstream_candidate){
			.node = s->id,
			.is_able = s->lease_left_us > 0 && !s->draining && !node_is_api(s),
		};
	}
	count_driven(n, b);
	pthread_mutex_lock(&n->lock);
	b->drains = n->drain_is_told;
	bool takes = !n->is_draining;
	pthread_mutex_unlock(&n->lock);
	b->may_take = n->drives_any && takes && lease_may_send(node_deadline_us(n), node_mono_us());
	return true;
}

static void balance_done(const struct balance *b)
{
	free(b->c);
}

/* The next that are looked at fall to others, sooner. */
static void balance_fell(struct balance *b, uint64_t node)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->c[i].node == node)
			b->c[i].driven++;
}

/* Of one that is free. */
static bool falls_to_me(const struct node *n, const struct drive *d, struct balance *b)
{
	int64_t free_for_us = node_mono_us() - d->free_since_us;

	if (upstream_falls_to(n->me.node, b->c, b->n, free_for_us))
		return true;
	for (size_t i = 0; i < b->n; i++) {
		if (!upstream_falls_to(b->c[i].node, b->c, b->n, 0))
			continue;
		balance_fell(b, b->c[i].node);
		break;
	}
	return false;
}

/* crash: as for a release. */
static bool take(struct node *n, struct drive *d, struct error *err)
{
	bool taken;

	if (!store_upstream_take(n->looking, n->me, d->name, &taken, &d->epoch, err))
		return false;
	if (!taken)
		return true; /* the next look tells who has it, or a renewal that it was buried */
	if (d->is_moved)
		d->stays_until_us = node_mono_us() + MOVE_AGAIN_US;
	d->is_moved = false;
	drive_held(n, d, true);
	log_info("node.upstream_taken", kv_str("upstream", d->name), kv_u64("epoch", d->epoch));
	n->ops->taken(n->ctx, d->name);
	return true;
}

static const struct upstream_seen *seen_of(const struct node *n, const char *name)
{
	for (size_t i = 0; i < n->n_upstreams; i++)
		if (strcmp(n->upstreams[i].upstream, name) == 0)
			return &n->upstreams[i];
	return NULL;
}

static bool is_mine(const struct node *n, const struct upstream_seen *s)
{
	return s != NULL && !s->is_free && s->owner.node == n->me.node &&
	       s->owner.epoch == n->me.epoch;
}

static bool is_leaving_any(const struct node *n)
{
	for (const struct drive *d = n->drives; d != NULL; d = d->next)
		if (d->is_held && d->is_leaving)
			return true;
	return false;
}

/* One at a time moves. */
static void held_turn(struct node *n, struct drive *d, const struct balance *b)
{
	if (d->is_leaving)
		return;
	if (b->drains) {
		leave(n, d, "the node drains");
	} else if (!d->is_configured) {
		leave(n, d, "it is not in the configuration any more");
	} else if (!is_leaving_any(n) && node_mono_us() >= d->stays_until_us &&
		   upstream_is_to_move(n->me.node, b->c, b->n)) {
		d->is_moved = true;
		leave(n, d, "another node drives fewer");
	}
}

/* What is in its name and not held: a take whose answer was lost. It is held then, and left, if
 * need be, as what is held. */
static bool other_turn(struct node *n, struct drive *d, struct balance *b, struct error *err)
{
	const struct upstream_seen *s = seen_of(n, d->name);
	bool is_free = s == NULL || s->is_free;

	if (!is_free)
		d->free_since_us = LEASE_NONE;
	else if (d->free_since_us == LEASE_NONE)
		d->free_since_us = node_mono_us();
	if (is_mine(n, s))
		return take(n, d, err);
	if (!is_free)
		d->is_moved = false;
	if (!is_free || !b->may_take || !d->is_configured || !falls_to_me(n, d, b))
		return true;
	balance_fell(b, n->me.node);
	return take(n, d, err);
}

static bool turn(struct node *n, struct balance *b, struct error *err)
{
	for (struct drive *d = n->drives; d != NULL; d = d->next) {
		if (d->is_held)
			held_turn(n, d, b);
		else if (!other_turn(n, d, b, err))
			return false;
	}
	return true;
}

bool drives_turn(struct node *n, struct error *err)
{
	AUTO(balance_done) struct balance b;

	return balance_make(n, &b, err) && turn(n, &b, err) && drives_release(n, err);
}
