/* multipart.c: an object that is put in parts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "s3/s3_impl.h"

#define ID_BYTES 1024
#define QUERY_BYTES (4 * ID_BYTES)
#define HEADER_SIZE 160

struct upload_sent {
	char etag[S3_ETAG_SIZE];
	char checksum[S3_CHECKSUM_SIZE];
};

struct s3_upload {
	struct s3 *s;
	char key[S3_KEY_SIZE];
	char id[ID_BYTES];
	struct upload_sent *parts;
	unsigned n, cap;
	uint64_t bytes; /* of all parts */
};

static void upload_free(struct s3_upload *u)
{
	free(u->parts);
	free(u);
}

/* ---- beginning ---- */

static bool id_ask(struct s3_upload *u, struct error *err)
{
	char encryption[HEADER_SIZE];
	struct s3_sink sink = { .text = BUF(S3_ANSWER_BYTES) };
	struct s3_answer answer;
	struct s3_call c = { .method = "POST",
			     .key = u->key,
			     .query = "uploads=",
			     .headers = { "x-amz-checksum-algorithm: SHA256" },
			     .header_n = 1,
			     .xml = true,
			     .what = "beginning" };

	snprintf(encryption, sizeof(encryption), "x-amz-server-side-encryption: %s",
		 u->s->encryption != NULL ? u->s->encryption : "");
	if (u->s->encryption != NULL)
		c.headers[c.header_n++] = encryption;
	bool ok = s3_call(u->s, &c, &sink, &answer, err);
	ok = ok && s3_xml_find(buf_slice(&sink.text), "InitiateMultipartUploadResult", "UploadId",
			       u->id, sizeof(u->id), err);
	buf_free(&sink.text);
	return ok;
}

bool s3_upload_begin(struct s3 *s, const char *key, struct s3_upload **ret, struct error *err)
{
	struct s3_upload *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return fail_memory(err);
	u->s = s;
	if (!slice_copy(slice_of(key), u->key, sizeof(u->key))) {
		upload_free(u);
		return fail_sys(err, ENAMETOOLONG, "beginning %.100s", key);
	}
	if (!id_ask(u, err)) {
		upload_free(u);
		return false;
	}
	*ret = u;
	return true;
}

/* ---- parts ---- */

/* Room for the next. */
static bool part_room(struct s3_upload *u, struct error *err)
{
	if (u->n == S3_PARTS_MAX)
		return fail_sys(err, EFBIG, "putting %s: it has too many parts", u->key);
	if (u->n < u->cap)
		return true;
	unsigned cap = u->cap > 0 ? 2 * u->cap : 16;
	struct upload_sent *longer = realloc(u->parts, cap * sizeof(*longer));
	if (longer == NULL)
		return fail_memory(err);
	u->parts = longer;
	u->cap = cap;
	return true;
}

/* "partNumber=1&uploadId=x"; without a number where it is 0. */
static bool query_make(const struct s3_upload *u, unsigned number, struct buf *to,
		       struct error *err)
{
	if (number > 0)
		buf_printf(to, "partNumber=%u&", number);
	buf_text(to, "uploadId=");
	s3_escape(to, u->id);
	buf_char(to, '\0');
	return !to->failed || fail_memory(err);
}

bool s3_upload_part(struct s3_upload *u, const struct s3_body *body, struct error *err)
{
	AUTO(buf_free) struct buf query = BUF(QUERY_BYTES);
	struct s3_answer answer;
	struct s3_call c = { .method = "PUT",
			     .key = u->key,
			     .body = body,
			     .keeps_checksum = true,
			     .what = "putting a part of" };

	if (!part_room(u, err) || !query_make(u, u->n + 1, &query, err))
		return false;
	c.query = query.p;
	if (!s3_call(u->s, &c, NULL, &answer, err))
		return false;
	struct upload_sent *p = &u->parts[u->n++];
	memcpy(p->etag, answer.etag, sizeof(p->etag));
	memcpy(p->checksum, answer.body_checksum, sizeof(p->checksum));
	u->bytes += body->bytes;
	return true;
}

/* ---- the end ---- */

static bool parts_write(const struct s3_upload *u, struct buf *to, struct error *err)
{
	buf_text(to, "<CompleteMultipartUpload>");
	for (unsigned i = 0; i < u->n; i++) {
		buf_printf(to, "<Part><ChecksumSHA256>%s</ChecksumSHA256><ETag>",
			   u->parts[i].checksum);
		for (const char *p = u->parts[i].etag; *p != '\0'; p++)
			if (strchr("<>&", *p) == NULL)
				buf_char(to, *p);
		buf_printf(to, "</ETag><PartNumber>%u</PartNumber></Part>", i + 1);
	}
	buf_text(to, "</CompleteMultipartUpload>");
	return !to->failed || fail_memory(err);
}

/* The store does not know the upload any more: where an answer was lost, because it is the object
 * now. */
static bool is_complete(const struct s3_upload *u, struct error *err)
{
	struct s3_object object;
	struct error of_head;
	char ends[24];
	size_t n = (size_t)snprintf(ends, sizeof(ends), "-%u\"", u->n);

	if (err->sys != ENOENT || !s3_head(u->s, u->key, &object, &of_head))
		return false;
	size_t etag_n = strlen(object.etag);
	return object.bytes == u->bytes && etag_n > n &&
	       strcmp(object.etag + etag_n - n, ends) == 0;
}

static bool complete_ask(struct s3_upload *u, struct error *err)
{
	AUTO(buf_free) struct buf query = BUF(QUERY_BYTES), text = BUF(S3_ANSWER_BYTES);
	struct s3_sink sink = { .text = BUF(S3_ANSWER_BYTES) };
	struct s3_answer answer;
	struct s3_call c = { .method = "POST",
			     .key = u->key,
			     .headers = { "Content-Type: application/xml" },
			     .header_n = 1,
			     .xml = true,
			     .what = "completing" };

	if (!query_make(u, 0, &query, err) || !parts_write(u, &text, err))
		return false;
	struct slice xml = buf_slice(&text);
	struct s3_body body = s3_body_of(&xml);
	c.query = query.p;
	c.body = &body;
	bool ok = s3_call(u->s, &c, &sink, &answer, err) || is_complete(u, err);
	buf_free(&sink.text);
	return ok;
}

bool s3_upload_complete(struct s3_upload *u, struct error *err)
{
	bool ok = complete_ask(u, err);

	if (ok)
		upload_free(u);
	else
		s3_upload_abort(u);
	return ok;
}

static bool abort_ask(struct s3_upload *u, struct error *err)
{
	AUTO(buf_free) struct buf query = BUF(QUERY_BYTES);
	struct s3_call c = { .method = "DELETE", .key = u->key, .what = "aborting" };
	struct s3_answer answer;

	if (!query_make(u, 0, &query, err))
		return false;
	c.query = query.p;
	return s3_call(u->s, &c, NULL, &answer, err) || err->sys == ENOENT;
}

void s3_upload_abort(struct s3_upload *u)
{
	struct error err;

	if (u == NULL)
		return;
	if (!abort_ask(u, &err))
		log_fault("s3.upload_left", &err);
	upload_free(u);
}
