/* worker_impl.h: a worker as its own two files know it: worker.c, and worker_look.c, which shows
 * what it does. */
#pragma once

#include <pthread.h>

#include "pipeline/worker.h"

enum worker_state { WORKER_IDLE, WORKER_SENDING, WORKER_ENDING };

/* Lines that go out as one flow: all of the span, or those of one model. */
struct part {
	struct part *_Atomic next; /* of the worker's; only ever added to */
	struct worker *of;
	struct flow *flow; /* its lines in dispatch */

	/* set while idle */
	bool used, shared; /* it is sent; only the lines of `share` */
	struct worker_share share;

	uint64_t next_segment; /* to hand out; dispatch thread */
	bool handed;           /* one was; dispatch thread */
	_Atomic bool barren;   /* and none will be: its lines are not of the canary */
	_Atomic uint64_t left; /* lines that have not been answered */
};

struct worker {
	struct worker_config config;
	struct part *parts; /* the first: there is one at least */

	/* set while idle */
	struct span_lease lease; /* until_ms, renew_ms: under the lock */
	const uint8_t *canary;   /* the lines that are sent, a bit a line of the batch; NULL: all */

	unsigned open;  /* parts that have not been dropped; dispatch thread, once it has started */
	bool recording; /* the recorder has the files pinned; its own */

	pthread_mutex_t lock; /* for `state` */
	enum worker_state state;
};

static inline struct part *part_next(const struct part *p)
{
	return p->next;
}
