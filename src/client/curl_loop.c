/* curl_loop.c: libcurl's multi interface driven by the client's loop: its sockets and timers.
 *
 * epoll is told little: libcurl says "not interested" whenever a request ends and "interested"
 * when the next one starts on the same connection. The first is only noted, so that a kept-alive
 * connection costs no epoll_ctl() a request. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "client/curl_impl.h"

/* libcurl lets go of what was idle for longer than this, in whole seconds: from 4.0 s on.
 * uvicorn and llama.cpp close after 5 s: a request sent then may meet the end of its connection.
 * Four seconds leave a second for the way, and cost a new connection only where less than one
 * request is sent in four. */
#define IDLE_MAX_S 3L

struct socket_watch {
	struct loop_watch watch; /* first */
	struct curl_client *of;
	int fd;
	uint32_t wanted;     /* what libcurl wants to hear */
	uint32_t registered; /* what epoll has; may be more than wanted */
	bool connection;     /* to an upstream; else one of libcurl's own, such as its resolver's */
};

/* ---- sockets ---- */

static void socket_ready(struct loop_watch *watch, uint32_t events);

static bool sockets_reserve(struct curl_client *w, int fd)
{
	if ((size_t)fd < w->socket_cap)
		return true;
	size_t cap = ((size_t)fd + 1) * 2;
	struct socket_watch **sockets = reallocarray(w->sockets, cap,
						     sizeof(struct socket_watch *));
	if (sockets == NULL)
		return false;
	memset(sockets + w->socket_cap, 0, (cap - w->socket_cap) * sizeof(struct socket_watch *));
	w->sockets = sockets;
	w->socket_cap = cap;
	return true;
}

/* NULL: no memory. */
static struct socket_watch *socket_of(struct curl_client *w, int fd)
{
	if (!sockets_reserve(w, fd))
		return NULL;
	if (w->sockets[fd] == NULL)
		w->sockets[fd] = calloc(1, sizeof(*w->sockets[fd]));
	if (w->sockets[fd] == NULL)
		return NULL;
	w->sockets[fd]->watch.ready = socket_ready;
	w->sockets[fd]->of = w;
	w->sockets[fd]->fd = fd;
	return w->sockets[fd];
}

static void socket_forget(struct socket_watch *s, bool connection)
{
	s->wanted = s->registered = 0;
	s->connection = connection;
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
	if (!curl_streams_may_open(c))
		return CURL_SOCKET_BAD;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	struct socket_watch *s = fd >= 0 ? socket_of(w, fd) : NULL;
	if (s != NULL)
		socket_forget(s, true);
	return fd;
}

static int on_socket_close(void *arg, curl_socket_t fd)
{
	struct curl_client *w = arg;

	if (fd >= 0 && (size_t)fd < w->socket_cap && w->sockets[fd] != NULL)
		socket_forget(w->sockets[fd], false); /* closing takes it out of epoll */
	return close(fd);
}

static void socket_register(struct socket_watch *s, uint32_t events)
{
	bool ok = loop_watch(s->of->loop, s->fd, s->registered, events, &s->watch);

	s->registered = ok ? events : 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	(void)easy;
	(void)socket_arg;
	struct socket_watch *s = socket_of(arg, fd);
	uint32_t wanted = 0;
	if (s == NULL)
		return -1;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		wanted |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		wanted |= EPOLLOUT;
	s->wanted = wanted;
	bool keep = wanted == 0 && (s->connection || s->registered == 0);
	if (!keep && wanted != s->registered)
		socket_register(s, wanted);
	return 0;
}

static bool reads(const struct curl_client *w, size_t fd)
{
	const struct socket_watch *s = w->sockets[fd];

	return s != NULL && s->connection && (s->wanted & EPOLLIN) != 0;
}

/* libcurl may have read an answer in the same breath in which it sent the request: the exchange has
 * ended, and no socket and no timer will tell. */
static void ended_heed(struct curl_client *w, int running)
{
	w->undelivered |= (size_t)running < w->started_n;
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
	ended_heed(w, running);
}

static void socket_ready(struct loop_watch *watch, uint32_t events)
{
	struct socket_watch *s = (struct socket_watch *)watch;
	struct curl_client *w = s->of;
	int running;

	if (s->wanted == 0) {
		/* A connection that is idle, or whose reading is paused: what comes has to wait.
		 * If the upstream has closed it, libcurl will find out by itself. */
		if (s->registered != 0)
			socket_register(s, 0);
		return;
	}
	int mask = 0;
	if (events & EPOLLIN)
		mask |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	curl_multi_socket_action(w->multi, s->fd, mask, &running);
	if (w->farewells == 1 && !s->connection)
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

uint64_t curl_loop_due_ms(const struct curl_client *w)
{
	return w->undelivered ? 0 : w->curl_due_ms;
}

void curl_loop_due(struct curl_client *w)
{
	int running;

	curl_loop_resume(w);
	if (w->curl_due_ms != UINT64_MAX && sys.monotonic_ms() >= w->curl_due_ms) {
		w->curl_due_ms = UINT64_MAX;
		curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		farewells_heed(w, running);
	}
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
		if (code != CURLE_OK && !x->held && !curl_fault_connected(easy)) {
			curl_streams_failed(x);
			held_release(w);
		}
		*ret = code;
		return x;
	}
	w->undelivered = false;
	return NULL;
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

void curl_loop_resume(struct curl_client *w)
{
	struct curl_exchange *c;

	while ((c = curl_streams_next(w)) != NULL) {
		c->said[0] = '\0';
		c->held = !curl_loop_start(w, c->easy);
		if (c->held) { /* no memory: at the next turn */
			curl_streams_hold(w, c);
			return;
		}
	}
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

bool curl_loop_open(struct curl_client *w)
{
	w->curl_due_ms = UINT64_MAX;
	w->multi = curl_multi_init();
	return w->multi != NULL &&
	       curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
	       curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w) == CURLM_OK &&
	       curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
	       curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w) == CURLM_OK;
}

void curl_loop_close(struct curl_client *w)
{
	curl_multi_cleanup(w->multi);
	for (size_t fd = 0; fd < w->socket_cap; fd++)
		free(w->sockets[fd]);
	free(w->sockets);
	free(w->started);
}
