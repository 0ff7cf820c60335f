/* content.c: the bytes of a file: whole or a range (by sendfile where the blob has a
 * descriptor), or compressed, or not at all because the client has them already. */
#include "api/content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/conditions.h"
#include "api/filename.h"
#include "api/number.h"
#include "api/results.h"
#include "base/log.h"
#include "base/sys.h"

#define ETAG_SIZE 96
#define SKIP_BYTES (256u << 10)

/* A blob never changes under its id, so what names its bytes may be either. */
static void make_etag(const struct file *f, uint64_t skip, char to[static ETAG_SIZE])
{
	const char *name = f->sha256[0] != '\0' ? f->sha256 : f->id;

	if (skip > 0)
		snprintf(to, ETAG_SIZE, "\"%s-%llu\"", name, (unsigned long long)skip);
	else
		snprintf(to, ETAG_SIZE, "\"%s\"", name);
}

static ssize_t source_read(void *ctx, uint64_t at, void *to, size_t n)
{
	struct error err;
	size_t got;

	if (blob_read_upto(ctx, at, to, n, &got, &err))
		return (ssize_t)got;
	log_fault("content.unreadable", &err);
	return -1;
}

static int source_take_fd(void *ctx)
{
	return blob_reader_take_fd(ctx);
}

static void source_close(void *ctx)
{
	blob_reader_close(ctx);
}

static const struct http_source_ops source_ops = { source_read, source_take_fd, source_close };

static bool open_bytes(struct request *rq, const struct file *f, struct http_file *to,
		       struct error *err)
{
	struct blob_reader *bytes;

	if (!blob_open(rq->api->blobs, f->id, BLOB_DATA, &bytes, err)) {
		if (err->kind != ERR_NOT_FOUND)
			return false;
		/* The file has a row: its bytes are lost by our fault, or the file was deleted this
		 * moment. */
		return store_file_get(rq->api->store, rq->key.org, f->id, sys.now_s(),
				      &(struct file){ 0 }, err) &&
		       fail(err, ERR_INTERNAL, "The content of this file is lost.");
	}
	*to = (struct http_file){ .ops = &source_ops, .ctx = bytes };
	if (blob_bytes(bytes) < f->bytes)
		return fail(err, ERR_INTERNAL, "The content of this file is damaged.");
	to->length = f->bytes;
	return true;
}

/* Contract 11.3. Of other files a `skip` means nothing. */
static bool skip_query(const struct http_request *q, const struct file *f, uint64_t *ret,
		       struct error *err)
{
	const char *text = http_query(q, "skip");
	int64_t n = 0;

	*ret = 0;
	if (text == NULL || f->purpose != PURPOSE_BATCH_OUTPUT)
		return true;
	if (!number_read("skip", slice_of(text), 0, INT64_MAX - 1, &n, err))
		return false;
	*ret = (uint64_t)n;
	return true;
}

/* Goes over `lines` line ends in `piece`, and counts them down; how far it got. */
static size_t lines_pass(const char *piece, size_t n, uint64_t *lines)
{
	size_t at = 0;

	while (*lines > 0 && at < n) {
		const char *end = memchr(piece + at, '\n', n - at);
		if (end == NULL)
			return n;
		at = (size_t)(end - piece) + 1;
		--*lines;
	}
	return at;
}

/* Goes on from the nearest place that is known, to where the line after `skip` lines begins. */
static bool skip_find(struct request *rq, const struct http_file *file, struct skip_mark *mark,
		      uint64_t skip, struct error *err)
{
	AUTO(auto_free) char *piece = malloc(SKIP_BYTES);
	uint64_t left = skip - mark->lines;
	size_t got;

	if (piece == NULL)
		return fail_memory(err);
	while (left > 0 && mark->at < file->length) {
		if (!blob_read_upto(file->ctx, mark->at, piece, SKIP_BYTES, &got, err))
			return false;
		if (got == 0)
			return fail(err, ERR_INTERNAL, "The content of this file is damaged.");
		mark->at += lines_pass(piece, got, &left);
	}
	mark->lines = skip - left;
	skip_marks_put(&rq->api->skip_marks, mark);
	return true;
}

/* Where the line after `skip` lines begins, if nothing has to be read for that; else the nearest place. */
static bool skip_known(struct request *rq, const struct file *f, uint64_t skip,
		       struct skip_mark *ret)
{
	*ret = skip_marks_find(&rq->api->skip_marks, f->id, skip);
	if (skip > 0 && skip >= f->lines) {
		ret->lines = skip;
		ret->at = f->bytes;
	}
	return ret->lines == skip;
}

/* Opens the file without its first `skip` lines. */
static bool open_rest(struct request *rq, const struct file *f, uint64_t skip,
		      struct skip_mark *mark, struct http_file *to, struct error *err)
{
	if (!open_bytes(rq, f, to, err) ||
	    (mark->lines < skip && !skip_find(rq, to, mark, skip, err)))
		return false;
	to->offset = mark->at;
	to->length -= mark->at;
	return true;
}

static void add_name(struct http_response *r, const struct file *f)
{
	AUTO(buf_free) struct buf value = BUF(4096);

	filename_disposition(f->filename, &value);
	if (value.failed)
		return; /* half a name is none */
	http_header(r, "Content-Disposition", "%.*s", SLICE_ARG(buf_slice(&value)));
}

static bool answer_range(const struct http_request *q, const char *etag, struct http_response *r,
			 struct error *err)
{
	const char *if_range = http_request_header(q, "If-Range");
	uint64_t size = r->file.length, offset, length;

	/* If-Range compares strongly; a date, which it may hold too, never matches. */
	if (if_range != NULL && strcmp(if_range, etag) != 0)
		return true;
	switch (range_read(http_request_header(q, "Range"), size, &offset, &length)) {
	case RANGE_NONE:
		return true;
	case RANGE_UNSATISFIABLE:
		http_header(r, "Content-Range", "bytes */%llu", (unsigned long long)size);
		return fail(err, ERR_RANGE, "The range lies outside of the file's %llu bytes.",
			    (unsigned long long)size);
	case RANGE_PART:
		break;
	}
	r->status = 206;
	r->file.offset += offset;
	r->file.length = length;
	http_header(r, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)offset,
		    (unsigned long long)(offset + length - 1), (unsigned long long)size);
	return true;
}

bool content_get(struct request *rq, struct http_response *r, struct error *err)
{
	const struct http_request *q = rq->http;
	bool get = strcmp(http_method(q), "GET") == 0;
	struct file f;
	char etag[ETAG_SIZE];
	struct skip_mark mark;
	uint64_t skip;

	if (!store_file_get(rq->api->store, rq->key.org, rq->object_id, sys.now_s(), &f, err) ||
	    !skip_query(q, &f, &skip, err))
		return false;
	make_etag(&f, skip, etag);
	if (f.purpose == PURPOSE_BATCH_OUTPUT)
		results_headers(r, false, f.lines);
	r->content_type = "application/octet-stream";
	http_header(r, "Accept-Ranges", "bytes");
	http_header(r, "Vary", "Accept-Encoding");
	bool has = etag_listed(http_request_header(q, "If-None-Match"), etag);
	bool known = skip_known(rq, &f, skip, &mark);
	if (has && known) /* nothing is opened for its length */
		r->fixed = (struct slice){ "", f.bytes - mark.at };
	else if (!open_rest(rq, &f, skip, &mark, &r->file, err))
		return false;
	if (has) {
		http_header(r, "ETag", "%s", etag);
		r->status = 304;
		return true;
	}
	/* Range and gzip are defined for GET alone, or would make HEAD's length a guess. */
	if (get && http_request_header(q, "Range") != NULL && !answer_range(q, etag, r, err))
		return false;
	r->file.gzip = get && r->status == 200 && http_request_header(q, "Range") == NULL &&
		       gzip_asked(http_request_header(q, "Accept-Encoding"));
	if (r->file.gzip) {
		http_header(r, "Content-Encoding", "gzip");
		http_header(r, "ETag", "%.*s-gzip\"", (int)strlen(etag) - 1, etag);
	} else {
		http_header(r, "ETag", "%s", etag);
	}
	add_name(r, &f);
	return true;
}
