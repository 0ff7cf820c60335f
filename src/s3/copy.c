/* copy.c: copies of objects. The store's own copy of a piece ("x-amz-copy-source-range") cannot be
 * signed by libcurl 7.88: attempt.c. */
#include <stdio.h>
#include <stdlib.h>

#include "s3/s3_impl.h"

#define COPY_BYTES_MAX (UINT64_C(1) << 30) /* that a store copies within one attempt */
#define PIECE_BYTES (UINT64_C(16) << 20)

static bool copy_at_once(struct s3 *s, const char *from, const char *to, struct error *err)
{
	char source[S3_KEY_SIZE + 128], encryption[128];
	struct s3_answer answer;
	struct s3_call c = { .method = "PUT",
			     .key = to,
			     .headers = { source },
			     .header_n = 1,
			     .xml = true,
			     .what = "copying to" };

	snprintf(source, sizeof(source), "x-amz-copy-source: /%s/%s%s", s->bucket, s->prefix, from);
	snprintf(encryption, sizeof(encryption), "x-amz-server-side-encryption: %s",
		 s->encryption != NULL ? s->encryption : "");
	if (s->encryption != NULL)
		c.headers[c.header_n++] = encryption;
	struct s3_sink sink = { .text = BUF(S3_ANSWER_BYTES) };
	bool ok = s3_call(s, &c, &sink, &answer, err);
	buf_free(&sink.text);
	return ok;
}

static bool parts_copy(struct s3 *s, const char *from, struct s3_upload *u, uint64_t bytes,
		       struct error *err)
{
	AUTO(auto_free) char *piece = malloc(PIECE_BYTES);
	struct s3_object object;

	if (piece == NULL)
		return fail_memory(err);
	if (!s3_head(s, from, &object, err))
		return false;
	for (uint64_t at = 0; at < bytes;) {
		size_t n = (size_t)(bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES);
		struct slice part = { piece, n };
		struct s3_body body = s3_body_of(&part);
		if (!s3_read(s, from, object.etag, at, piece, n, err) ||
		    !s3_upload_part(u, &body, err))
			return false;
		at += n;
	}
	return true;
}

bool s3_copy(struct s3 *s, const char *from, const char *to, uint64_t bytes, struct error *err)
{
	struct s3_upload *u;

	if (bytes <= COPY_BYTES_MAX)
		return copy_at_once(s, from, to, err);
	if (!s3_upload_begin(s, to, &u, err))
		return false;
	if (!parts_copy(s, from, u, bytes, err)) {
		s3_upload_abort(u);
		return false;
	}
	return s3_upload_complete(u, err);
}
