/* earlier.h: the answers of an earlier run, kept for one that does the rest (`run --retry-failed`).
 *
 * The earlier output becomes the journal of the new batch: to the pipeline these lines are
 * finished, as after a kill, so they are not sent again and are merged byte for byte. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "ingest/index.h"

/* Goes through `output`, the result lines of an earlier run, in the order of the input (`input`,
 * `index`), and writes those of them with an answer (2xx) into a new journal at `journal_path`,
 * durable on return; *ret_kept is how many. INVALID, naming the line, if one is no result line, or
 * its custom_id is not in the input behind those of the lines before it. */
MUST_USE bool earlier_keep(const char *output, const struct blob_reader *input,
			   const struct index *index, const char *journal_path, uint64_t *ret_kept,
			   struct error *err);
