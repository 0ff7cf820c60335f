#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

#define HEAD_MAX 16384u
#define BODY_MAX (16u << 20)
#define OUT_MAX (64u << 20)
#define KEEP_MAX 65536u /* a larger buffer is not kept for the next request */
#define READ_SIZE 262144u
#define EVENTS_MAX 512
#define BACKLOG 4096

static void die(const char *what)
{
	fprintf(stderr, "bench-engine: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the listener ---- */

/* Binds without listening: connections are refused, and nobody else gets the port. */
static void listener_bind(struct http *h)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(h->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int one = 1;

	h->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->listen_fd < 0)
		die("socket");
	setsockopt(h->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(h->listen_fd, (struct sockaddr *)&at, size) != 0)
		die("bind");
	if (getsockname(h->listen_fd, (struct sockaddr *)&at, &size) != 0)
		die("getsockname");
	h->port = ntohs(at.sin_port);
}

void http_up(struct http *h)
{
	struct epoll_event listening = { .events = EPOLLIN, .data.ptr = NULL };

	if (listen(h->listen_fd, BACKLOG) != 0)
		die("listen");
	if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->listen_fd, &listening) != 0)
		die("epoll_ctl");
}

void http_open(struct http *h)
{
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll_fd < 0)
		die("epoll_create1");
	listener_bind(h);
	http_up(h);
}

/* ---- connections ---- */

static bool is_busy(const struct conn *c)
{
	return c->job != NULL || c->due_ns != 0;
}

static void late_remove(struct conn *c)
{
	struct conn **at = &c->http->late;

	while (*at != NULL && *at != c)
		at = &(*at)->next_late;
	if (*at != NULL)
		*at = c->next_late;
	c->due_ns = 0;
}

static void conn_close(struct conn *c)
{
	struct http *h = c->http;

	if (c->closed)
		return;
	c->closed = true;
	late_remove(c);
	close(c->fd);
	*(c->prev != NULL ? &c->prev->next : &h->open) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->next = h->closed; /* epoll may have handed out events for it already: freed later */
	h->closed = c;
	if (c->job != NULL) {
		h->on_gone(c);
		c->job = NULL;
	}
}

static void closed_free(struct http *h)
{
	while (h->closed != NULL) {
		struct conn *c = h->closed;

		h->closed = c->next;
		buf_free(&c->in);
		buf_free(&c->out);
		free(c);
	}
}

void http_down(struct http *h, const struct conn *except)
{
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct conn *next;

	close(h->listen_fd);
	listener_bind(h);
	for (struct conn *c = h->open; c != NULL; c = next) {
		next = c->next;
		if (c == except)
			continue;
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		conn_close(c);
	}
}

void http_close(struct http *h)
{
	while (h->open != NULL)
		conn_close(h->open);
	closed_free(h);
	close(h->listen_fd);
	close(h->epoll_fd);
}

static void conn_watch(struct conn *c, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (c->closed || c->events == events)
		return;
	c->events = events;
	if (epoll_ctl(c->http->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) != 0)
		die("epoll_ctl");
}

static void conn_send(struct conn *c)
{
	size_t sent = 0;

	if (c->due_ns != 0)
		return;
	while (!c->closed && sent < c->out.n) {
		ssize_t n = send(c->fd, c->out.p + sent, c->out.n - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno != EINTR)
			conn_close(c);
		sent += n > 0 ? (size_t)n : 0;
	}
	if (c->closed)
		return;
	if (c->out.failed) {
		conn_close(c); /* more than OUT_MAX that the client does not read */
		return;
	}
	c->out.n -= sent;
	if (c->out.n > 0)
		memmove(c->out.p, c->out.p + sent, c->out.n);
	else if (c->out.cap > KEEP_MAX)
		buf_free(&c->out);
	conn_watch(c, c->out.n > 0 ? c->events | EPOLLOUT : c->events & ~(uint32_t)EPOLLOUT);
	if (c->out.n == 0 && c->job == NULL && c->ends)
		conn_close(c);
}

/* ---- requests ---- */

/* The value of a header, or NULL. `head` ends in NUL. */
static const char *header_find(const char *head, const char *name)
{
	size_t size = strlen(name);

	for (const char *line = head; (line = strstr(line, "\r\n")) != NULL;) {
		line += 2;
		if (strncasecmp(line, name, size) == 0 && line[size] == ':')
			return line + size + 1 + strspn(line + size + 1, " \t");
	}
	return NULL;
}

/* Always false. */
static bool refuse(struct conn *c, const char *status)
{
	c->keep_alive = false;
	c->ends = true;
	http_answer(c, status, "text/plain", "", SLICE("not a request that this engine reads\n"));
	return false;
}

/* Reads the head at the start of `in`. False: there is none yet, or it has been refused. */
static bool head_read(struct conn *c)
{
	char *end = c->in.n > 0 ? memmem(c->in.p + c->scanned, c->in.n - c->scanned, "\r\n\r\n", 4)
				: NULL;

	if (end == NULL) {
		c->scanned = c->in.n > 3 ? c->in.n - 3 : 0;
		if (c->in.n > HEAD_MAX)
			return refuse(c, "431 Request Header Fields Too Large");
		return false;
	}
	end[2] = '\0'; /* the blank line's CR: the last header keeps its line's end */
	const char *length = header_find(c->in.p, "content-length");
	const char *connection = header_find(c->in.p, "connection");
	const char *expect = header_find(c->in.p, "expect");
	const char *line_end = strstr(c->in.p, "\r\n");
	c->keep_alive = !(connection != NULL && strncasecmp(connection, "close", 5) == 0) &&
			line_end != NULL && line_end - c->in.p > 9 &&
			memcmp(line_end - 9, " HTTP/1.1", 9) == 0;
	c->head_size = (size_t)(end - c->in.p) + 4;
	c->body_size = length != NULL ? (size_t)strtoull(length, NULL, 10) : 0;
	if (header_find(c->in.p, "transfer-encoding") != NULL)
		return refuse(c, "411 Length Required");
	if (c->body_size > BODY_MAX)
		return refuse(c, "413 Content Too Large");
	if (expect != NULL && c->in.n < c->head_size + c->body_size)
		buf_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	return true;
}

/* The request line's first two words; the path without its query. */
static struct http_request request_of(const struct conn *c)
{
	const char *p = c->in.p;
	size_t method = strcspn(p, " \r");
	const char *path = p + method + (p[method] == ' ' ? 1 : 0);

	return (struct http_request){
		.method = { p, method },
		.path = { path, strcspn(path, " ?\r") },
		.body = { p + c->head_size, c->body_size },
	};
}

static void request_drop(struct conn *c)
{
	size_t size = c->head_size + c->body_size;

	c->in.n -= size;
	memmove(c->in.p, c->in.p + size, c->in.n);
	if (c->in.n == 0 && c->in.cap > KEEP_MAX)
		buf_free(&c->in);
	c->scanned = c->head_size = c->body_size = 0;
}

/* Hands over the requests that have come whole, until one is not answered at once. */
static void requests_handle(struct conn *c)
{
	while (!c->closed && !is_busy(c) && !c->ends && c->in.n > 0) {
		if (c->head_size == 0 && !head_read(c))
			break;
		if (c->in.n < c->head_size + c->body_size) {
			(void)buf_reserve(&c->in, c->head_size + c->body_size - c->in.n);
			break;
		}
		struct http_request r = request_of(c);
		c->http->on_request(c, &r);
		request_drop(c);
		c->ends = !c->keep_alive;
	}
	conn_send(c);
}

void http_flush(struct conn *c)
{
	if (is_busy(c) || c->in.n == 0) {
		conn_send(c);
		if (is_busy(c))
			return;
	} else {
		requests_handle(c);
	}
	conn_watch(c, c->events | EPOLLIN);
}

static void conn_read(struct conn *c)
{
	static char data[READ_SIZE];
	ssize_t n = recv(c->fd, data, sizeof(data), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && !c->ends)
		buf_append(&c->in, data, (size_t)n);
	if (n <= 0 || c->in.failed)
		conn_close(c);
	else if (c->head_size == 0 || c->in.n >= c->head_size + c->body_size)
		requests_handle(c);
}

static void conn_ready(struct conn *c, uint32_t events)
{
	if (c->closed)
		return;
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
		conn_close(c);
		return;
	}
	if ((events & EPOLLOUT) != 0)
		conn_send(c);
	if (c->closed || (events & EPOLLIN) == 0)
		return;
	if (is_busy(c))
		conn_watch(c, c->events & ~(uint32_t)EPOLLIN); /* a pipelined one: later */
	else
		conn_read(c);
}

static void conns_accept(struct http *h)
{
	int one = 1;
	int fd;

	while ((fd = accept4(h->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = must_calloc(1, sizeof(*c));
		struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = c };

		*c = (struct conn){ .http = h,
				    .fd = fd,
				    .events = event.events,
				    .keep_alive = true,
				    .in = BUF(HEAD_MAX + BODY_MAX + READ_SIZE),
				    .out = BUF(OUT_MAX),
				    .next = h->open };
		if (h->open != NULL)
			h->open->prev = c;
		h->open = c;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
			die("epoll_ctl");
	}
	if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		die("accept");
}

void http_turn(struct http *h, int64_t timeout_ns, const void *mask)
{
	struct epoll_event events[EVENTS_MAX];
	struct timespec wait = { 0 };

	if (timeout_ns > 0)
		wait = (struct timespec){ timeout_ns / NS_PER_S, timeout_ns % NS_PER_S };
	int n = epoll_pwait2(h->epoll_fd, events, EVENTS_MAX, timeout_ns == NEVER_NS ? NULL : &wait,
			     (const sigset_t *)mask);
	if (n < 0 && errno != EINTR)
		die("epoll_pwait2");
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == NULL)
			conns_accept(h);
		else
			conn_ready(events[i].data.ptr, events[i].events);
	}
	closed_free(h);
}

/* ---- answers ---- */

void http_delay(struct conn *c, int64_t due_ns)
{
	c->due_ns = due_ns;
	c->next_late = c->http->late;
	c->http->late = c;
}

int64_t http_late(struct http *h, int64_t now_ns)
{
	int64_t due_ns = NEVER_NS;

	for (struct conn *c = h->late, *next; c != NULL; c = next) {
		next = c->next_late;
		if (c->due_ns > now_ns)
			continue;
		late_remove(c);
		conn_send(c);
		if (!c->closed)
			http_flush(c);
	}
	/* Those that came in the wake of the ones sent, too. */
	for (const struct conn *c = h->late; c != NULL; c = c->next_late)
		due_ns = c->due_ns < due_ns ? c->due_ns : due_ns;
	return due_ns;
}

void http_answer(struct conn *c, const char *status, const char *type, const char *extra,
		 struct slice body)
{
	buf_printf(&c->out, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s\r\n",
		   status, type, body.n, extra, c->keep_alive ? "" : "Connection: close\r\n");
	buf_add(&c->out, body);
}

void http_stream_start(struct conn *c, const char *type)
{
	buf_printf(&c->out,
		   "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n%s\r\n",
		   type, c->keep_alive ? "" : "Connection: close\r\n");
}

void http_stream_add(struct conn *c, struct slice chunk)
{
	buf_printf(&c->out, "%zx\r\n", chunk.n);
	buf_add(&c->out, chunk);
	buf_text(&c->out, "\r\n");
}

void http_stream_end(struct conn *c)
{
	buf_text(&c->out, "0\r\n\r\n");
}
