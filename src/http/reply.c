/* reply.c: an answer, from what the application filled in to the bytes that are sent. */
#include "http/reply.h"

#include <string.h>

#include "http/loop.h"
#include "http/pull.h"
#include "http/stream.h"

/* ---- the head ---- */

/* RFC 9110, 15, and what the registry of status codes has beside it. */
static const struct {
	int status;
	const char *phrase;
} phrases[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 203, "Non-Authoritative Information" },
	{ 204, "No Content" },
	{ 205, "Reset Content" },
	{ 206, "Partial Content" },
	{ 300, "Multiple Choices" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 402, "Payment Required" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 407, "Proxy Authentication Required" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 411, "Length Required" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 421, "Misdirected Request" },
	{ 422, "Unprocessable Content" },
	{ 423, "Locked" },
	{ 424, "Failed Dependency" },
	{ 425, "Too Early" },
	{ 426, "Upgrade Required" },
	{ 428, "Precondition Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 451, "Unavailable For Legal Reasons" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
	{ 508, "Loop Detected" },
	{ 511, "Network Authentication Required" },
};

static const char *phrase_of(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}

static void type_write(struct buf *to, const char *type)
{
	buf_text(to, "Content-Type: ");
	buf_text(to, type);
	buf_text(to, "\r\n");
}

/* All but what frames the body, and the empty line. */
static void head_write(struct connection *c, const struct http_response *r)
{
	struct buf *to = &c->out.text;
	const char *type = r->content_type != NULL ? r->content_type : "application/json";

	buf_text(to, "HTTP/1.1 ");
	buf_u64(to, (uint64_t)r->status);
	buf_char(to, ' ');
	buf_text(to, phrase_of(r->status));
	buf_text(to, "\r\n");
	buf_text(to, http_loop_date(c->loop));
	if (r->status != 304 && type[0] != '\0')
		type_write(to, type);
	buf_add(to, buf_slice(&r->fields));
	c->out.begun = true;
}

/* ---- how long the body is, and where it comes from ---- */

static bool has_no_body(int status)
{
	return status == 204 || status == 304;
}

/* UINT64_MAX: nobody knows. */
static uint64_t length_of(const struct http_request *q)
{
	const struct http_response *r = &q->response;

	if (q->stream != NULL)
		return stream_length(q->stream);
	if (r->file.ops != NULL)
		return r->file.gzip && r->file.length > 0 && r->status != 304 &&
				       strcmp(q->method, "HEAD") != 0
			       ? UINT64_MAX
			       : r->file.length;
	return r->fixed.n > 0 ? r->fixed.n : r->body.n;
}

/* A 304 has the length of what it does not send (RFC 9110, 8.6), if that is known. */
static void frame_write(struct http_request *q, uint64_t length, bool bare)
{
	struct out *out = &q->connection->out;
	const struct http_response *r = &q->response;
	bool unsaid = r->status == 204 ||
		      (r->status == 304 && r->file.ops == NULL && r->fixed.p == NULL);

	out->chunked = length == UINT64_MAX && q->http_1_1 && !bare;
	out->closes = !q->keeps || (length == UINT64_MAX && !out->chunked && !bare);
	out->left = length;
	if (out->chunked) {
		buf_text(&out->text, "Transfer-Encoding: chunked\r\n");
	} else if (length != UINT64_MAX && !unsaid) {
		buf_text(&out->text, "Content-Length: ");
		buf_u64(&out->text, length);
		buf_text(&out->text, "\r\n");
	}
	if (out->closes)
		buf_text(&out->text, "Connection: close\r\n");
	else if (!q->http_1_1)
		buf_text(&out->text, "Connection: Keep-Alive\r\n");
	buf_text(&out->text, "\r\n");
}

/* By sendfile, where the source has a descriptor. False: it has none. */
static bool file_begin(struct http_file *f, struct out *out)
{
	int fd = !f->gzip && f->ops->take_fd != NULL ? f->ops->take_fd(f->ctx) : -1;

	if (fd < 0)
		return false;
	out->fd = fd;
	out->fd_at = (off_t)f->offset;
	out->fd_left = f->length;
	out->last = true;
	http_file_close(f);
	return true;
}

/* False: no memory. */
static bool body_begin(struct http_request *q)
{
	struct out *out = &q->connection->out;
	struct http_response *r = &q->response;

	if (q->stream != NULL)
		return true; /* piece by piece, as it comes */
	if (r->file.ops != NULL && r->file.length > 0)
		return file_begin(&r->file, out) || (out->pull = pull_new(q)) != NULL;
	out->piece = r->fixed.n > 0 ? r->fixed : buf_slice(&r->body);
	out->last = true;
	return true;
}

bool reply_begin(struct http_request *q)
{
	struct connection *c = q->connection;
	bool bare = strcmp(q->method, "HEAD") == 0 || has_no_body(q->response.status);

	if (q->response.body.failed || q->response.fields.failed ||
	    (q->stream != NULL && !stream_has_answer(q->stream)))
		return false; /* half an answer is none */
	head_write(c, &q->response);
	frame_write(q, length_of(q), bare);
	c->out.last = bare;
	return (bare || body_begin(q)) && !c->out.text.failed;
}

bool reply_refuse(struct connection *c, const struct http_response *r)
{
	struct out *out = &c->out;

	head_write(c, r);
	buf_printf(&out->text, "Content-Length: %zu\r\nConnection: close\r\n\r\n", r->body.n);
	buf_add(&out->text, buf_slice(&r->body));
	out->last = out->closes = true;
	return !out->text.failed && !r->body.failed && !r->fields.failed;
}
