/* sweep.h: files that are not needed any more. Only a decision deletes: what the store says was
 * deleted, has expired or is final. What the store does not know is moved to lost/. */
#pragma once

#include <pthread.h>

#include "base/error.h"
#include "blob/blob.h"
#include "store/store.h"

struct sweep {
	/* set by the owner before sweep_init() */
	const char *data_dir;
	struct store *store;
	struct blobs *blobs;
	uint64_t lost_after_s;       /* what is in lost/ goes; 0: never */
	const _Atomic bool *closing; /* the process ends: what was not looked at stays */
	/* our own */
	pthread_mutex_t lock;
	int64_t lost_at;
};

void sweep_init(struct sweep *s);
void sweep_done(struct sweep *s);

/* Of a node (cluster.h), at a start: empties what is scratch in its directory. */
MUST_USE bool sweep_scratch(struct sweep *s, struct error *err);
/* Of a node: blobs that the store does not know go to lost/, where they count from `lost_at`, unless they
 * are young (blobs_bucket_share()). One node at a time, now and then. */
void sweep_unknown(struct sweep *s, int64_t lost_at);
/* At a start, before any batch is taken up: blobs and journals that the store does not know go to
 * lost/, where they count from `lost_at`; journals of final batches, left by a crash right after
 * the end, go. */
MUST_USE bool sweep_at_start(struct sweep *s, int64_t lost_at, struct error *err);
/* What has expired or was deleted since. Only while the time is good. Any thread; one at a time
 * works. A failure is logged: the next sweep goes on. */
void sweep_once(struct sweep *s);
