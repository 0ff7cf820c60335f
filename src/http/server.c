/* server.c: libmicrohttpd's calls turned into begin, body, handle, end.
 *
 *	        headers          pieces            whole             worker has answered
 *	(new) ---begin---> READING ---body--> READING ---> HANDLING ---handle---> ANSWERED ---> sent
 *	          |                (suspended while       (suspended)               ^
 *	          |                 a worker writes it)                             |
 *	          +-- begin answered: the body is dropped --------------------------+
 *
 * libmicrohttpd calls one function for all of these. It may be answered in any of its calls, but an
 * answer in the first closes the connection, at eight times the cost of keeping it. So an answer
 * that `begin` gives waits for the last call, save where the body must not come at all.
 *
 * A suspended connection is out of the loop's sight: it is not read, not timed out and not completed
 * until resumed, so a worker owns its request alone. Whatever happened to the client meanwhile comes
 * up after the resume. */
#include "http/server.h"

#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "http/fields.h"
#include "http/listener.h"
#include "http/peers.h"
#include "http/pull.h"
#include "http/server_impl.h"
#include "http/stream.h"

/* A connection's whole memory: headers, and half of it for reading, which makes a piece of an upload
 * 32 KiB (measured: 800 MB/s; 64 and 256 KiB are no faster). It is touched whole at the second
 * request, so it is also what an idle connection costs. */
#define CONNECTION_BYTES HTTP_CONNECTION_BYTES
#define IDLE_S 120
#define KEPT_MAX 512         /* connections with that memory between two requests: 32 MiB */
#define BODY_MAX (64u << 20) /* of an answer built in memory */

/* How many threads a kind of work has, and how many requests may wait for them. Lists are few at a
 * time: each wants a processor. Pieces of bodies are as many as the requests that they are of. */
static const struct {
	const char *name;
	unsigned threads, waiting_max;
} works[HTTP_WORKS] = {
	[HTTP_READ] = { "api-read", 4, 1024 },     [HTTP_LIST] = { "api-list", 2, 128 },
	[HTTP_WRITE] = { "api-write", 8, 512 },    [HTTP_INSTANT] = { "api", 4, 1024 },
	[HTTP_PASS] = { "api-pass", 4, UINT_MAX }, [HTTP_PIECES] = { "api-body", 4, UINT_MAX },
};

/* ---- the request, as the application sees it ---- */

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

/* That the two are given once at most, and not both, was checked before (framing.h). */
static void read_framing(struct http_request *q)
{
	const char *length = http_request_header(q, MHD_HTTP_HEADER_CONTENT_LENGTH);

	q->content_length = length != NULL ? strtoull(length, NULL, 10) : UINT64_MAX;
	q->has_body = http_request_header(q, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL ||
		      (length != NULL && q->content_length > 0);
}

/* ---- responses ---- */

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

static void add_passed_headers(struct MHD_Response *made, struct slice passed)
{
	while (passed.n > 0) {
		size_t name = strlen(passed.p) + 1, both = name + strlen(passed.p + name) + 1;
		MHD_add_response_header(made, passed.p, passed.p + name);
		passed = (struct slice){ passed.p + both, passed.n - both };
	}
}

enum MHD_Result request_queue(struct http_request *q, struct MHD_Response *made)
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

static enum MHD_Result request_send(struct http_request *q)
{
	if (q->stream != NULL)
		return stream_send(q);
	return request_queue(q, q->response.file.ops != NULL ? response_from_file(q)
							     : response_from_body(q));
}

/* ---- the answer to what is no request (framing.h), of which libmicrohttpd knows nothing ---- */

static void add_date(struct buf *to)
{
	time_t now = (time_t)sys.now_s();
	struct tm utc;
	char text[64] = "";

	if (gmtime_r(&now, &utc) != NULL)
		strftime(text, sizeof(text), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
	buf_text(to, text);
}

static void answer_fault(void *ctx, const struct framing_fault *fault, struct buf *to)
{
	struct http_server *s = ctx;
	struct http_response r;

	http_response_init(&r);
	r.status = fault->status;
	s->app.refuse(s->ctx, fault->why, &r);
	buf_printf(to, "HTTP/1.1 %d %s\r\n", r.status,
		   MHD_get_reason_phrase_for((unsigned)r.status));
	add_date(to);
	buf_printf(to,
		   "Connection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
		   r.body.n);
	for (unsigned i = 0; i < r.header_count; i++)
		buf_printf(to, "%s: %s\r\n", r.headers[i].name, r.headers[i].value);
	buf_text(to, "\r\n");
	buf_add(to, buf_slice(&r.body));
	http_response_done(&r);
}

/* ---- from the loop to a worker and back ---- */

void server_handled(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->handling--;
	if (s->handling == 0)
		pthread_cond_signal(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

void server_sending(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->sending++;
	s->handling--;
	if (s->handling == 0)
		pthread_cond_signal(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

void server_sent(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->sending--;
	if (s->sending == 0)
		pthread_cond_signal(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

/* What is collected of the body. Worker. */
static void collected_take(struct http_request *q)
{
	struct http_server *s = q->server;

	if (q->collected.n > 0)
		s->app.body(s->ctx, q, buf_slice(&q->collected));
	buf_clear(&q->collected);
}

static void request_handle(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	collected_take(q);
	buf_free(&q->collected);
	s->app.handle(s->ctx, q, &q->response);
	q->state = ANSWERED;
	if (q->stream != NULL) {
		stream_handled(q->stream); /* resumes it, and counts it out, when it is time */
		return;
	}
	MHD_resume_connection(q->connection);
	/* From here on `q` may be gone. */
	server_handled(s);
}

bool server_hands_over(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	bool closing = s->closing;
	if (!closing)
		s->handling++;
	pthread_mutex_unlock(&s->lock);
	return !closing;
}

static bool request_to_worker(struct http_request *q, enum http_work kind, worker_fn fn)
{
	struct http_server *s = q->server;

	if (!server_hands_over(s))
		return false;
	MHD_suspend_connection(q->connection); /* first: the worker may be done at once */
	workers_post(s->workers[kind], &q->work, fn, q);
	return true;
}

/* The body is whole. */
static enum MHD_Result request_hand_over(struct http_request *q)
{
	struct http_server *s = q->server;

	if (workers_waiting(s->workers[q->kind]) < s->waiting_max[q->kind]) {
		q->state = HANDLING;
		return request_to_worker(q, q->kind, request_handle) ? MHD_YES : MHD_NO;
	}
	q->state = ANSWERED;
	q->response.status = 503;
	if (s->app.busy != NULL)
		s->app.busy(s->ctx, q, &q->response);
	return request_send(q);
}

/* ---- bodies that go to a worker ---- */

static void piece_write(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	collected_take(q);
	MHD_resume_connection(q->connection);
	/* From here on `q` may be gone. */
	server_handled(s);
}

static size_t piece_bytes(const struct http_server *s)
{
	size_t share = HTTP_COLLECTED_BYTES / (s->collecting > 0 ? s->collecting : 1);

	return share > HTTP_PIECE_MAX ? HTTP_PIECE_MAX
				      : (share < HTTP_PIECE_MIN ? HTTP_PIECE_MIN : share);
}

/* Of a chunked body libmicrohttpd goes on to the next chunk that it has read, though the connection was
 * suspended at this one. What it is not taken off it brings again. */
static bool request_is_suspended(const struct http_request *q)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		q->connection, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);

	return info != NULL && info->suspended == MHD_YES;
}

/* What libmicrohttpd has read is CONNECTION_BYTES at most, and so is what goes beyond a piece. The first
 * piece goes at once, so that the application hears of the body as soon as it begins. */
static enum MHD_Result request_collect(struct http_request *q, struct slice piece)
{
	buf_add(&q->collected, piece);
	if (q->collected.failed)
		return MHD_NO;
	if (q->begun && q->collected.n < piece_bytes(q->server))
		return MHD_YES;
	q->begun = true;
	return request_to_worker(q, HTTP_PIECES, piece_write) ? MHD_YES : MHD_NO;
}

/* ---- memory for bodies ---- */

static void request_look_again(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	MHD_resume_connection(q->connection);
	/* From here on `q` may be gone. */
	server_handled(s);
}

/* The piece stays with libmicrohttpd, which offers it again after the resume. False: the server closes, or
 * nobody waits any more, which libmicrohttpd would see too late: what the request holds others need. */
static bool request_wait(struct http_request *q)
{
	if ((q->peer != NULL && peer_has_ended(q->peer)) || !server_hands_over(q->server))
		return false;
	MHD_suspend_connection(q->connection);
	workers_post_after(q->server->workers[HTTP_PIECES], &q->work, request_look_again, q,
			   HTTP_ROOM_MS);
	return true;
}

static enum MHD_Result request_body(struct http_request *q, const char *piece, size_t *bytes)
{
	struct http_server *s = q->server;
	struct slice given = { piece, *bytes };
	enum http_room room = HTTP_ROOM;

	if (q->state == READING && s->app.room != NULL)
		room = s->app.room(s->ctx, q, *bytes + q->collected.n, &q->response);
	if (room == HTTP_WAIT)
		return request_wait(q) ? MHD_YES : MHD_NO;
	if (room == HTTP_REFUSED)
		q->state = ANSWERED;
	*bytes = 0;
	if (q->state == READING && q->to_worker)
		return request_collect(q, given);
	if (q->state == READING)
		s->app.body(s->ctx, q, given);
	return MHD_YES;
}

/* Its end may have a file to remove. */
static void request_end(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	if (q->state != NEW)
		s->app.end(s->ctx, q);
	s->collecting -= q->to_worker;
	http_response_done(&q->response);
	buf_free(&q->collected);
	free(q->query);
	free(q);
}

/* ---- libmicrohttpd's callbacks, in the loop ---- */

/* The request line is in, of a request that may yet prove malformed. The text is changed in place
 * after this: the query is copied as it came. */
static void *on_line(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct http_request *q = calloc(1, sizeof(*q));
	const char *query = strchr(uri, '?');

	if (q == NULL)
		return NULL;
	q->server = cls;
	q->connection = connection;
	q->collected = BUF(HTTP_PIECE_MAX + CONNECTION_BYTES);
	http_response_init(&q->response);
	if (query != NULL && (q->query = strdup(query + 1)) == NULL)
		free(TAKE(q)); /* without it, it would be another request */
	return q;
}

static enum MHD_Result request_begin(struct http_request *q, const char *path, const char *method)
{
	struct http_server *s = q->server;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		q->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	q->peer = info != NULL ? info->socket_context : NULL;
	if (q->peer == NULL)
		return MHD_NO; /* there was no memory for it */
	if (!intake_begin(&q->peer->intake)) {
		log_error("http.unchecked",
			  kv_str("why", "recv() of the HTTP library is not the program's own"));
		return MHD_NO;
	}
	peers_busy(s->peers, q->peer);
	q->path = path;
	q->method = method;
	read_framing(q);
	if (s->app.begin(s->ctx, q, &q->response))
		q->state = READING;
	else
		q->state = ANSWERED;
	if (q->state == ANSWERED && q->has_body &&
	    http_request_header(q, MHD_HTTP_HEADER_EXPECT) != NULL)
		return request_send(q); /* it has sent no body yet, and need not */
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *piece,
				  size_t *piece_bytes, void **request)
{
	struct http_request *q = *request;

	(void)cls;
	(void)connection;
	(void)version;
	if (q == NULL)
		return MHD_NO; /* there was no memory for it */
	if (q->state == NEW)
		return request_begin(q, path, method);
	if (q->to_worker && request_is_suspended(q))
		return MHD_YES;
	if (*piece_bytes > 0)
		return request_body(q, piece, piece_bytes);
	return q->state == READING ? request_hand_over(q) : request_send(q);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **request,
			 enum MHD_RequestTerminationCode how)
{
	struct http_server *s = cls;
	struct http_request *q = *request;

	(void)connection;
	(void)how;
	if (q == NULL)
		return;
	*request = NULL;
	if (q->stream != NULL) {
		peers_stream(s->peers, q->peer, NULL);
		stream_over(q->stream);
	}
	if (q->peer != NULL)
		peers_idle(s->peers, q->peer);
	if (q->to_worker) /* no more than a node of a queue: the connection may go */
		workers_post(s->workers[HTTP_PIECES], &q->work, request_end, q);
	else
		request_end(q);
}

/* NULL: no memory. Then no request is taken from it. */
static struct peer *peer_open(struct http_server *s, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL)
		return NULL;
	peer->fd = fd;
	peer->intake.answer = answer_fault;
	peer->intake.ctx = s;
	if (intake_open(&peer->intake, fd)) {
		if (peers_add(s->peers, peer))
			return peer;
		intake_close(&peer->intake);
	}
	free(peer);
	return NULL;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct http_server *s = cls;
	struct peer *peer = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = peer_open(s, MHD_get_connection_info(connection,
								MHD_CONNECTION_INFO_CONNECTION_FD)
						->connect_fd);
	} else if (peer != NULL) {
		peers_remove(s->peers, peer);
		intake_close(&peer->intake);
		free(peer);
		*context = NULL;
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place. %00 stays as it is: a NUL would hide what stands behind it. */
static size_t on_unescape(void *cls, struct MHD_Connection *connection, char *text)
{
	char *to = text;

	(void)cls;
	(void)connection;
	for (const char *p = text; *p != '\0';) {
		int high = *p == '%' ? hex_value(p[1]) : -1;
		int low = high >= 0 ? hex_value(p[2]) : -1;
		if (low >= 0 && high + low > 0) {
			*to++ = (char)(high * 16 + low);
			p += 3;
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
	return (size_t)(to - text);
}

PRINTF_LIKE(2, 0)
static void on_log(void *cls, const char *format, va_list args)
{
	char text[256];

	(void)cls;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\r\n")] = '\0';
	log_debug("http.library", kv_str("text", text));
}

static void on_accepted(void *cls, int fd, const struct sockaddr *address, socklen_t size)
{
	struct http_server *s = cls;

	/* On failure (too many connections) it has closed the socket. */
	MHD_add_connection(s->daemon, fd, address, size);
}

/* ---- open, close ---- */

/* The loops use epoll: with poll each event costs a look at every connection. Measured with 10,000
 * idle ones beside 32 busy ones: 23,000 to 37,000 calls a second, p99 3 ms; poll: 6,200, 14.5 ms.
 * But with epoll (edge-triggered) libmicrohttpd 0.9.75 takes a short read for "nothing more to
 * come" and so misses the end of a connection that came together with its last bytes: a cut-off
 * upload would keep its disk space until the time-out. The sweep in peers.c makes up for that.
 *
 * They are started with all signals blocked: those are for the program's own threads. */
static struct MHD_Daemon *daemon_start(struct http_server *s, const struct http_config *c)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;
	unsigned idle_s = c->idle_s > 0 ? c->idle_s : IDLE_S;
	unsigned threads = c->threads > 1 ? c->threads : 0; /* a pool of one is refused */
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* The logger first: it has to hear of trouble with the others. */
	struct MHD_Daemon *d = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_UNESCAPE_CALLBACK,
		on_unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_line, s,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_THREAD_POOL_SIZE,
		threads, MHD_OPTION_CONNECTION_LIMIT, c->connections_max,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, idle_s, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return d;
}

static bool works_open(struct http_server *s, const struct http_config *config, struct error *err)
{
	for (unsigned i = 0; i < HTTP_WORKS; i++) {
		unsigned threads = config->workers > 0 ? config->workers : works[i].threads;

		s->waiting_max[i] = config->waiting_max > 0 ? config->waiting_max
							    : works[i].waiting_max;
		if (!workers_open(works[i].name, threads, &s->workers[i], err))
			return false;
	}
	return true;
}

static bool server_start(struct http_server *s, const struct http_config *config, struct error *err)
{
	if (!works_open(s, config, err) ||
	    !peers_open(config->kept_max > 0 ? config->kept_max : KEPT_MAX, config->stream_idle_ms,
			&config->deadlines, &s->peers, err))
		return false;
	s->daemon = daemon_start(s, config);
	if (s->daemon == NULL)
		return fail(err, ERR_INTERNAL, "The HTTP server could not be started.");
	/* Last: from here on requests come in. */
	int fd = config->listening != NULL ? *config->listening : -1;
	if (config->listening != NULL)
		*config->listening = -1;
	else if (!listener_bind(config->host, config->port, &fd, err))
		return false;
	if (!listener_open(fd, on_accepted, s, &s->listener, err))
		return false;
	s->port = listener_port(s->listener);
	return true;
}

bool http_listen(const char *host, uint16_t port, int *ret_fd, struct error *err)
{
	return listener_bind(host, port, ret_fd, err);
}

bool http_server_open(const struct http_config *config, struct http_server **ret, struct error *err)
{
	struct http_server *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	if (s == NULL)
		return fail_memory(err);
	s->app = config->app;
	s->ctx = config->ctx;
	s->streams = budget_use(config->budget, BUDGET_STREAMS);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (!server_start(s, config, err)) {
		http_server_close(s);
		return false;
	}
	*ret = s;
	return true;
}

uint16_t http_server_port(const struct http_server *s)
{
	return s->port;
}

void http_server_quiesce(struct http_server *s)
{
	listener_close(TAKE(s->listener));
}

/* No `handle` runs and no stream goes on after this, and clients have had time to read. */
static void wait_for_answers(struct http_server *s)
{
	struct timespec until;

	pthread_mutex_lock(&s->lock);
	s->closing = true;
	/* libmicrohttpd ends the process if it is stopped while a connection is suspended. */
	while (s->handling > 0)
		pthread_cond_wait(&s->idle, &s->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += HTTP_UNREAD_S;
	while (s->sending > 0 && pthread_cond_timedwait(&s->idle, &s->lock, &until) == 0)
		;
	unsigned unread = s->sending;
	pthread_mutex_unlock(&s->lock);
	if (unread > 0)
		log_warn("http.answers_cut", kv_u64("answers", unread),
			 kv_str("why", "their clients do not read"));
}

void http_server_close(struct http_server *s)
{
	if (s == NULL)
		return;
	http_server_quiesce(s);
	wait_for_answers(s);
	if (s->daemon != NULL)
		MHD_stop_daemon(s->daemon);
	peers_close(s->peers);
	for (unsigned i = 0; i < HTTP_WORKS; i++)
		workers_close(s->workers[i]);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
