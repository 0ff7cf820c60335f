/* span_fill.h: what owners of a span before have finished, from the chunks into the span's journal. Private to
 * pipeline/. */
#pragma once

#include "journal/journal.h"
#include "store/spans.h"

struct blobs;

/* All of it is the caller's. */
struct span_filling {
	struct blobs *blobs;
	const char *batch_id; /* for the log */
	const struct span_piece *pieces;
	size_t n;
	/* False: it is not wanted any more. Several threads. */
	bool (*stays)(void *ctx);
	void *ctx;
};

/* Appends the records of the pieces in their order, and reads several of these at a time, in 2 MiB. Where an
 * object is gone, or is not what it was, the log says so, and its lines have not ended: they run again.
 * Once it is not wanted any more it reads no further, which is no error. */
MUST_USE bool span_fill(const struct span_filling *of, struct journal *to, struct error *err);
