/* upstream.c: an OpenAI-compatible HTTP/1.1 upstream that costs next to nothing, so that what is
 * measured is the program in front of it.
 *
 *	POST /v1/chat/completions   the same answer always, after --latency-us; with --events, a
 *	                            body that has "stream":true (no space) gets as many events instead,
 *	                            one each --event-us, the first so long after the request
 *	GET  /v1/models             one model
 *	GET  /stats                 {"requests":N,"body_bytes":N,"connections":N}
 *
 * One epoll loop a thread; all of them accept from the one listening socket and a connection stays
 * with the thread that took it. A request is read to its end (its body is counted and dropped) and
 * answered in order, so keep-alive and pipelining work. It speaks no more HTTP than that: a body
 * needs a Content-Length. Prints its base URL on the first line, then nothing. Ends on SIGTERM. */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 16384u /* a longer request head ends the connection */
#define OUT_MAX (1u << 20)
#define READ_SIZE 65536u
#define EVENTS_MAX 256
#define NS_PER_S 1000000000LL
#define THREADS_MAX 16
#define STREAM_MARK "\"stream\":true"
#define STREAM_MARK_SIZE (sizeof(STREAM_MARK) - 1)

struct options {
	uint16_t port;
	unsigned threads;
	uint64_t latency_ns;
	size_t answer_bytes; /* of the completion's body, at least */
	unsigned events;     /* of a streamed answer */
	uint64_t event_ns;   /* from one event to the next */
};

/* An answer, or the next event of one, that is due at `at_ns`. What comes up is due the same time after
 * what came before, latency or --event-us, so that a queue in order of arrival is a queue in order of
 * time. */
struct due {
	struct conn *conn;
	int64_t at_ns;
	unsigned events_left; /* 0: an answer that is not streamed */
	struct due *next;
};

struct conn {
	int fd;
	bool closed;        /* freed when nothing is pending any more */
	unsigned pending;   /* answers in the queue of the loop */
	uint64_t body_left; /* bytes of the request body still to come */
	size_t asks_stream; /* bytes of STREAM_MARK that the body had last; all: it has the mark */
	char head[HEAD_MAX];
	size_t head_size;
	char *out; /* what the socket has not taken yet */
	size_t out_size, out_cap;
	bool wants_write;
	enum { ROUTE_CHAT, ROUTE_MODELS, ROUTE_STATS, ROUTE_NONE } route;
};

struct loop {
	int epoll_fd;
	int listen_fd;
	struct due *first, **last;
};

static struct options options = { .threads = 1, .answer_bytes = 400 };
static char *chat_answer; /* head and body, made once */
static size_t chat_answer_size;
static atomic_uint_fast64_t n_requests, n_body_bytes, n_connections;

static void die(const char *what)
{
	fprintf(stderr, "bench-upstream: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- answers ---- */

static void chat_answer_make(void)
{
	static const char open[] =
		"{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,"
		"\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
		"\"content\":\"";
	static const char end[] =
		"\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":60,"
		"\"completion_tokens\":20,\"total_tokens\":80}}";
	size_t fixed = strlen(open) + strlen(end);
	size_t content = options.answer_bytes > fixed ? options.answer_bytes - fixed : 1;
	char *text = malloc(content + 1);

	if (text == NULL)
		die("malloc");
	memset(text, 'a', content);
	for (size_t i = 5; i < content; i += 6)
		text[i] = ' ';
	text[content] = '\0';
	int n = asprintf(&chat_answer,
			 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
			 "Content-Length: %zu\r\n\r\n%s%s%s",
			 fixed + content, open, text, end);
	free(text);
	if (n < 0)
		die("asprintf");
	chat_answer_size = (size_t)n;
}

static void out_append(struct conn *c, const char *text, size_t size)
{
	if (c->out_size + size > c->out_cap) {
		size_t cap = (c->out_size + size) * 2;
		char *bigger = realloc(c->out, cap);

		if (bigger == NULL)
			die("realloc");
		c->out = bigger;
		c->out_cap = cap;
	}
	memcpy(c->out + c->out_size, text, size);
	c->out_size += size;
}

static void out_append_small(struct conn *c, const char *status, const char *body)
{
	char text[1024];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
			 "Content-Length: %zu\r\n\r\n%s",
			 status, strlen(body), body);

	out_append(c, text, (size_t)n);
}

static void stats_append(struct conn *c)
{
	char body[160];

	snprintf(body, sizeof(body), "{\"requests\":%ju,\"body_bytes\":%ju,\"connections\":%ju}",
		 (uintmax_t)atomic_load(&n_requests), (uintmax_t)atomic_load(&n_body_bytes),
		 (uintmax_t)atomic_load(&n_connections));
	out_append_small(c, "200 OK", body);
}

/* ---- connections ---- */

/* Closes the socket now; the memory goes when the last answer that is due has come up. */
static void conn_close(struct conn *c)
{
	if (!c->closed) {
		close(c->fd);
		c->closed = true;
	}
	if (c->pending == 0) {
		free(c->out);
		free(c);
	}
}

static void conn_watch(struct loop *l, struct conn *c, bool write)
{
	struct epoll_event event = { .events = write ? EPOLLOUT : EPOLLIN, .data.ptr = c };

	if (c->wants_write == write)
		return;
	c->wants_write = write; /* and not read: a client that does not read is not read from */
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) != 0)
		die("epoll_ctl");
}

/* False: the peer is gone. */
static bool conn_flush(struct loop *l, struct conn *c)
{
	size_t sent = 0;

	while (sent < c->out_size) {
		ssize_t n = send(c->fd, c->out + sent, c->out_size - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno != EINTR)
			return false;
		sent += n > 0 ? (size_t)n : 0;
	}
	c->out_size -= sent;
	if (c->out_size > 0)
		memmove(c->out, c->out + sent, c->out_size);
	conn_watch(l, c, c->out_size > 0);
	return true;
}

static void due_add(struct loop *l, struct due *d)
{
	d->next = NULL;
	*l->last = d;
	l->last = &d->next;
}

static void due_new(struct loop *l, struct conn *c, uint64_t after_ns, unsigned events)
{
	struct due *d = malloc(sizeof(*d));

	if (d == NULL)
		die("malloc");
	*d = (struct due){ .conn = c,
			   .at_ns = now_ns() + (int64_t)after_ns,
			   .events_left = events };
	due_add(l, d);
	c->pending++;
}

static void chat_request(struct loop *l, struct conn *c)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n";

	atomic_fetch_add_explicit(&n_requests, 1, memory_order_relaxed);
	if (c->asks_stream == STREAM_MARK_SIZE) {
		c->asks_stream = 0;
		out_append(c, head, sizeof(head) - 1);
		due_new(l, c, options.event_ns, options.events);
	} else if (options.latency_ns > 0) {
		due_new(l, c, options.latency_ns, 0);
	} else {
		out_append(c, chat_answer, chat_answer_size);
	}
}

static void request_end(struct loop *l, struct conn *c)
{
	static const char models[] =
		"{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\","
		"\"created\":1700000000,\"owned_by\":\"bench\"}]}";

	switch (c->route) {
	case ROUTE_CHAT:
		chat_request(l, c);
		break;
	case ROUTE_MODELS:
		out_append_small(c, "200 OK", models);
		break;
	case ROUTE_STATS:
		stats_append(c);
		break;
	case ROUTE_NONE:
		out_append_small(c, "404 Not Found", "{\"error\":{\"message\":\"no such path\"}}");
		break;
	}
}

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

/* Reads the request's head: route and size of its body. False: not a request that we speak. */
static bool head_read(struct conn *c, const char *head)
{
	const char *length = header_find(head, "content-length");
	const char *expect = header_find(head, "expect");

	if (header_find(head, "transfer-encoding") != NULL)
		return false;
	c->body_left = length != NULL ? strtoull(length, NULL, 10) : 0;
	if (strncmp(head, "POST ", 5) == 0 && strstr(head, "/chat/completions HTTP/1.") != NULL)
		c->route = ROUTE_CHAT;
	else if (strncmp(head, "GET /v1/models ", 15) == 0)
		c->route = ROUTE_MODELS;
	else if (strncmp(head, "GET /stats ", 11) == 0)
		c->route = ROUTE_STATS;
	else
		c->route = ROUTE_NONE;
	if (expect != NULL && strncasecmp(expect, "100-continue", 12) == 0)
		out_append(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	return true;
}

/* Adds `n` bytes to the request's head. Returns how many of them belong to it, 0 when it is no
 * head of ours; `*whole` when the head is whole. */
static size_t head_feed(struct conn *c, const char *data, size_t n, bool *whole)
{
	size_t before = c->head_size;
	size_t take = n < HEAD_MAX - 1 - before ? n : HEAD_MAX - 1 - before;

	memcpy(c->head + before, data, take);
	size_t scan = before > 3 ? before - 3 : 0; /* the blank line may lie across two reads */
	const char *end = memmem(c->head + scan, before + take - scan, "\r\n\r\n", 4);
	*whole = end != NULL;
	if (end == NULL) {
		c->head_size = before + take;
		return take;
	}
	size_t size = (size_t)(end - c->head) + 4;
	c->head[size - 2] = '\0';
	c->head_size = 0;
	return head_read(c, c->head) ? size - before : 0;
}

/* Looks for STREAM_MARK in a body, wherever its pieces are cut. */
static void body_look(struct conn *c, const char *data, size_t n)
{
	for (size_t i = 0; i < n && c->asks_stream < STREAM_MARK_SIZE; i++) {
		if (data[i] == STREAM_MARK[c->asks_stream])
			c->asks_stream++;
		else
			c->asks_stream = data[i] == STREAM_MARK[0];
	}
}

/* False: the connection is to be closed. */
static bool conn_feed(struct loop *l, struct conn *c, const char *data, size_t n)
{
	while (n > 0) {
		size_t used;
		bool whole = true;

		if (c->body_left > 0) {
			used = n < c->body_left ? n : (size_t)c->body_left;
			c->body_left -= used;
			if (options.events > 0)
				body_look(c, data, used);
			atomic_fetch_add_explicit(&n_body_bytes, used, memory_order_relaxed);
		} else {
			used = head_feed(c, data, n, &whole);
			if (used == 0)
				return false;
		}
		if (whole && c->body_left == 0)
			request_end(l, c);
		data += used;
		n -= used;
	}
	return c->out_size <= OUT_MAX || conn_flush(l, c);
}

static void conn_ready(struct loop *l, struct conn *c, uint32_t events)
{
	static _Thread_local char data[READ_SIZE];

	if ((events & EPOLLOUT) != 0) {
		if (!conn_flush(l, c))
			conn_close(c);
		return;
	}
	ssize_t n = recv(c->fd, data, sizeof(data), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !conn_feed(l, c, data, (size_t)n) || !conn_flush(l, c))
		conn_close(c);
}

static void conn_accept(struct loop *l)
{
	int fd = accept4(l->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int one = 1;

	if (fd < 0)
		return; /* another thread was first, or the peer is gone */
	struct conn *c = calloc(1, sizeof(*c));
	if (c == NULL)
		die("calloc");
	c->fd = fd;
	atomic_fetch_add(&n_connections, 1);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		die("epoll_ctl");
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the kernel keeps the pointer */
}

/* ---- the loop ---- */

/* An event has one '~': who counts these counts events, however the bytes were cut. */
static void event_append(struct conn *c, bool last)
{
	static const char event[] =
		"data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
		"\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" tide~\"},"
		"\"finish_reason\":null}]}\n\n";
	char chunk[sizeof(event) + 64];
	int n = snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n%s", sizeof(event) - 1, event,
			 last ? "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n" : "");

	out_append(c, chunk, (size_t)n);
}

/* Sends the first of what is due; an event is followed by the next. */
static void due_send(struct loop *l)
{
	struct due *d = l->first;
	struct conn *c = d->conn;
	bool stays = d->events_left > 1 && !c->closed;

	l->first = d->next;
	if (l->first == NULL)
		l->last = &l->first;
	if (d->events_left == 0)
		out_append(c, chat_answer, chat_answer_size);
	else
		event_append(c, !stays);
	if (stays) {
		d->events_left--;
		d->at_ns += (int64_t)options.event_ns;
		due_add(l, d);
	} else {
		free(d);
		c->pending--;
	}
	if (c->closed || !conn_flush(l, c))
		conn_close(c);
}

/* Sends what is due. How long until the next one; NULL: none waits. */
static const struct timespec *due_send_all(struct loop *l, struct timespec *wait)
{
	int64_t now = now_ns();

	while (l->first != NULL && l->first->at_ns <= now)
		due_send(l);
	if (l->first == NULL)
		return NULL;
	int64_t left_ns = l->first->at_ns - now_ns();
	if (left_ns < 0)
		left_ns = 0;
	*wait = (struct timespec){ left_ns / NS_PER_S, left_ns % NS_PER_S };
	return wait;
}

static void *loop_run(void *arg)
{
	struct loop l = { .listen_fd = *(int *)arg, .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	struct epoll_event events[EVENTS_MAX];
	struct epoll_event listening = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL };
	struct timespec wait;

	l.last = &l.first;
	if (l.epoll_fd < 0 || epoll_ctl(l.epoll_fd, EPOLL_CTL_ADD, l.listen_fd, &listening) != 0)
		die("epoll");
	for (;;) {
		int n = epoll_pwait2(l.epoll_fd, events, EVENTS_MAX, due_send_all(&l, &wait), NULL);

		if (n < 0 && errno != EINTR)
			die("epoll_pwait2");
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				conn_accept(&l);
			else
				conn_ready(&l, events[i].data.ptr, events[i].events);
		}
	}
	return NULL;
}

static int listen_open(uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(*port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, size) != 0 || listen(fd, 1024) != 0)
		die("listen");
	if (getsockname(fd, (struct sockaddr *)&at, &size) != 0)
		die("getsockname");
	*port = ntohs(at.sin_port);
	return fd;
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	char *end = NULL;
	unsigned long long n = arg != NULL ? strtoull(arg, &end, 10) : 0;

	if (arg != NULL && (end == arg || *end != '\0'))
		argp_error(state, "'%s' is not a number", arg);
	switch (key) {
	case 'p':
		if (n > UINT16_MAX)
			argp_error(state, "a port is at most %u", UINT16_MAX);
		options.port = (uint16_t)n;
		return 0;
	case 't':
		if (n < 1 || n > THREADS_MAX)
			argp_error(state, "1 to %d threads", THREADS_MAX);
		options.threads = (unsigned)n;
		return 0;
	case 'l':
		options.latency_ns = n * 1000;
		return 0;
	case 'a':
		options.answer_bytes = (size_t)n;
		return 0;
	case 'n':
		if (n > UINT_MAX)
			argp_error(state, "at most %u events", UINT_MAX);
		options.events = (unsigned)n;
		return 0;
	case 'e':
		options.event_ns = n * 1000;
		return 0;
	case ARGP_KEY_END:
		if (options.events > 0 && options.latency_ns > 0)
			argp_error(state, "--events and --latency-us do not go together");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option known[] = {
		{ "port", 'p', "PORT", 0, "Listen on 127.0.0.1:PORT (default 0: any free one)", 0 },
		{ "threads", 't', "N", 0, "Event loops (default 1)", 0 },
		{ "latency-us", 'l', "US", 0, "Answer this long after the request (default 0)", 0 },
		{ "answer-bytes", 'a', "N", 0, "Size of an answer's body (default 400)", 0 },
		{ "events", 'n', "N", 0, "Events of a streamed answer (default 0: none is)", 0 },
		{ "event-us", 'e', "US", 0, "From one event to the next (default 0)", 0 },
		{ 0 },
	};
	const struct argp argp = {
		known, option_parse,
		NULL,  "A zero-latency OpenAI-compatible upstream to measure against.",
		NULL,  NULL,
		NULL
	};
	pthread_t thread;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	signal(SIGPIPE, SIG_IGN);
	chat_answer_make();
	int listen_fd = listen_open(&options.port);
	printf("http://127.0.0.1:%u/v1\n", options.port);
	fflush(stdout);
	for (unsigned i = 1; i < options.threads; i++) {
		if (pthread_create(&thread, NULL, loop_run, &listen_fd) != 0)
			die("pthread_create");
	}
	loop_run(&listen_fd);
	return 0;
}
