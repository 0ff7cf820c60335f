/* lessor.h: lends the spans of a batch to workers, and takes in what they finished.
 *
 *	coordinator -- offer, recall --> lessor <-- take, renew, settle, give_back -- worker
 *	            <-- finished, returned --
 *
 * A *span* is a run of segments of one batch: the unit of work that changes hands. A worker takes a
 * lease on a span and goes through it segment by segment (batch/segment.h); the segments are not
 * leased. Every lease of a span has an epoch, greater than those before it. A caller with an old
 * epoch has lost the lease: its call is refused and changes nothing.
 *
 * lessor_memory.h is the one there is. Its worker and its coordinator share a process; they meet here
 * alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/id.h"
#include "batch/outcome.h"
#include "batch/segment.h"

struct span_lease {
	char batch[ID_SIZE];
	uint64_t span;                    /* number in the batch, from 0 */
	uint64_t first_segment, segments; /* which it holds */
	uint64_t epoch;                   /* from 1 */
	uint64_t until_ms;                /* sys.monotonic_ms(); LEASE_WITHOUT_END */
	uint64_t renew_ms;                /* when to ask for more; LEASE_WITHOUT_END likewise */
};
#define LEASE_WITHOUT_END UINT64_MAX

/* All may be called by any thread, and may wait for a disk or a database: a worker calls them where
 * it may wait too, but for `segment`. False of the last four: the lease is lost. */
struct lessor_ops {
	/* A span that is not lent. False: there is none now. */
	bool (*take)(void *ctx, struct span_lease *ret);
	/* A cursor over the lines of a segment of the span that have not ended. Never waits. False:
	 * there are none, or the lease is lost. */
	bool (*segment)(void *ctx, const struct span_lease *lease, uint64_t segment,
			struct segment_cursor *ret);
	/* Prolongs the lease: sets until_ms and renew_ms. */
	bool (*renew)(void *ctx, struct span_lease *lease);
	/* The lines of these outcomes, linked by `next`, are durable in the worker's journal: they
	 * have ended, and count. This is the moment of "finished". */
	bool (*settle)(void *ctx, const struct span_lease *lease, const struct outcome *first);
	/* All that the worker has of it is settled; it goes no further. The last that it does with
	 * the lessor for this lease. */
	bool (*give_back)(void *ctx, const struct span_lease *lease);
};

/* As a worker sees it. */
struct lessor {
	const struct lessor_ops *ops;
	void *ctx;
};
