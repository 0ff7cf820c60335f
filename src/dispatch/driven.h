/* driven.h: which upstreams this node drives, and until when it may send lines, where several nodes
 * share the upstreams (cluster/protocol.h): all of them, for ever, until somebody says otherwise.
 *
 * What is said of a name holds whether or not an upstream has it yet, so that it holds from the first
 * moment for one that a reload brings. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct upstream;

/* Until when lines may be sent: microseconds of sys.monotonic_us(); any thread; does not wait. */
typedef int64_t (*deadline_fn)(void *ctx);

struct driven_name {
	struct driven_name *next;
	bool drives;
	char name[];
};

struct driven {
	pthread_mutex_t lock; /* for the next four; innermost: nothing is locked under it */
	struct driven_name *names;
	bool others_are_not; /* those of which nothing was said are not driven */
	deadline_fn new_deadline_us;
	void *new_ctx;

	/* the dispatch thread's */
	deadline_fn deadline_us; /* NULL: for ever */
	void *ctx;
};

void driven_init(struct driven *n);
void driven_done(struct driven *n);

/* ---- any thread. The dispatch thread is to be told: driven_apply() ---- */

/* `name` NULL: all of which nothing was said. The process ends when memory is out
 * (base/memory.h). */
void driven_set(struct driven *n, const char *name, bool drives);
void driven_set_deadline(struct driven *n, deadline_fn deadline_us, void *ctx);

/* ---- the dispatch thread ---- */

/* What was said holds from now on, for the list that begins with `first`: u->elsewhere. Returns the
 * numbers, as bits, of those that are driven and were not. */
uint64_t driven_apply(struct driven *n, struct upstream *first);

/* To be asked before each line. */
bool driven_may_send(const struct driven *n);
