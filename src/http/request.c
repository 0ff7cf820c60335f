/* request.c: a request, as the application sees it: its head in one block of memory, with a NUL
 * behind each name and value. */
#include "http/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "http/fields.h"

/* ---- decoding ---- */

/* In place. %00 stays as it is written: a NUL would hide what stands behind it. */
static void decode(char *text, bool plus_is_space)
{
	char *to = text;

	for (const char *p = text; *p != '\0';) {
		int high = *p == '%' ? hex_value(p[1]) : -1;
		int low = high >= 0 ? hex_value(p[2]) : -1;
		if (low >= 0 && high + low > 0) {
			*to++ = (char)(high * 16 + low);
			p += 3;
		} else {
			*to++ = (char)(*p == '+' && plus_is_space ? ' ' : *p);
			p++;
		}
	}
	*to = '\0';
}

/* ---- the head, taken apart ---- */

/* Takes what stands before `end` off *rest, which goes on behind it. */
static char *take_until(char **rest, char end)
{
	char *text = *rest, *at = strchr(text, end);

	*rest = at != NULL ? at + 1 : text + strlen(text);
	if (at != NULL)
		*at = '\0';
	return text;
}

/* A line without its end; CRLF or LF. */
static char *take_line(char **rest)
{
	char *line = take_until(rest, '\n');
	size_t n = strlen(line);

	if (n > 0 && line[n - 1] == '\r')
		line[n - 1] = '\0';
	return line;
}

static char *trimmed(char *text)
{
	text += strspn(text, " \t");
	size_t n = strlen(text);
	while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
		text[--n] = '\0';
	return text;
}

static void header_add(struct http_request *q, char *line)
{
	struct text_field *h = &q->headers[q->header_count++];
	char *rest = line;

	h->name = take_until(&rest, ':');
	h->name_n = strlen(h->name);
	h->value = trimmed(rest);
}

/* `query` is taken apart in place. */
static void arguments_read(struct http_request *q, char *query)
{
	while (*query != '\0') {
		char *value = take_until(&query, '&');
		bool has_value = strchr(value, '=') != NULL;
		char *name = take_until(&value, '=');
		if (name[0] == '\0' && !has_value)
			continue;
		decode(name, true);
		decode(value, true);
		q->arguments[q->argument_count++] =
			(struct text_field){ name, has_value ? value : NULL, strlen(name) };
	}
}

static bool connection_says(const struct http_request *q, const char *word)
{
	for (size_t i = 0; i < q->header_count; i++)
		if (strcasecmp(q->headers[i].name, "Connection") == 0 &&
		    field_list_has(slice_of(q->headers[i].value), slice_of(word)))
			return true;
	return false;
}

/* Each is given once at most, and not both: checked before (framing.h). */
static void body_read(struct http_request *q)
{
	const char *length = http_request_header(q, "Content-Length");

	q->content_length = length != NULL ? strtoull(length, NULL, 10) : UINT64_MAX;
	q->has_body = http_request_header(q, "Transfer-Encoding") != NULL ||
		      (length != NULL && q->content_length > 0);
}

/* Clients of proxies name scheme and host as well (RFC 9112, 3.2.2): "http://host/path". */
static char *without_origin(char *target)
{
	char *host = strncasecmp(target, "http://", 7) == 0    ? target + 7
		     : strncasecmp(target, "https://", 8) == 0 ? target + 8
							       : NULL;
	char *path = host != NULL ? strchr(host, '/') : target;

	return path != NULL ? path : memcpy(target, "/", sizeof("/"));
}

/* "GET /path?query HTTP/1.1"; `copy` has room for another query. */
static void first_line_read(struct http_request *q, char *line, char *copy)
{
	q->method = take_until(&line, ' ');
	char *target = take_until(&line, ' ');
	char *query = strchr(target, '?');
	q->http_1_1 = strcmp(line, "HTTP/1.0") != 0;
	if (query != NULL) {
		*query++ = '\0';
		q->query = query;
		arguments_read(q, memcpy(copy, query, strlen(query) + 1));
	}
	target = without_origin(target);
	decode(target, false);
	q->path = target;
}

static size_t count_of(char c, struct slice text)
{
	size_t n = 0;

	for (const char *p = text.p, *end = text.p + text.n;
	     (p = memchr(p, c, (size_t)(end - p))) != NULL; p++)
		n++;
	return n;
}

static struct slice without_empty_lines(struct slice head)
{
	while (head.n > 0 && (*head.p == '\r' || *head.p == '\n'))
		head = (struct slice){ head.p + 1, head.n - 1 };
	return head;
}

struct http_request *request_new(struct connection *c, struct slice head)
{
	head = without_empty_lines(head);
	const char *first_end = memchr(head.p, '\n', head.n);
	struct slice first = { head.p, (size_t)(first_end - head.p) };
	size_t headers = count_of('\n', head), arguments = count_of('&', first) + 1;
	struct http_request *q = calloc(1, sizeof(*q) +
						   (headers + arguments) * sizeof(*q->headers) +
						   head.n + 1 + first.n + 1);
	if (q == NULL)
		return NULL;
	q->server = c->server;
	q->connection = c;
	q->headers = (struct text_field *)(q + 1);
	q->arguments = q->headers + headers;
	q->collected = BUF(HTTP_PIECE_MAX + LOOP_SCRATCH_BYTES);
	http_response_init(&q->response);
	char *text = (char *)(q->arguments + arguments);
	memcpy(text, head.p, head.n);
	char *copy = text + head.n + 1;
	first_line_read(q, take_line(&text), copy);
	for (char *line; *(line = take_line(&text)) != '\0';)
		header_add(q, line);
	q->keeps = !connection_says(q, "close") &&
		   (q->http_1_1 || connection_says(q, "keep-alive"));
	body_read(q);
	return q;
}

/* ---- asked by the application ---- */

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
	size_t n = strlen(name);

	for (size_t i = 0; i < q->header_count; i++)
		if (q->headers[i].name_n == n && strcasecmp(q->headers[i].name, name) == 0)
			return q->headers[i].value;
	return NULL;
}

const char *http_query(const struct http_request *q, const char *name)
{
	for (size_t i = 0; i < q->argument_count; i++)
		if (strcmp(q->arguments[i].name, name) == 0)
			return q->arguments[i].value != NULL ? q->arguments[i].value : "";
	return NULL;
}

const char *http_query_text(const struct http_request *q)
{
	return q->query;
}

static void each_of(const struct text_field *list, size_t n, http_header_fn each, void *ctx)
{
	for (size_t i = 0; i < n; i++)
		each(ctx, list[i].name, list[i].value != NULL ? list[i].value : "");
}

void http_each_header(const struct http_request *q, http_header_fn each, void *ctx)
{
	each_of(q->headers, q->header_count, each, ctx);
}

void http_each_query(const struct http_request *q, http_header_fn each, void *ctx)
{
	each_of(q->arguments, q->argument_count, each, ctx);
}

unsigned http_connections(const struct http_request *q)
{
	return atomic_load(&q->server->connections);
}

uint64_t http_content_length(const struct http_request *q)
{
	return q->content_length;
}

bool http_has_body(const struct http_request *q)
{
	return q->has_body;
}
