/* worker.h: a pool of threads that run jobs in the order posted; and the thread helpers.
 *
 * Jobs may block (disk, SQL). A job that must not run beside another for the same object is kept
 * apart by its owner, not by the pool. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

struct workers;

typedef void (*worker_fn)(void *arg);

/* `name` shows in ps and perf; copied. */
MUST_USE bool workers_open(const char *name, unsigned threads, struct workers **ret,
			   struct error *err);
/* Never blocks, never fails: the job's node is `struct work` inside the caller's own object, which
 * must live until the job has begun. */
struct work {
	struct work *next;
	worker_fn fn;
	void *arg;
	uint64_t due_ms; /* clock_ms(); 0: at once */
	uint64_t serial; /* of those due at the same time the first posted goes first */
	struct work *child;
};
void workers_post(struct workers *w, struct work *work, worker_fn fn, void *arg);
/* Jobs that are due and that no thread has begun. */
unsigned workers_waiting(struct workers *w);
/* As workers_post, but not before `delay_ms` have passed. */
void workers_post_after(struct workers *w, struct work *work, worker_fn fn, void *arg,
			uint64_t delay_ms);
/* Runs what is due, drops what is delayed, joins the threads. What is posted afterwards is never
 * run. NULL is fine. */
void workers_stop(struct workers *w);
/* Stops and frees: nothing may be posted any more. NULL is fine. */
void workers_close(struct workers *w);

/* pthread_create with a name and all signals blocked. */
MUST_USE bool thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
			   struct error *err);
