#include "node/online.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "node/state.h"

/* Shorter than a step of most engines: what is told later has its line in the request's place. Beside
 * much online traffic the number changes all the time: forty NOTIFY a second of each upstream. */
#define TELL_LEAST_US (25 * PROTOCOL_MS)

/* What is in flight at an upstream. Kept until the node is closed. */
struct online_at {
	struct online_at *next;
	unsigned units;
	int64_t told_us;
	int64_t due_us; /* INT64_MAX: there is nothing to tell */
	char upstream[];
};

static struct online_at *at_of(struct node *n, const char *upstream)
{
	for (struct online_at *at = n->online; at != NULL; at = at->next)
		if (strcmp(at->upstream, upstream) == 0)
			return at;
	size_t size = strlen(upstream) + 1;
	struct online_at *at = must_calloc(1, sizeof(*at) + size);
	memcpy(at->upstream, upstream, size);
	at->told_us = -TELL_LEAST_US;
	at->due_us = INT64_MAX;
	at->next = n->online;
	n->online = at;
	return at;
}

void node_online(struct node *n, const char *upstream, unsigned units)
{
	pthread_mutex_lock(&n->lock);
	struct online_at *at = at_of(n, upstream);
	int64_t due_us = at->told_us + TELL_LEAST_US;
	bool sooner = at->units != units && due_us < at->due_us;
	at->units = units;
	if (sooner)
		at->due_us = due_us;
	pthread_mutex_unlock(&n->lock);
	if (sooner)
		node_wake(n);
}

/* The next that is due; its driver hears what is so now. */
static bool due_take(struct node *n, int64_t now_us, struct online_told *ret)
{
	bool found = false;

	pthread_mutex_lock(&n->lock);
	for (struct online_at *at = n->online; at != NULL && !found; at = at->next) {
		found = at->due_us <= now_us;
		if (!found)
			continue;
		*ret = (struct online_told){ .node = n->me.node, .units = at->units };
		snprintf(ret->upstream, sizeof(ret->upstream), "%s", at->upstream);
		at->told_us = now_us;
		at->due_us = at->units > 0 ? now_us + ONLINE_TELL_US : INT64_MAX;
	}
	pthread_mutex_unlock(&n->lock);
	return found;
}

bool online_tell(struct node *n, struct error *err)
{
	int64_t now_us = node_mono_us();
	struct online_told told;

	while (due_take(n, now_us, &told))
		if (!store_online_tell(n->looking, &told, err))
			return false;
	return true;
}

int64_t online_due_us(struct node *n)
{
	int64_t due_us = INT64_MAX;

	pthread_mutex_lock(&n->lock);
	for (const struct online_at *at = n->online; at != NULL; at = at->next)
		due_us = at->due_us < due_us ? at->due_us : due_us;
	pthread_mutex_unlock(&n->lock);
	return due_us;
}

void online_heard(struct node *n, const struct online_told *told)
{
	if (told->node != n->me.node)
		n->ops->online(n->ctx, told->node, told->upstream, told->units);
}

void online_free(struct node *n)
{
	while (n->online != NULL) {
		struct online_at *at = n->online;
		n->online = at->next;
		free(at);
	}
}
