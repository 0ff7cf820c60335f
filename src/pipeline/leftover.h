/* leftover.h: the lines of a batch that has ended which are left to do: those that failed, expired or
 * were cancelled (contract 11.3). Bytes of the input are copied by the ranges that the index has of
 * them; no line is parsed for that.
 *
 * What is left is the input without the lines of the output file, which the order of ending tells
 * (results/order.h), and without lines that were skipped as bad and that would be bad again: with the
 * options of the child, whatever the settings are. So a child whose options mend a line (`override`,
 * `mixed_models`) has it. Of a batch that was cancelled or expired before it was validated all lines are
 * left.
 *
 * Threads: one at a time. All but the last two calls wait for the disk. */
#pragma once

#include "batch/batch.h"
#include "blob/blob.h"
#include "ingest/ingest.h"

struct leftover;

/* `parent` is final, and outlives *ret. `child` has the options of the batch to be. INVALID where the
 * input is gone, or both result files and so the order, or the order lacks lines of the output
 * file. */
MUST_USE bool leftover_open(const char *data_dir, struct blobs *blobs, const struct batch *parent,
			    const struct batch *child, struct leftover **ret, struct error *err);
/* Writes the lines that are left to `in`, in their order, as they stand in the input, an LF after
 * each. */
MUST_USE bool leftover_copy(const struct leftover *r, struct ingest *in, struct error *err);
void leftover_close(struct leftover *r); /* NULL is fine */

/* How many are left, and their bytes with an LF each. */
uint64_t leftover_lines(const struct leftover *r);
uint64_t leftover_bytes(const struct leftover *r);
