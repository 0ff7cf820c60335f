/* migrate.h: `lowtide migrate`: the rows of a data directory's meta.db move to PostgreSQL; and for nodes
 * its files and what has ended of open batches to a bucket. */
#pragma once

#include "blob/blob.h"

struct migrate_config {
	const char *data_dir, *url;
	const char *bucket_url; /* NULL: files and journals stay */
	/* Opens the bucket, once the directory is locked. */
	bool (*bucket)(void *ctx, struct blobs **ret, struct error *err);
	void *ctx;
};
/* No server runs on the directory. meta.db becomes meta.db.moved: a start without the store is refused from then
 * on. Asked again after a crash, it goes on. Returns an exit code: 2 where the directory has no database, the
 * schema rows of another or these with another bucket, or a batch cannot go now. */
int migrate(const struct migrate_config *c);
