/* open_files.h: input, index and journal of the batches, three descriptors each, open while a batch
 * has a turn. Knows no batch.
 *
 * A batch's files are opened when they are first used and stay open while there is room; then those
 * of the batch that has not used its own for longest are closed. So a batch that only waits costs
 * no descriptor, however many wait. (The result files are open during a step of the coordinator
 * alone.)
 *
 * A user of the files pins them meanwhile. Pinning files that are open takes no lock.
 * Threads: all may be called from any. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "journal/journal.h"
#include "pipeline/input.h"

/* Which batches have their files open. */
struct open_table {
	pthread_mutex_t lock; /* for the list, and for opening and closing */
	struct open_files *oldest, *newest;
	unsigned open, most;
};

/* What the owner is asked and told. */
struct open_files_ops {
	/* Whether its lines are in flight: then others' files are closed before. */
	bool (*busy)(void *ctx);
	/* There are no descriptors to open them, `why`; NULL: there are again. */
	void (*starved)(void *ctx, const struct error *why);
};

/* What this process has open of one batch. Zero at first. */
struct open_files {
	/* set by the owner; to be used while they are pinned */
	struct open_table *table;
	const struct open_files_ops *ops;
	void *ctx;
	struct input input;
	struct journal *journal; /* NULL: there is none */

	/* our own */
	struct open_files *older, *newer;
	_Atomic unsigned pins;
	_Atomic bool open, used; /* used: since they were last passed over */
	_Atomic bool starved;
};

/* Room for as many as leave most descriptors to connections. */
void open_table_init(struct open_table *t);
void open_table_done(struct open_table *t);
/* Descriptors are short, `why` says, for something else: closes all that are not in use. */
void open_table_spare(struct open_table *t, const struct error *why);

/* The owner has opened the files itself: they are the table's to close from now on. */
void open_files_add(struct open_files *f);
/* Opens them if they are not open. False: nothing is pinned. */
MUST_USE bool open_files_pin(struct open_files *f, struct error *err);
void open_files_unpin(struct open_files *f);
/* Whether there is no descriptor for them. */
bool open_files_starved(const struct open_files *f);
/* Takes them out of the table and closes them for good. They are used by none any more. */
void open_files_close(struct open_files *f);
