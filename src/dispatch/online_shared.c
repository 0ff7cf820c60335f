/* online_shared.c: see online_shared.h. */
#include "dispatch/online_shared.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/lane.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"

void heard_init(struct heard *h)
{
	*h = (struct heard){ 0 };
	pthread_mutex_init(&h->lock, NULL);
}

void heard_done(struct heard *h)
{
	while (h->list != NULL) {
		struct heard_online *one = h->list;
		h->list = one->next;
		free(one);
	}
	pthread_mutex_destroy(&h->lock);
}

/* With the lock held. */
static struct heard_online *heard_entry(struct heard *h, uint64_t node, const char *upstream)
{
	size_t size = strlen(upstream) + 1;
	struct heard_online *one = h->list;

	while (one != NULL && !(one->node == node && strcmp(one->upstream, upstream) == 0))
		one = one->next;
	if (one != NULL)
		return one;
	one = must_calloc(1, sizeof(*one) + size);
	one->node = node;
	memcpy(one->upstream, upstream, size);
	one->next = h->list;
	h->list = one;
	return one;
}

void heard_set(struct heard *h, uint64_t node, const char *upstream, unsigned units)
{
	pthread_mutex_lock(&h->lock);
	struct heard_online *one = heard_entry(h, node, upstream);
	one->units = units < HEARD_UNITS_MAX ? units : HEARD_UNITS_MAX;
	one->heard_ms = sys.monotonic_ms();
	pthread_mutex_unlock(&h->lock);
}

static void heard_forget(struct heard *h, uint64_t now_ms)
{
	pthread_mutex_lock(&h->lock);
	for (struct heard_online **link = &h->list; *link != NULL;) {
		struct heard_online *one = *link;
		if (one->units > 0 && now_ms < one->heard_ms + HEARD_MS) {
			link = &one->next;
			continue;
		}
		*link = one->next;
		free(one);
	}
	pthread_mutex_unlock(&h->lock);
}

static unsigned heard_units(struct heard *h, const char *upstream)
{
	unsigned units = 0;

	pthread_mutex_lock(&h->lock);
	for (const struct heard_online *one = h->list; one != NULL; one = one->next)
		if (strcmp(one->upstream, upstream) == 0)
			units += one->units;
	pthread_mutex_unlock(&h->lock);
	return units;
}

void online_shared_apply(struct dispatch *d)
{
	assert(on_dispatch_thread());
	heard_forget(&d->heard, sys.monotonic_ms());
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		struct target *t = target_of(u);
		bool drives = u->shared && !u->elsewhere && !u->retired;
		unsigned units = drives ? heard_units(&d->heard, u->config.name) : 0;
		for (; t->online_heard < units; t->online_heard++)
			lanes_online(u, +1, 1);
		for (; t->online_heard > units; t->online_heard--)
			lanes_online(u, -1, 1);
	}
}

static unsigned units_elsewhere(const struct upstream *u)
{
	return u->shared && u->elsewhere ? u->slots.online_units : 0;
}

/* After a reload there may be a retired one of the same name beside it. */
static unsigned units_of_name(const struct dispatch *d, const char *name)
{
	unsigned units = 0;

	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next)
		if (strcmp(u->config.name, name) == 0)
			units += units_elsewhere(u);
	return units;
}

void online_shared_tell(struct dispatch *d)
{
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		struct target *t = target_of(u);
		unsigned units = units_elsewhere(u);
		if (units == t->online_told)
			continue;
		t->online_told = units;
		d->ops.online(d->ctx, u->config.name, units_of_name(d, u->config.name));
	}
}
