/* labelled.h: what join() has written, read again: the answers beside the rows become result lines,
 * for a run that asks only the other rows. One thread. */
#pragma once

#include "rows/join.h"

/* Gives a result line (with its LF) for each row of `path` that has an answer, in the order of the
 * rows; join() makes the same cell of it. `options`: those of the join that has written `path`; of
 * the documents it may have had the first rows alone. INVALID, naming the row, where a row of `path`
 * is not that of the documents. */
MUST_USE bool labelled_results(const struct join_options *options, const char *path,
			       bool (*each)(void *ctx, struct slice line, struct error *err),
			       void *ctx, struct error *err);
