/* bucket_put.c: bytes that a reader reads, put as an object: one that is large in parts, each read from
 * the file twice and never held whole. */
#include "blob/bucket_impl.h"

struct body_of {
	const struct blob_reader *from;
	uint64_t at;
};

static bool body_read(void *ctx, uint64_t at, void *to, size_t n, struct error *err)
{
	const struct body_of *b = ctx;

	return blob_read_at(b->from, b->at + at, to, n, err);
}

static bool parts_put(struct s3_upload *u, const struct blob_reader *from, uint64_t bytes,
		      struct error *err)
{
	uint64_t part = BUCKET_PART_BYTES;

	while (bytes / part >= S3_PARTS_MAX - 1)
		part *= 2;
	for (uint64_t at = 0; at < bytes; at += part) {
		struct body_of b = { from, at };
		struct s3_body body = { body_read, &b, bytes - at < part ? bytes - at : part };
		if (!s3_upload_part(u, &body, err))
			return false;
	}
	return true;
}

bool bucket_put_from(struct bucket *b, const char *key, const struct blob_reader *from,
		     uint64_t bytes, struct error *err)
{
	struct body_of whole = { from, 0 };
	struct s3_body body = { body_read, &whole, bytes };
	struct s3_upload *u;

	if (bytes <= BUCKET_PART_BYTES)
		return s3_put(b->s3, key, &body, NULL, err);
	if (!s3_upload_begin(b->s3, key, &u, err))
		return false;
	if (!parts_put(u, from, bytes, err)) {
		s3_upload_abort(u);
		return false;
	}
	return s3_upload_complete(u, err);
}
