/* objects.h: what nodes that share a bucket (bucket.h) keep there beside blobs: objects by name, which are
 * put whole, read by ranges and never changed, and blobs that the store makes of others.
 *
 *	PREFIX/<name>        "chunks/..."
 *
 * Names are 1 to 160 of A-Z, a-z, 0-9, '.', '_', '-' and '/', begin with a folder that is neither
 * "files/" nor "lost/", and no part of them is empty, "." or "..". Another is EINVAL in err->sys.
 *
 * Of the stores of blobs only those of blobs_open_bucket() have this. Errors are s3.h's: ENOENT (no such
 * object), ENODATA (it ends before), EBADMSG (it is not the one that was put), UNAVAILABLE (may pass).
 * Threads: any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "blob/blob.h"

/* Puts `bytes` as the object `name`, whole or not at all; put again with the same bytes it is the same.
 * After a failure it may be there, now or later. */
MUST_USE bool objects_put(struct blobs *blobs, const char *name, struct slice bytes,
			  struct error *err);
/* Exactly `n` bytes at `at`; compared with the object's checksum where they are all of it. */
MUST_USE bool objects_read(struct blobs *blobs, const char *name, uint64_t at, void *to, size_t n,
			   struct error *err);
/* What is not there is no error. */
MUST_USE bool objects_remove(struct blobs *blobs, const char *name, struct error *err);
/* The objects of blobs that are parts ("part-..."), which are listed likewise. */
#define OBJECTS_OF_PARTS "files/part-"
/* Every object whose name begins with `begin`, which is the beginning of a name, in the order of names.
 * `each` false: the listing fails with what `each` has filled. What is put or removed meanwhile is among
 * them or not. */
typedef bool (*object_fn)(void *ctx, const char *name, uint64_t bytes, struct error *err);
MUST_USE bool objects_list(struct blobs *blobs, const char *begin, object_fn each, void *ctx,
			   struct error *err);

/* The first `bytes` of the data of blob `id`; they end where an object of its row ends, as they do where
 * blob_append_sync() has returned with that length. */
struct blob_joined {
	const char *id;
	uint64_t bytes;
};
/* Makes the data of blob `id` of those of `parts`, one behind the other, by copies in the store, several
 * at a time: no byte passes through here, but of objects above 1 GiB. The parts stay. Joined again, by
 * this process or another and at one time too, it is the same: copies that are there are not made anew.
 * What else the row of `id` held is removed. Its length is looked at when all is done.
 *
 * ENOENT: a part is not there; EBADMSG: it does not have those bytes, or the whole does not. */
MUST_USE bool blobs_join(struct blobs *blobs, const char *id, const struct blob_joined *parts,
			 size_t n, struct error *err);
