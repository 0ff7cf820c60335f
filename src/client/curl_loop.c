/* curl_loop.c: libcurl's multi interface driven by one epoll set: sockets, timers, and the
 * descriptor that wakes the loop.
 *
 * epoll is told little: libcurl says "not interested" whenever a request ends and "interested"
 * when the next one starts on the same connection. The first is only noted, so that a kept-alive
 * connection costs no epoll_ctl() a request. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "client/curl_impl.h"

#define EVENTS_MAX 128
/* libcurl lets go of what was idle for longer than this, in whole seconds: from 4.0 s on.
 * uvicorn and llama.cpp close after 5 s: a request sent then may meet the end of its connection.
 * Four seconds leave a second for the way, and cost a new connection only where less than one
 * request is sent in four. */
#define IDLE_MAX_S 3L

struct socket_watch {
	uint32_t wanted;     /* what libcurl wants to hear */
	uint32_t registered; /* what epoll has; may be more than wanted */
	bool connection;     /* to an upstream; else one of libcurl's own, such as its resolver's */
};

/* ---- sockets ---- */

static bool sockets_reserve(struct curl_client *w, int fd)
{
	if ((size_t)fd < w->socket_cap)
		return true;
	size_t cap = ((size_t)fd + 1) * 2;
	struct socket_watch *sockets = realloc(w->sockets, cap * sizeof(*sockets));
	if (sockets == NULL)
		return false;
	memset(sockets + w->socket_cap, 0, (cap - w->socket_cap) * sizeof(*sockets));
	w->sockets = sockets;
	w->socket_cap = cap;
	return true;
}

/* What was noted of a descriptor ends when a new socket gets it: libcurl closes those that never
 * came to be connected without calling on_socket_close(). */
static curl_socket_t on_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	struct curl_exchange *c = arg;
	struct curl_client *w = (struct curl_client *)c->of->client;
	const char *why = w->guard != NULL ? w->guard(&address->addr) : NULL;
	if (why != NULL) {
		c->kept_off = why;
		return CURL_SOCKET_BAD;
	}
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0 && sockets_reserve(w, fd))
		w->sockets[fd] = (struct socket_watch){ .connection = true };
	return fd;
}

static int on_socket_close(void *arg, curl_socket_t fd)
{
	struct curl_client *w = arg;

	if (fd >= 0 && (size_t)fd < w->socket_cap)
		w->sockets[fd] = (struct socket_watch){ 0 }; /* closing takes it out of epoll */
	return close(fd);
}

/* `registered` is what we believe; where the kernel knows better it is right. */
static void socket_register(struct curl_client *w, int fd, uint32_t events)
{
	struct socket_watch *s = &w->sockets[fd];
	struct epoll_event e = { .events = events, .data.fd = fd };
	int op = s->registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (events == 0)
		op = EPOLL_CTL_DEL;
	int failed = epoll_ctl(w->epoll_fd, op, fd, &e);
	if (failed != 0 && op == EPOLL_CTL_MOD && errno == ENOENT)
		failed = epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &e);
	else if (failed != 0 && op == EPOLL_CTL_ADD && errno == EEXIST)
		failed = epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, fd, &e);
	if (failed != 0 && errno != EBADF && errno != ENOENT) /* those two: it is closed already */
		log_warn("client.epoll_failed", kv_int("errno", errno));
	s->registered = failed != 0 ? 0 : events;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	(void)easy;
	(void)socket_arg;
	struct curl_client *w = arg;
	if (!sockets_reserve(w, fd))
		return -1;
	uint32_t wanted = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		wanted |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		wanted |= EPOLLOUT;
	struct socket_watch *s = &w->sockets[fd];
	s->wanted = wanted;
	bool keep = wanted == 0 && (s->connection || s->registered == 0);
	if (!keep && wanted != s->registered)
		socket_register(w, fd, wanted);
	return 0;
}

static bool reads(const struct curl_client *w, size_t fd)
{
	return w->sockets[fd].connection && (w->sockets[fd].wanted & EPOLLIN) != 0;
}

/* Over TLS a peer can say that it will send no more, and leave the connection open. libcurl
 * reads that once, for one of the requests on an HTTP/2 connection; the others wait for a socket
 * that never gets readable again (seen with 7.88.1). So every connection is looked at again, as
 * often as a request ends by it. */
static void farewells_heed(struct curl_client *w, int running)
{
	while (w->farewells > 0) {
		w->farewells = 0;
		for (size_t fd = 0; fd < w->socket_cap; fd++)
			for (int before = running + 1; running < before && reads(w, fd);) {
				before = running;
				curl_multi_socket_action(w->multi, (curl_socket_t)fd,
							 CURL_CSELECT_IN, &running);
			}
	}
}

static void socket_ready(struct curl_client *w, const struct epoll_event *e)
{
	int fd = e->data.fd, running;

	if (w->sockets[fd].wanted == 0) {
		/* A connection that is idle, or whose reading is paused: what comes has to wait.
		 * If the upstream has closed it, libcurl will find out by itself. */
		if (w->sockets[fd].registered != 0)
			socket_register(w, fd, 0);
		return;
	}
	int mask = 0;
	if (e->events & EPOLLIN)
		mask |= CURL_CSELECT_IN;
	if (e->events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (e->events & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	curl_multi_socket_action(w->multi, fd, mask, &running);
	if (w->farewells == 1 && !w->sockets[fd].connection)
		w->farewells = 0; /* the connection is closed already: HTTP/1.1 */
	farewells_heed(w, running);
}

/* ---- the turn of the loop ---- */

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	(void)multi;
	struct curl_client *w = arg;
	/* One more, because our clock cuts off fractions: libcurl takes a timer that fires early
	 * for none at all and does not set it again. */
	uint64_t wait = timeout_ms > 0 ? (uint64_t)timeout_ms + 1 : 0;
	w->curl_due_ms = timeout_ms < 0 ? UINT64_MAX : sys.monotonic_ms() + wait;
	return 0;
}

void curl_loop_due(struct curl_client *w)
{
	int running;

	if (w->curl_due_ms != UINT64_MAX && sys.monotonic_ms() >= w->curl_due_ms) {
		w->curl_due_ms = UINT64_MAX;
		curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		farewells_heed(w, running);
	}
}

/* How long to wait where the caller wants no longer than `timeout_ms`; -1: for ever. */
static int shorter(const struct curl_client *w, int timeout_ms)
{
	int left_ms = clock_wait_ms(w->curl_due_ms, sys.monotonic_ms());

	if (left_ms < 0 || (timeout_ms >= 0 && timeout_ms < left_ms))
		return timeout_ms;
	return left_ms;
}

void curl_loop_wait(struct curl_client *w, int timeout_ms, bool *ret_woken)
{
	struct epoll_event events[EVENTS_MAX];

	*ret_woken = false;
	int n = epoll_wait(w->epoll_fd, events, EVENTS_MAX, shorter(w, timeout_ms));
	for (int i = 0; i < n; i++) {
		uint64_t count;
		if (events[i].data.fd != w->wake_fd) {
			socket_ready(w, &events[i]);
			continue;
		}
		*ret_woken = true;
		if (read(w->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			log_warn("client.wake_failed", kv_int("errno", errno));
	}
	curl_loop_due(w);
}

/* Requests that wait for the connection of another to stand, because it may carry them all, do
 * not wait when one has failed: a connection that takes long to fail must hold up none but its
 * own request. */
static void held_release(struct curl_client *w)
{
	for (size_t i = 0; w->holds && i < w->started_n; i++)
		curl_easy_setopt(w->started[i], CURLOPT_PIPEWAIT, 0L);
	w->holds = false;
}

struct curl_exchange *curl_loop_ended(struct curl_client *w, CURLcode *ret)
{
	struct curl_exchange *x;
	const CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(w->multi, &left)) != NULL) {
		CURL *easy = m->easy_handle;
		CURLcode code = m->data.result;
		if (m->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &x) != CURLE_OK)
			continue;
		if (code != CURLE_OK && !curl_fault_connected(easy))
			held_release(w);
		*ret = code;
		return x;
	}
	return NULL;
}

void curl_loop_wake(const struct curl_client *w)
{
	uint64_t one = 1;

	if (write(w->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_warn("client.wake_failed", kv_int("errno", errno));
}

/* ---- handles ---- */

CURL *curl_loop_handle(struct curl_client *w, struct curl_exchange *c)
{
	CURL *easy = curl_easy_init();

	if (easy == NULL)
		return NULL;
	if (curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket_open) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, c) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_socket_close) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, w) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	    /* A resolver that hangs is left behind: without it the loop would wait for its thread. */
	    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_MAX_S) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK)
		return easy;
	curl_easy_cleanup(easy);
	return NULL;
}

/* Waits for a connection that is just being made, if it may turn out to carry many requests. */
bool curl_loop_start(struct curl_client *w, CURL *easy)
{
	if (w->started_n == w->started_cap) {
		size_t cap = w->started_cap == 0 ? 64 : 2 * w->started_cap;
		CURL **more = reallocarray(w->started, cap, sizeof(*more));
		if (more == NULL)
			return false;
		w->started = more;
		w->started_cap = cap;
	}
	if (curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L) != CURLE_OK ||
	    curl_multi_add_handle(w->multi, easy) != CURLM_OK)
		return false;
	w->started[w->started_n++] = easy;
	w->holds = true;
	return true;
}

void curl_loop_stop(struct curl_client *w, CURL *easy)
{
	size_t i = w->started_n;

	while (i > 0 && w->started[i - 1] != easy)
		i--;
	if (i > 0)
		w->started[i - 1] = w->started[--w->started_n];
	curl_multi_remove_handle(w->multi, easy);
}

/* ---- opening and closing ---- */

static bool epoll_open(struct curl_client *w)
{
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event wake = { .events = EPOLLIN, .data.fd = w->wake_fd };
	return w->epoll_fd >= 0 && w->wake_fd >= 0 &&
	       epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &wake) == 0;
}

static bool multi_open(struct curl_client *w)
{
	w->multi = curl_multi_init();
	return w->multi != NULL &&
	       curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
	       curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w) == CURLM_OK &&
	       curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
	       curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w) == CURLM_OK;
}

bool curl_loop_open(struct curl_client *w, struct error *err)
{
	w->curl_due_ms = UINT64_MAX;
	if (!epoll_open(w)) {
		int saved = errno;
		curl_loop_close(w);
		return fail_sys(err, saved, "opening the event loop");
	}
	if (!multi_open(w)) {
		curl_loop_close(w);
		return fail_memory(err);
	}
	return true;
}

void curl_loop_close(struct curl_client *w)
{
	curl_multi_cleanup(w->multi);
	free(w->sockets);
	free(w->started);
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
}
