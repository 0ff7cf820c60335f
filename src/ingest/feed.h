/* feed.h: a blob read ahead, and hashed on the way, by a thread of its own, while the caller looks at
 * what was read before: on two processors scanning a file costs no more than the slower of both. */
#pragma once

#include <openssl/evp.h>

#include "blob/blob.h"

/* Of a piece, but the last. A chunk is written, hashed and scanned while it is in the processor's
 * cache. (Kept: `lowtide run --limit` hashes whole pieces.) */
#define PIECE_BYTES (128u << 10)
#define FEED_BYTES (4u * PIECE_BYTES) /* memory of a feed */

struct feed;

/* Reads `from` to its end. `digest`, which may be NULL, is updated with every piece before that is
 * handed out; nobody else may touch it until feed_close(). */
MUST_USE bool feed_open(const struct blob_reader *from, EVP_MD_CTX *digest, struct feed **ret,
			struct error *err);
/* The next piece, valid until the next call; empty at the end. After a failure only feed_close() may
 * follow. */
MUST_USE bool feed_next(struct feed *f, struct slice *ret, struct error *err);
/* Before the end, too. NULL is fine. */
void feed_close(struct feed *f);
