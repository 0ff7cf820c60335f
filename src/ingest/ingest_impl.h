/* ingest_impl.h: what ingest.c and ingest_lines.c share. Private to them. */
#pragma once

#include <xxhash.h>

#include "base/buf.h"
#include "ingest/duplicates.h"
#include "ingest/hashes.h"
#include "ingest/index_writer.h"
#include "ingest/ingest.h"
#include "ingest/template.h"

#define BOM_BYTES 3u

struct ingest {
	struct blobs *blobs;
	struct blob_writer *data;             /* NULL: the bytes stay in the user's own file */
	const struct blob_reader *bytes_read; /* reads them again; NULL: forgone */
	struct index_writer *index;           /* NULL: forgone */
	struct duplicates *duplicates;
	struct hashes hashes;
	/* Keys the hashes of custom_ids: no file can be prepared in which they all collide. */
	unsigned char hash_key[XXH3_SECRET_SIZE_MIN];

	struct ingest_limits limits; /* line_bytes is never 0 here */
	uint64_t bytes;
	uint64_t charged; /* to limits.use, but for `carry` */

	/* the line at hand, of which the end has not come yet */
	uint64_t line_offset;
	uint32_t line; /* lines before it */
	uint64_t line_seen;
	struct buf carry; /* its beginning: at most what a line may have */

	struct line_template alike;
};

/* ---- ingest_lines.c ---- */

/* The next bytes of the file, as far as its lines are wanted (limits.lines_max). */
MUST_USE bool ingest_lines_find(struct ingest *in, struct slice bytes, struct error *err);
/* As many request lines as are wanted were found. */
bool ingest_is_full(const struct ingest *in);
/* The end of a file whose last line has no LF. */
MUST_USE bool ingest_lines_end(struct ingest *in, struct error *err);
