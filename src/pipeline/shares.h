/* shares.h: the lines of a batch that have not ended, by model, for a worker to send each model's as
 * a flow of their own (contract 11.1, mixed_models). One pass over the records of the index; of each
 * model it keeps a bit a segment. Private to pipeline/. */
#pragma once

#include "ingest/index.h"
#include "pipeline/lessor_memory.h"
#include "pipeline/worker.h"

struct shares {
	struct worker_share *of; /* those that have lines left, in order of appearance in the file */
	unsigned n;
	uint8_t *bits; /* of their segments */
};

/* Of the lines of segment `first` and later. Nothing is lent. Waits for the disk. On failure *ret is
 * as it was. The names are the index's. */
MUST_USE bool shares_make(const struct index *index, struct lessor_memory *lessor, uint64_t first,
			  uint64_t segments, struct shares *ret, struct error *err);
void shares_done(struct shares *s); /* zeroed, or made; then zeroed */
