/* batch_stream.h: what a page of a batch's lines, in the order in which they ended, is read from:
 * while the batch runs, at the moment when it ends, and after. Private to pipeline/. */
#pragma once

#include "pipeline/batch_table.h"
#include "pipeline/pipeline.h"

struct batch_stream_call {
	const char *data_dir;
	struct store *store;
	struct blobs *blobs;
	struct batch_table *table;
	struct cluster *cluster; /* NULL: this is the one machine */
	struct budget_use *memory;
	uint64_t after;
	unsigned limit;
};

/* pipeline_results() */
MUST_USE bool batch_stream(const struct batch_stream_call *call, struct batch *b,
			   struct pipeline_page *ret, struct error *err);

/* The order of the lines of `b`, which is final and has a home for it (results/order.h). One whose
 * end is this moment, or was cut off by a kill, has it where it was while it ran. NOT_FOUND: in
 * neither place. */
MUST_USE bool final_order_open(const char *data_dir, struct blobs *blobs, const struct batch *b,
			       struct blob_reader **ret, struct error *err);
