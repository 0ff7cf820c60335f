/* bucket.c: blobs in a bucket of an S3-compatible store: the store itself.
 *
 * A name is durable as soon as it is given: the store answers a put when it has the bytes. So there is
 * nothing to sync. The comment "crash:" says at each step what a kill right after it leaves behind, and
 * what puts it right. */
#include "blob/bucket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "blob/bucket_impl.h"

static bool nothing_to_sync(struct blobs *blobs, struct error *err)
{
	(void)blobs;
	(void)err;
	return true;
}

/* crash: the object, and the file still there: the owner takes it again. */
static bool bucket_take(struct blobs *blobs, const char *path, const char *id, enum blob_kind kind,
			struct error *err)
{
	struct blob_reader *file;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? blob_not_found(id, err)
				       : fail_sys(err, errno, "opening %s", path);
	if (!blob_reader_of_file(fd, path, &file, err))
		return false;
	bool ok = bucket_name_give((struct bucket *)blobs, id, kind, file, err);
	blob_reader_close(file);
	return ok && (unlink(path) == 0 || fail_sys(err, errno, "removing %s", path));
}

static const char *bucket_trouble(struct blobs *blobs)
{
	return bucket_cache_trouble(((struct bucket *)blobs)->cache);
}

static void bucket_close(struct blobs *blobs)
{
	struct bucket *b = (struct bucket *)blobs;

	bucket_cache_close(b->cache);
	s3_close(b->s3);
	free(b);
}

static const struct blobs_ops bucket_ops = {
	.open = bucket_open,
	.create = bucket_create,
	.append = bucket_append,
	.take = bucket_take,
	.remove = bucket_remove,
	.lose = bucket_lose,
	.sweep = bucket_sweep,
	.trouble = bucket_trouble,
	.forget = bucket_forget,
	.sync = nothing_to_sync,
	.close = bucket_close,
};

void blobs_bucket_give_up(struct blobs *blobs)
{
	s3_give_up(((struct bucket *)blobs)->s3);
}

void blobs_bucket_share(struct blobs *blobs)
{
	((struct bucket *)blobs)->shared = true;
}

bool blobs_open_bucket(const struct s3_config *c, struct blobs **ret, struct error *err)
{
	struct bucket *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return fail_memory(err);
	b->blobs.ops = &bucket_ops;
	b->blobs.no_descriptors = true;
	if (!s3_open(c, &b->s3, err)) {
		free(b);
		return false;
	}
	if (!s3_check(b->s3, err) || !bucket_cache_open(b->s3, &b->cache, err)) {
		bucket_close(&b->blobs);
		return false;
	}
	*ret = &b->blobs;
	return true;
}
