/* blobs.h: where a server's blobs are, as the settings `blobs` say. */
#pragma once

#include "app/config.h"
#include "blob/blob.h"

struct redo;

/* Opens the data directory's blobs, or those of the bucket, which has to belong to the data directory:
 * with `adopt` it does from now on. Messages are for the terminal. */
MUST_USE bool server_blobs_open(const struct config *c, struct redo *redo, bool adopt,
				struct blobs **ret, struct error *err);
/* Where blobs.url is set: tells on the terminal that the command `what` does not use the bucket, and
 * what it does instead. */
void server_blobs_unused(const struct config *c, const char *what);
