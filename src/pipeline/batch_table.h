/* batch_table.h: the batches that this process answers for: their coordinators, by id.
 *
 * A coordinator that is found is used under the table's lock alone: it takes itself out before it
 * is freed, so it lives meanwhile. What is called there does not wait. Threads: all may be called
 * by any. */
#pragma once

#include <pthread.h>

#include "pipeline/coordinator.h"

#define BATCH_BUCKETS 16u /* at first */

struct batch_table {
	pthread_mutex_t lock;
	struct coordinator **buckets; /* more than there are batches, about */
	size_t bucket_n, n;
	struct coordinator *first[BATCH_BUCKETS]; /* the buckets at first */
};

typedef void (*batch_fn)(void *ctx, struct coordinator *c);

void batch_table_init(struct batch_table *t);
void batch_table_done(struct batch_table *t); /* it is empty */

/* False: there is one of that batch already, or of that span, and `c` stays the caller's. */
MUST_USE bool batch_table_add(struct batch_table *t, struct coordinator *c);
/* `c` is in the table. */
void batch_table_remove(struct batch_table *t, struct coordinator *c);
/* Calls `fn` for the coordinator of that batch, or those of its spans; false: there is none. */
bool batch_table_with(struct batch_table *t, const char *batch_id, batch_fn fn, void *ctx);
/* Calls `fn` for each. */
void batch_table_each(struct batch_table *t, batch_fn fn, void *ctx);
/* Takes out one of them; NULL: it is empty. */
struct coordinator *batch_table_pop(struct batch_table *t);
