/* request.c: a request, as the application sees it. */
#include <stdlib.h>
#include <string.h>

#include "http/server_impl.h"

void http_set_work(struct http_request *q, enum http_work work)
{
	q->kind = work;
}

void http_body_to_worker(struct http_request *q)
{
	q->to_worker = true;
	q->server->collecting++;
}

void http_set_data(struct http_request *q, void *data)
{
	q->data = data;
}

void *http_data(const struct http_request *q)
{
	return q->data;
}

const char *http_method(const struct http_request *q)
{
	return q->method;
}

const char *http_path(const struct http_request *q)
{
	return q->path;
}

const char *http_request_header(const struct http_request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_request *q, const char *name)
{
	const char *value = NULL;

	if (MHD_lookup_connection_value_n(q->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
					  &value, NULL) == MHD_NO)
		return NULL;
	return value != NULL ? value : "";
}

const char *http_query_text(const struct http_request *q)
{
	return q->query;
}

struct each_header {
	http_header_fn each;
	void *ctx;
};

static enum MHD_Result pass_header(void *cls, enum MHD_ValueKind kind, const char *name,
				   const char *value)
{
	const struct each_header *to = cls;

	(void)kind;
	to->each(to->ctx, name, value != NULL ? value : "");
	return MHD_YES;
}

void http_each_header(const struct http_request *q, http_header_fn each, void *ctx)
{
	struct each_header to = { each, ctx };

	MHD_get_connection_values(q->connection, MHD_HEADER_KIND, pass_header, &to);
}

void http_each_query(const struct http_request *q, http_header_fn each, void *ctx)
{
	struct each_header to = { each, ctx };

	MHD_get_connection_values(q->connection, MHD_GET_ARGUMENT_KIND, pass_header, &to);
}

unsigned http_connections(const struct http_request *q)
{
	return peers_count(q->server->peers);
}

uint64_t http_content_length(const struct http_request *q)
{
	return q->content_length;
}

bool http_has_body(const struct http_request *q)
{
	return q->has_body;
}

/* Each is given once at most, and not both: checked before (framing.h). */
void request_read_framing(struct http_request *q)
{
	const char *length = http_request_header(q, MHD_HTTP_HEADER_CONTENT_LENGTH);

	q->content_length = length != NULL ? strtoull(length, NULL, 10) : UINT64_MAX;
	q->has_body = http_request_header(q, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL ||
		      (length != NULL && q->content_length > 0);
}
