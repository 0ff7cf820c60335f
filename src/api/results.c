/* results.c: see results.h. */
#include "api/results.h"

#include <stdio.h>

#include "api/conditions.h"
#include "api/number.h"
#include "base/log.h"
#include "results/stream.h"

#define LIMIT_MAX 10000
#define LIMIT_DEFAULT 1000

static ssize_t source_read(void *ctx, uint64_t at, void *to, size_t n)
{
	struct error err;
	size_t got;

	if (stream_read(ctx, at, to, n, &got, &err))
		return (ssize_t)got;
	log_fault("results.unreadable", &err);
	return -1;
}

static void source_close(void *ctx)
{
	stream_close(ctx);
}

static const struct http_source_ops source_ops = { .read = source_read, .close = source_close };

void results_headers(struct http_response *r, bool incomplete, uint64_t last)
{
	http_header(r, "X-Incomplete", "%s", incomplete ? "true" : "false");
	http_header(r, "X-Last-Line", "%llu", (unsigned long long)last);
}

static bool query_number(const struct http_request *q, const char *name, int64_t least,
			 int64_t most, int64_t *to, struct error *err)
{
	const char *text = http_query(q, name);

	return text == NULL || number_read(name, slice_of(text), least, most, to, err);
}

/* The same lines always make the same bytes; but their etag is a weak one, because a damaged line
 * runs again, and is another then. */
static bool has_them(const struct http_request *q, const char *batch_id, uint64_t after,
		     uint64_t last, struct http_response *r)
{
	char etag[ID_SIZE + 64];

	snprintf(etag, sizeof(etag), "\"%.63s-%llu-%llu\"", batch_id, (unsigned long long)after,
		 (unsigned long long)last);
	http_header(r, "ETag", "W/%s", etag);
	http_header(r, "Vary", "Accept-Encoding");
	return etag_listed(http_request_header(q, "If-None-Match"), etag);
}

bool results_page(struct request *rq, unsigned limit_default, unsigned limit_max, struct batch *b,
		  struct results_page *ret, struct error *err)
{
	int64_t after = 0, limit = limit_default;

	if (!query_number(rq->http, "after", 0, UINT32_MAX, &after, err) ||
	    !query_number(rq->http, "limit", 1, limit_max, &limit, err) ||
	    !store_batch_get(rq->api->store, rq->key.org, rq->object_id, b, err))
		return false;
	ret->after = (uint64_t)after;
	return pipeline_results(rq->api->pipeline, b, ret->after, (unsigned)limit, &ret->of, err);
}

bool results_get(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(batch_done) struct batch b = { 0 };
	const struct http_request *q = rq->http;
	struct results_page page;

	if (!results_page(rq, LIMIT_DEFAULT, LIMIT_MAX, &b, &page, err))
		return false;
	r->content_type = "application/x-ndjson";
	results_headers(r, page.of.incomplete, page.of.last);
	if (page.of.stream == NULL)
		return true;
	r->file = (struct http_file){ .ops = &source_ops,
				      .ctx = page.of.stream,
				      .length = stream_bytes(page.of.stream) };
	if (has_them(q, b.id, page.after, page.of.last, r)) {
		r->status = 304;
		return true;
	}
	r->file.gzip = strcmp(http_method(q), "GET") == 0 &&
		       gzip_asked(http_request_header(q, "Accept-Encoding"));
	if (r->file.gzip)
		http_header(r, "Content-Encoding", "gzip");
	return true;
}
