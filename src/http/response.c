/* response.c: an answer, from what the application filled in to what libmicrohttpd sends. */
#include "http/response.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/fields.h"
#include "http/pull.h"

#define BODY_MAX (64u << 20) /* of an answer built in memory */

void http_response_init(struct http_response *r)
{
	*r = (struct http_response){ .status = 200,
				     .body = BUF(BODY_MAX),
				     .passed = BUF(HTTP_PASSED_BYTES_MAX) };
}

void http_header(struct http_response *r, const char *name, const char *format, ...)
{
	char *value = NULL;
	va_list args;

	if (r->header_count == HTTP_HEADERS_MAX)
		return;
	va_start(args, format);
	int n = vasprintf(&value, format, args);
	va_end(args);
	if (n < 0)
		return;
	r->headers[r->header_count].name = name;
	r->headers[r->header_count].value = value;
	r->header_count++;
}

void http_pass_header(struct http_response *r, struct slice name, struct slice value)
{
	if (field_fault(name, value) != NULL || value.n == 0 ||
	    r->passed.n + name.n + value.n + 2 > HTTP_PASSED_BYTES_MAX)
		return;
	if (!buf_reserve(&r->passed, name.n + value.n + 2))
		return;
	buf_add(&r->passed, name);
	buf_char(&r->passed, '\0');
	for (size_t i = 0; i < value.n; i++) /* libmicrohttpd takes no tab */
		buf_char(&r->passed, (char)(value.p[i] == '\t' ? ' ' : value.p[i]));
	buf_char(&r->passed, '\0');
}

void http_response_done(struct http_response *r)
{
	buf_free(&r->body);
	buf_free(&r->passed);
	http_file_close(&r->file);
	for (unsigned i = 0; i < r->header_count; i++)
		free(r->headers[i].value);
}

// NOLINTNEXTLINE(readability-non-const-parameter): the type of a callback
static ssize_t read_nothing(void *cls, uint64_t at, char *to, size_t size)
{
	(void)cls;
	(void)at;
	(void)to;
	(void)size;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* By sendfile, where the source has a descriptor. NULL, and *ret_fits false: not that way. */
static struct MHD_Response *response_by_sendfile(struct http_file *f, bool *ret_fits)
{
	int fd = !f->gzip && f->ops->take_fd != NULL ? f->ops->take_fd(f->ctx) : -1;

	*ret_fits = fd >= 0;
	if (!*ret_fits)
		return NULL;
	struct MHD_Response *made = MHD_create_response_from_fd_at_offset64(f->length, fd,
									    f->offset);
	if (made == NULL)
		close(fd);
	http_file_close(f);
	return made;
}

static struct MHD_Response *response_from_file(struct http_request *q)
{
	struct http_file *f = &q->response.file;
	bool fits;

	/* A 304 has the length of what it does not send (RFC 9110, 8.6). */
	if (q->response.status == 304)
		return MHD_create_response_from_callback(f->length, 1024, read_nothing, NULL, NULL);
	if (f->length == 0)
		return MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
	struct MHD_Response *made = response_by_sendfile(f, &fits);
	return fits ? made : pull_response(q);
}

static struct MHD_Response *response_from_body(struct http_request *q)
{
	struct buf *body = &q->response.body;

	if (body->failed)
		return NULL; /* half an answer is none */
	struct MHD_Response *made =
		body->n == 0
			? MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT)
			: MHD_create_response_from_buffer(body->n, body->p, MHD_RESPMEM_MUST_FREE);
	if (made != NULL)
		*body = BUF(0); /* it frees the bytes now */
	return made;
}

struct MHD_Response *response_make(struct http_request *q)
{
	return q->response.file.ops != NULL ? response_from_file(q) : response_from_body(q);
}

static void add_passed_headers(struct MHD_Response *made, struct slice passed)
{
	while (passed.n > 0) {
		size_t name = strlen(passed.p) + 1, both = name + strlen(passed.p + name) + 1;
		MHD_add_response_header(made, passed.p, passed.p + name);
		passed = (struct slice){ passed.p + both, passed.n - both };
	}
}

enum MHD_Result response_queue(struct http_request *q, struct MHD_Response *made)
{
	const struct http_response *r = &q->response;
	const char *type = r->content_type != NULL ? r->content_type : "application/json";

	if (made == NULL)
		return MHD_NO; /* no memory, or no answer: the connection is closed */
	if (r->status != 304 && type[0] != '\0')
		MHD_add_response_header(made, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (!peers_may_keep(q->server->peers))
		MHD_add_response_header(made, MHD_HTTP_HEADER_CONNECTION, "close");
	add_passed_headers(made, buf_slice(&r->passed));
	for (unsigned i = 0; i < r->header_count; i++)
		MHD_add_response_header(made, r->headers[i].name, r->headers[i].value);
	enum MHD_Result queued = MHD_queue_response(q->connection, (unsigned)r->status, made);
	MHD_destroy_response(made); /* our reference; the connection has its own */
	return queued;
}
