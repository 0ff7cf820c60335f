/* run_files.h: input, index and journal of the runs, three descriptors each, open while a run has a turn.
 *
 * A run's files are opened when they are first used and stay open while there is room; then those of
 * the run that has not used its own for longest are closed. So a batch that only waits costs no
 * descriptor, however many wait. (The result files are open during a step of the worker alone.)
 *
 * Whoever uses the files pins the run meanwhile. Pinning a run whose files are open takes no lock.
 * Threads: all may be called from any. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"

struct run;

/* The table: which runs have their files open. */
struct run_files {
	pthread_mutex_t lock; /* for the list, and for opening and closing */
	struct run *oldest, *newest;
	unsigned open, most;
};

/* A run's place in it. */
struct run_place {
	struct run *older, *newer;
	_Atomic unsigned pins;
	_Atomic bool open, used; /* used: since it was last passed over */
};

/* As many as leave most descriptors to connections. */
void run_files_init(struct run_files *f);
void run_files_done(struct run_files *f);

/* The run has opened its files itself: they are the table's to close from now on. */
void run_files_add(struct run *run);
/* Opens them if they are not open. False: nothing is pinned. */
MUST_USE bool run_pin(struct run *run, struct error *err);
void run_unpin(struct run *run);
/* Descriptors are short, `why` says, for something else of a run: closes all that nobody uses. */
void run_files_spare(struct run_files *f, const struct error *why);
/* Takes the run out; its files stay as they are. Nobody pins it any more. */
void run_files_remove(struct run *run);
