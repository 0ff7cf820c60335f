/* wire.c: see wire.h. */
#include "dispatch/wire.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/sys.h"
#include "upstream/proxy.h"
#include "upstream/tls.h"

#define EVENTS_MAX 128
#define CONNECT_TIMEOUT_MS 10000L
#define PROBE_TIMEOUT_MS 1000L     /* to connect */
#define PROBE_TLS_TIMEOUT_MS 3000L /* likewise, where that takes more round trips */
#define DNS_CACHE_S 60L
/* libcurl lets go of what was idle for longer than this, in whole seconds: from 4.0 s on. uvicorn and
 * llama.cpp close after 5 s: a request sent then may meet the end of its connection. Four seconds leave
 * a second for the way, and cost a new connection only to who sends less than one request in four. */
#define IDLE_MAX_S 3L

struct socket_watch {
	uint32_t wanted;     /* what libcurl wants to hear */
	uint32_t registered; /* what epoll has; may be more than wanted */
	bool connection;     /* to an upstream; else one of libcurl's own, such as its resolver's */
};

struct wire {
	CURLM *multi;
	CURL **started; /* handles that libcurl has */
	size_t started_n, started_cap;
	bool holds;          /* some of them may wait for the connection of another */
	X509_STORE *machine; /* the machine's CA certificates; NULL: not needed yet */
	unsigned farewells;  /* peers that have said that they will send no more, not heeded yet */
	int epoll_fd, wake_fd;
	struct socket_watch *sockets; /* by descriptor */
	size_t socket_cap;
	uint64_t curl_due_ms; /* UINT64_MAX: none */
};

struct wire_route {
	struct wire *wire;
	bool https;
	X509_STORE *store; /* NULL: nothing on the way speaks TLS */
	char *ca_mark;     /* see tls_ca_mark(); NULL: the machine's */
	struct upstream_tls tls;
	char *proxy;      /* NULL: none */
	char by_way[224]; /* see wire_by_way() */
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

static bool reads(const struct wire *w, size_t fd)
{
	return w->sockets[fd].connection && (w->sockets[fd].wanted & EPOLLIN) != 0;
}

/* Over TLS a peer can say that it will send no more, and leave the connection open. libcurl reads that
 * once, for one of the requests on an HTTP/2 connection; the others wait for a socket that never gets
 * readable again (seen with 7.88.1). So every connection is looked at again, as often as a request ends
 * by it. */
static void farewells_heed(struct wire *w, int running)
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
	if (w->farewells == 1 && !w->sockets[fd].connection)
		w->farewells = 0; /* the connection is closed already: HTTP/1.1 */
	farewells_heed(w, running);
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
		farewells_heed(w, running);
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

/* Requests that wait for the connection of another to stand, because it may carry them all, do not wait
 * when one has failed: a connection that takes long to fail must hold up none but its own request. */
static void held_release(struct wire *w)
{
	for (size_t i = 0; w->holds && i < w->started_n; i++)
		curl_easy_setopt(w->started[i], CURLOPT_PIPEWAIT, 0L);
	w->holds = false;
}

static bool was_connected(CURL *easy)
{
	curl_off_t pretransfer_us = 0;
	return curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us) == CURLE_OK &&
	       pretransfer_us > 0;
}

bool wire_done(struct wire *w, CURL **ret, CURLcode *ret_code)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(w->multi, &left)) != NULL)
		if (m->msg == CURLMSG_DONE) {
			*ret = m->easy_handle;
			*ret_code = m->data.result;
			if (*ret_code != CURLE_OK && !was_connected(*ret))
				held_release(w);
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

/* ---- routes ---- */

static int wire_index(void)
{
	static int index = -1; /* the one loop's thread */
	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

static void on_tls_event(const SSL *ssl, int where, int what)
{
	struct wire *w = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), wire_index());
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
	    (what & 0xff) == SSL_AD_CLOSE_NOTIFY && w != NULL)
		w->farewells++;
}

/* Every connection has a context of its own; the CA certificates in it are the route's, parsed once. */
static CURLcode on_tls(CURL *easy, void *context, void *arg)
{
	(void)easy;
	const struct wire_route *r = arg;
	SSL_CTX *ctx = context;
	if (r->store != NULL)
		SSL_CTX_set1_cert_store(ctx, r->store);
	SSL_CTX_set_info_callback(ctx, on_tls_event);
	return SSL_CTX_set_ex_data(ctx, wire_index(), r->wire) == 1 ? CURLE_OK
								    : CURLE_OUT_OF_MEMORY;
}

static X509_STORE *machine_store(struct wire *w)
{
	const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
	bool good = true;
	if (w->machine == NULL)
		w->machine = tls_store_of_machine(built->cainfo, built->capath, &good);
	if (!good)
		log_warn("tls.ca_unreadable",
			 kv_str("say", "SSL_CERT_FILE, SSL_CERT_DIR or the machine's CA "
				       "certificates cannot be read"));
	if (w->machine != NULL && X509_STORE_up_ref(w->machine) != 1)
		return NULL;
	return w->machine;
}

static bool route_proxy(struct wire_route *r, const char *proxy)
{
	char name[192];
	if (proxy == NULL)
		return true;
	proxy_name(proxy, name, sizeof(name));
	snprintf(r->by_way, sizeof(r->by_way), "by way of the proxy %s: ", name);
	r->proxy = strdup(proxy);
	return r->proxy != NULL;
}

static bool route_make(struct wire *w, const struct upstream_config *config, struct wire_route *r)
{
	const char *proxy = proxy_of(config->base_url);
	r->wire = w;
	r->https = strncmp(config->base_url, "https:", 6) == 0;
	if (!route_proxy(r, proxy))
		return false;
	if (config->tls.ca != NULL && (r->ca_mark = tls_ca_mark(config->tls.ca)) == NULL)
		return false;
	bool speaks_tls = r->https || (proxy != NULL && strncmp(proxy, "https:", 6) == 0);
	if (speaks_tls)
		r->store = config->tls.ca != NULL ? tls_store_of(config->tls.ca) : machine_store(w);
	return (r->store != NULL || !speaks_tls) && upstream_tls_copy(&config->tls, &r->tls);
}

struct wire_route *wire_route_new(struct wire *w, const struct upstream_config *config)
{
	struct wire_route *r = calloc(1, sizeof(*r));
	if (r == NULL || route_make(w, config, r))
		return r;
	wire_route_free(r);
	return NULL;
}

void wire_route_free(struct wire_route *r)
{
	if (r == NULL)
		return;
	tls_store_free(r->store);
	upstream_tls_done(&r->tls);
	free(r->ca_mark);
	free(r->proxy);
	free(r);
}

const char *wire_by_way(const struct wire_route *r)
{
	return r->by_way;
}

/* ---- handles ---- */

/* NULL: as libcurl has it without. */
static bool blob_set(CURL *easy, CURLoption option, char *text)
{
	struct curl_blob blob = { text, text != NULL ? strlen(text) : 0, CURL_BLOB_NOCOPY };
	return text == NULL || curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

/* libcurl loads no CA certificates by itself: in each new connection that would take it tens of
 * milliseconds. What it gets of them tells it connections of one trust from those of another. */
static bool tls_set(CURL *easy, const struct wire_route *r)
{
	char *key = r->tls.key != NULL ? r->tls.key : r->tls.cert;
	return curl_easy_setopt(easy, CURLOPT_CAINFO, (char *)NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CAPATH, (char *)NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, (char *)NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, (char *)NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, r) == CURLE_OK &&
	       blob_set(easy, CURLOPT_CAINFO_BLOB, r->ca_mark) &&
	       blob_set(easy, CURLOPT_SSLCERT_BLOB, r->tls.cert) &&
	       blob_set(easy, CURLOPT_SSLKEY_BLOB, key);
}

static bool route_set(CURL *easy, const struct wire_route *r)
{
	/* Without TLS nobody could say HTTP/2, and nothing is to wait to hear it (wire_start()). */
	long version = r->https ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
	return curl_easy_setopt(easy, CURLOPT_PROXY, r->proxy != NULL ? r->proxy : "") ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version) == CURLE_OK &&
	       tls_set(easy, r);
}

CURL *wire_handle(struct wire *w, const struct wire_route *r)
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
	    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_MAX_S) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	    wire_probe(r, easy, false) && route_set(easy, r))
		return easy;
	curl_easy_cleanup(easy);
	return NULL;
}

bool wire_name_anew(CURL *easy, bool anew)
{
	return curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, anew ? 0L : DNS_CACHE_S) ==
	       CURLE_OK;
}

bool wire_probe(const struct wire_route *r, CURL *easy, bool probe)
{
	long timeout_ms = !probe                         ? CONNECT_TIMEOUT_MS
			  : r->https || r->proxy != NULL ? PROBE_TLS_TIMEOUT_MS
							 : PROBE_TIMEOUT_MS;
	return curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms) == CURLE_OK &&
	       wire_name_anew(easy, probe);
}

void wire_connections(struct wire *w, unsigned most)
{
	curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)most);
}

/* Waits for a connection that is just being made, if it may turn out to carry many requests. */
bool wire_start(struct wire *w, CURL *easy)
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

void wire_stop(struct wire *w, CURL *easy)
{
	size_t i = w->started_n;
	while (i > 0 && w->started[i - 1] != easy)
		i--;
	if (i > 0)
		w->started[i - 1] = w->started[--w->started_n];
	curl_multi_remove_handle(w->multi, easy);
}

/* ---- what went wrong ---- */

/* Codes of the time before a request. */
static bool is_of_connecting(CURLcode code)
{
	return code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_RESOLVE_HOST ||
	       code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR ||
	       code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM;
}

const char *wire_sentence(CURLcode code, const char *detail, bool sent)
{
	bool of_another = sent && is_of_connecting(code);
	return detail[0] != '\0' && !of_another ? detail : curl_easy_strerror(code);
}

static bool has_any(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(text, words[i]) != NULL)
			return true;
	return false;
}

bool wire_certificate_fault(CURLcode code, const char *detail)
{
	/* OpenSSL's words for the alerts by which a server refuses ours (RFC 8446, 6.2). In TLS 1.3
	 * one comes after the handshake, as the answer to a request. */
	static const char *const alerts[] = {
		"alert certificate required",
		"alert bad certificate",
		"alert unsupported certificate",
		"alert certificate revoked",
		"alert certificate expired",
		"alert certificate unknown",
		"alert unknown ca",
		"alert access denied",
		"alert no certificate",
	};
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
		return true;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return has_any(detail, alerts, ARRAY_LEN(alerts));
	default:
		return false;
	}
}

bool wire_never_processed(CURLcode code, const char *detail)
{
	switch (code) {
	case CURLE_HTTP2: /* of the session, which takes no more requests: GOAWAY */
		return true;
	case CURLE_HTTP2_STREAM: /* RFC 9113, 8.7 */
		return strstr(detail, "REFUSED_STREAM") != NULL ||
		       strstr(detail, "(err 7)") != NULL;
	case CURLE_PARTIAL_FILE: /* HTTP/2: the connection went from under the request */
		return strstr(detail, "before end of the underlying stream") != NULL;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR: /* refused, or met a dead kept connection, each time */
		return strstr(detail, "Connection died, tried") != NULL;
	default:
		return false;
	}
}

bool wire_proxy_refused(CURL *easy, CURLcode code)
{
	long status = 0; /* of the answer to CONNECT */
	if (code == CURLE_OK || was_connected(easy) ||
	    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status) != CURLE_OK)
		return false;
	return status == 401 || status == 403 || status == 407;
}

/* ---- opening and closing ---- */

/* libcurl can be built with other TLS libraries, which have no X509_STORE. */
static bool has_openssl(void)
{
	CURL *easy = curl_easy_init();
	bool has = easy != NULL &&
		   curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK;
	curl_easy_cleanup(easy);
	return has;
}

bool wire_open(struct wire **ret, struct error *err)
{
	if (!has_openssl())
		return fail(err, ERR_INTERNAL, "libcurl is not the one with OpenSSL: libcurl4");
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
	if (w->multi == NULL ||
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
	free(w->started);
	tls_store_free(w->machine);
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	free(w);
}
