/* wire.c: see wire.h. */
#include "dispatch/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/sys.h"

#define EVENTS_MAX 128
#define CONNECT_TIMEOUT_MS 10000L

struct socket_watch {
	uint32_t wanted;     /* what libcurl wants to hear */
	uint32_t registered; /* what epoll has; may be more than wanted */
	bool connection;     /* to an upstream; else one of libcurl's own, such as its resolver's */
};

struct wire {
	CURLM *multi;
	char *no_proxy;
	int epoll_fd, wake_fd;
	struct socket_watch *sockets; /* by descriptor */
	size_t socket_cap;
	uint64_t curl_due_ms; /* UINT64_MAX: none */
};

/* ---- sockets ---- */

static bool sockets_reserve(struct wire *w, int fd)
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

/* What was noted of a descriptor ends when a new socket gets it: libcurl closes those that never came
 * to be connected without calling on_socket_close(). */
static curl_socket_t on_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	struct wire *w = arg;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0 && sockets_reserve(w, fd))
		w->sockets[fd] = (struct socket_watch){ .connection = true };
	return fd;
}

static int on_socket_close(void *arg, curl_socket_t fd)
{
	struct wire *w = arg;
	if (fd >= 0 && (size_t)fd < w->socket_cap)
		w->sockets[fd] = (struct socket_watch){ 0 }; /* closing takes it out of epoll */
	return close(fd);
}

/* `registered` is what we believe; where the kernel knows better it is right. */
static void socket_register(struct wire *w, int fd, uint32_t events)
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
		log_warn("dispatch.epoll_failed", kv_int("errno", errno));
	s->registered = failed != 0 ? 0 : events;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	(void)easy;
	(void)socket_arg;
	struct wire *w = arg;
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

static void socket_ready(struct wire *w, const struct epoll_event *e)
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
}

/* ---- the turn of the loop ---- */

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	(void)multi;
	struct wire *w = arg;
	/* One more, because our clock cuts off fractions: libcurl takes a timer that fires early for
	 * none at all and does not set it again. */
	uint64_t wait = timeout_ms > 0 ? (uint64_t)timeout_ms + 1 : 0;
	w->curl_due_ms = timeout_ms < 0 ? UINT64_MAX : sys.monotonic_ms() + wait;
	return 0;
}

void wire_due(struct wire *w)
{
	int running;
	if (w->curl_due_ms != UINT64_MAX && sys.monotonic_ms() >= w->curl_due_ms) {
		w->curl_due_ms = UINT64_MAX;
		curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

static int shorter(const struct wire *w, int timeout_ms)
{
	uint64_t now = sys.monotonic_ms();
	if (w->curl_due_ms == UINT64_MAX)
		return timeout_ms;
	if (w->curl_due_ms <= now)
		return 0;
	uint64_t left = w->curl_due_ms - now;
	return timeout_ms >= 0 && (uint64_t)timeout_ms < left ? timeout_ms
	       : left > 60000                                 ? 60000
							      : (int)left;
}

void wire_wait(struct wire *w, int timeout_ms, bool *ret_woken)
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
			log_warn("dispatch.wake_failed", kv_int("errno", errno));
	}
	wire_due(w);
}

bool wire_done(struct wire *w, CURL **ret, CURLcode *ret_code)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(w->multi, &left)) != NULL)
		if (m->msg == CURLMSG_DONE) {
			*ret = m->easy_handle;
			*ret_code = m->data.result;
			return true;
		}
	return false;
}

void wire_wake(struct wire *w)
{
	uint64_t one = 1;
	if (write(w->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_warn("dispatch.wake_failed", kv_int("errno", errno));
}

/* ---- handles ---- */

CURL *wire_handle(struct wire *w)
{
	CURL *easy = curl_easy_init();
	if (easy == NULL)
		return NULL;
	if (curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket_open) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, w) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_socket_close) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, w) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_NOPROXY, w->no_proxy) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) == CURLE_OK)
		return easy;
	curl_easy_cleanup(easy);
	return NULL;
}

void wire_connections(struct wire *w, unsigned most)
{
	curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)most);
}

bool wire_start(struct wire *w, CURL *easy)
{
	return curl_multi_add_handle(w->multi, easy) == CURLM_OK;
}

void wire_stop(struct wire *w, CURL *easy)
{
	curl_multi_remove_handle(w->multi, easy);
}

bool wire_certificate_fault(CURLcode code, const char *detail)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM ||
	       code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CACERT_BADFILE ||
	       strstr(detail, "alert certificate required") != NULL;
}

bool wire_never_processed(CURLcode code, const char *detail)
{
	return (code == CURLE_HTTP2_STREAM || code == CURLE_HTTP2) &&
	       strstr(detail, "REFUSED_STREAM") != NULL;
}

/* ---- opening and closing ---- */

/* Loopback is never reached through a proxy, whatever the environment says. */
static char *no_proxy_list(void)
{
	const char *own = getenv("no_proxy");
	struct buf b = BUF(65536);
	if (own == NULL)
		own = getenv("NO_PROXY");
	buf_text(&b, "localhost,127.0.0.1,::1");
	if (own != NULL && *own != '\0') {
		buf_char(&b, ',');
		buf_text(&b, own);
	}
	buf_char(&b, '\0');
	if (b.failed)
		buf_free(&b);
	return b.p;
}

bool wire_open(struct wire **ret, struct error *err)
{
	struct wire *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return fail_memory(err);
	w->curl_due_ms = UINT64_MAX;
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event wake = { .events = EPOLLIN, .data.fd = w->wake_fd };
	if (w->epoll_fd < 0 || w->wake_fd < 0 ||
	    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &wake) != 0) {
		int saved = errno;
		wire_close(w);
		return fail_sys(err, saved, "opening the event loop");
	}
	w->multi = curl_multi_init();
	w->no_proxy = no_proxy_list();
	if (w->multi == NULL || w->no_proxy == NULL ||
	    curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
	    curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w) != CURLM_OK ||
	    curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
	    curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w) != CURLM_OK) {
		wire_close(w);
		return fail_memory(err);
	}
	*ret = w;
	return true;
}

void wire_close(struct wire *w)
{
	if (w == NULL)
		return;
	curl_multi_cleanup(w->multi);
	free(w->sockets);
	free(w->no_proxy);
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	free(w);
}
