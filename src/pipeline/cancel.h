/* cancel.h: a client, or the operator, cancels a batch (contract 6, Cancel). */
#pragma once

#include "pipeline/batch_table.h"

/* Which batch a call is about. */
struct batch_call {
	struct store *store;
	struct batch_table *batches;
	const char *org; /* whose batch it must be; NULL: of any */
	const char *batch_id;
};

/* Moves the batch to its next state on the way to `cancelled`, durably, and then tells its
 * coordinator, which drops the lines in flight. *ret_final: the batch is completed, failed or
 * expired and cannot be cancelled. NOT_FOUND. Any thread; waits for the store. */
MUST_USE bool batch_cancel(const struct batch_call *call, bool *ret_final, struct error *err);
