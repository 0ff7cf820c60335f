/* parts.h: one reader over pieces of several blobs, one behind the other: an upload in parts. */
#pragma once

#include "base/id.h"
#include "blob/blob.h"

/* `bytes` bytes of the data of blob `id`, from `at` on. */
struct blob_part {
	char id[ID_SIZE];
	uint64_t at, bytes;
};

/* The reader reads `parts` in their order; the same piece may be named twice. It takes a copy of
 * the list, and has the blob open that was read last, so the number of parts costs no descriptors:
 * a blob that is missing is found by the read that needs it (NOT_FOUND). Any thread; one read at a
 * time. It has no descriptor to take. */
MUST_USE bool blob_parts_open(struct blobs *blobs, const struct blob_part *parts, size_t n,
			      struct blob_reader **ret, struct error *err);
