/* scratch.h: a file that ingest writes and that may come to nothing: the index before it has its
 * name, runs of hashes. In the store of blobs it is a blob writer, on the same disk as the upload
 * and swept after a crash; without a store (`lowtide check`) it is a file that has no name. */
#pragma once

#include "base/error.h"
#include "blob/blob.h"

struct scratch {
	struct blob_writer *writer; /* NULL without a store */
	int fd;                     /* for pread and pwrite; writer's, or ours */
};
#define SCRATCH_NONE ((struct scratch){ .fd = -1 })

/* `blobs` may be NULL. */
MUST_USE bool scratch_open(struct blobs *blobs, struct scratch *ret, struct error *err);
MUST_USE bool scratch_append(struct scratch *s, struct slice bytes, struct error *err);
/* Changes bytes that were appended. */
MUST_USE bool scratch_overwrite(struct scratch *s, uint64_t at, struct slice bytes,
				struct error *err);
MUST_USE bool scratch_read(const struct scratch *s, uint64_t at, void *to, size_t n,
			   struct error *err);
/* The file is gone; SCRATCH_NONE is fine. */
void scratch_close(struct scratch *s);
