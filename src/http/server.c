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
 * A suspended connection is out of the loop's sight: it is not read, not timed out and not
 * completed until resumed, so a worker owns its request alone. What happened to the client
 * meanwhile comes up after the resume. */
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
#include "http/handover.h"
#include "http/listener.h"
#include "http/peers.h"
#include "http/server_impl.h"
#include "http/stream.h"

/* A connection's whole memory: headers, and half of it for reading, which makes a piece of an
 * upload 32 KiB (measured: 800 MB/s; 64 and 256 KiB are no faster). It is touched whole at the
 * second request, so it is also what an idle connection costs. */
#define CONNECTION_BYTES HTTP_CONNECTION_BYTES
#define IDLE_S 120
#define KEPT_MAX 512 /* connections with that memory between two requests: 32 MiB */

/* How many threads a kind of work has, and how many requests may wait for them. Lists are few at a
 * time: each wants a processor. Pieces of bodies are as many as the requests that they are of. */
static const struct {
	const char *name;
	unsigned threads, waiting_max;
} works[HTTP_WORKS] = {
	[HTTP_READ] = { "api-read", 4, 1024 },     [HTTP_LIST] = { "api-list", 2, 128 },
	[HTTP_WRITE] = { "api-write", 8, 512 },    [HTTP_INSTANT] = { "api", 4, 1024 },
	[HTTP_PASS] = { "api-pass", 4, UINT_MAX }, [HTTP_PIECES] = { "api-body", 4, UINT_MAX },
	[HTTP_LONG] = { "api-long", 2, 128 },
};

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
	q->collected = BUF(HTTP_PIECE_MAX + HTTP_CONNECTION_BYTES);
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
	request_read_framing(q);
	if (s->app.begin(s->ctx, q, &q->response))
		q->state = READING;
	else
		q->state = ANSWERED;
	if (q->state == ANSWERED && q->has_body &&
	    http_request_header(q, MHD_HTTP_HEADER_EXPECT) != NULL)
		return handover_answer(q); /* it has sent no body yet, and need not */
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
	if (q->to_worker && handover_is_suspended(q))
		return MHD_YES;
	if (*piece_bytes > 0)
		return handover_body(q, piece, piece_bytes);
	return q->state == READING ? handover_whole(q) : handover_answer(q);
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
		peers_stream(s->peers, q->peer, NULL, NULL);
		stream_over(q->stream);
	}
	if (q->peer != NULL)
		peers_idle(s->peers, q->peer);
	handover_end(q);
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

	if (s == NULL)
		return fail_memory(err);
	s->app = config->app;
	s->ctx = config->ctx;
	s->streams = budget_use(config->budget, BUDGET_STREAMS);
	answers_init(&s->answers);
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

/* No `handle` runs and no stream goes on after this, and clients have had time to read.
 * libmicrohttpd ends the process if it is stopped while a connection is suspended. */
static void wait_for_answers(struct http_server *s)
{
	unsigned unread = answers_close(&s->answers, HTTP_UNREAD_S * UINT64_C(1000));

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
	answers_done(&s->answers);
	free(s);
}
