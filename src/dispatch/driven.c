/* driven.c: names under a lock, and a bool in each upstream for the dispatch thread. */
#include "dispatch/driven.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/sys.h"
#include "cluster/protocol.h"
#include "upstream/upstream.h"

void driven_init(struct driven *n)
{
	*n = (struct driven){ 0 };
	pthread_mutex_init(&n->lock, NULL);
}

void driven_done(struct driven *n)
{
	while (n->names != NULL) {
		struct driven_name *one = n->names;
		n->names = one->next;
		free(one);
	}
	pthread_mutex_destroy(&n->lock);
}

/* With the lock held; NULL: nothing was said of it. */
static struct driven_name *name_find(const struct driven *n, const char *name)
{
	struct driven_name *one = n->names;

	while (one != NULL && strcmp(one->name, name) != 0)
		one = one->next;
	return one;
}

static struct driven_name *name_add(struct driven *n, const char *name)
{
	size_t size = strlen(name) + 1;
	struct driven_name *one = must_calloc(1, sizeof(*one) + size);

	memcpy(one->name, name, size);
	one->next = n->names;
	n->names = one;
	return one;
}

void driven_set(struct driven *n, const char *name, bool drives)
{
	pthread_mutex_lock(&n->lock);
	if (name == NULL) {
		n->others_are_not = !drives;
	} else {
		struct driven_name *one = name_find(n, name);
		if (one == NULL)
			one = name_add(n, name);
		one->drives = drives;
	}
	pthread_mutex_unlock(&n->lock);
}

void driven_set_deadline(struct driven *n, deadline_fn deadline_us, void *ctx)
{
	pthread_mutex_lock(&n->lock);
	n->new_deadline_us = deadline_us;
	n->new_ctx = ctx;
	pthread_mutex_unlock(&n->lock);
}

uint64_t driven_apply(struct driven *n, struct upstream *first)
{
	uint64_t taken = 0;

	pthread_mutex_lock(&n->lock);
	n->deadline_us = n->new_deadline_us;
	n->ctx = n->new_ctx;
	for (struct upstream *u = first; u != NULL; u = u->next) {
		const struct driven_name *one = name_find(n, u->config.name);
		bool before = u->elsewhere;
		u->shared = n->deadline_us != NULL;
		u->elsewhere = one != NULL ? !one->drives : n->others_are_not;
		if (before && !u->elsewhere)
			taken |= UINT64_C(1) << u->number;
	}
	pthread_mutex_unlock(&n->lock);
	return taken;
}

bool driven_may_send(const struct driven *n)
{
	return n->deadline_us == NULL ||
	       lease_may_send(n->deadline_us(n->ctx), (int64_t)sys.monotonic_us());
}
