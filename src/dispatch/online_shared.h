/* online_shared.h: online requests where nodes share upstreams. Each node sends its own, also to an upstream
 * that another drives; that one's limit has to know of them, or it takes them for somebody else's and gives
 * them no room beforehand.
 *
 *	a node's dispatch -- ops->online: units in flight where others drive --> the other nodes
 *	dispatch_online_heard() --> counted here as our own would be, a request for each unit, while the
 *	node says so again within HEARD_MS
 *
 * Threads: the dispatch thread, but heard_set(). */
#pragma once

#include <pthread.h>
#include <stdint.h>

struct dispatch;
struct upstream;

#define HEARD_MS 5000u
#define HEARD_UNITS_MAX 4096u /* of a node, however many it says */

struct heard_online {
	struct heard_online *next;
	uint64_t node, heard_ms;
	unsigned units;
	char upstream[];
};

struct heard {
	pthread_mutex_t lock; /* innermost: nothing is locked under it */
	struct heard_online *list;
};

void heard_init(struct heard *h);
void heard_done(struct heard *h);
/* Any thread. The dispatch thread is to be told. The process ends when memory is out. */
void heard_set(struct heard *h, uint64_t node, const char *upstream, unsigned units);

/* What was heard holds from now on, and what has not been for long is forgotten. Now and then, too. */
void online_shared_apply(struct dispatch *d);
/* Tells others what has changed. */
void online_shared_tell(struct dispatch *d);
