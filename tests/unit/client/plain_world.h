/* plain_world.h: a client that speaks HTTP/1.1 itself, and a server that the test plays in the same
 * thread: each byte goes when the test says so. With `over_tls` both speak TLS. */
#pragma once

#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "certs.h"
#include "client/client.h"

/* ---- time ---- */

static _Atomic time_t later_s;
static bool time_stands; /* but for later_s */
static struct timespec stood;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	int failed = (int)syscall(SYS_clock_gettime, id, ret);
	if (time_stands && id == CLOCK_MONOTONIC)
		*ret = stood;
	ret->tv_sec += later_s;
	return failed;
}

static inline void time_stop(void)
{
	time_stands = syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &stood) == 0;
}

/* ---- names ---- */

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER; /* held: a look-up hangs */
static _Atomic int names_fail;
static _Atomic unsigned looked_up, freed;
static const char *_Atomic names[3]; /* IPv4, in order; NULL: no more */

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	struct {
		struct addrinfo info;
		struct sockaddr_in address;
	} *all = calloc(ARRAY_LEN(names), sizeof(*all));
	(void)name;
	(void)hints;
	pthread_mutex_lock(&names_lock);
	pthread_mutex_unlock(&names_lock);
	looked_up++;
	if (names_fail != 0) {
		free(all);
		return names_fail;
	}
	for (size_t i = 0; i < ARRAY_LEN(names) && names[i] != NULL; i++) {
		all[i].address.sin_family = AF_INET;
		all[i].address.sin_addr.s_addr = inet_addr(names[i]);
		all[i].address.sin_port = htons((uint16_t)strtoul(service, NULL, 10));
		all[i].info = (struct addrinfo){ .ai_family = AF_INET,
						 .ai_addrlen = sizeof(all[i].address),
						 .ai_addr = (struct sockaddr *)&all[i].address };
		if (i > 0)
			all[i - 1].info.ai_next = &all[i].info;
	}
	*ret = &all[0].info;
	return 0;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved */
void freeaddrinfo(struct addrinfo *info)
{
	free(info);
	freed++;
}

/* ---- both sides ---- */

struct ask {
	struct exchange exchange; /* first: the ops are handed it */
	enum exchange_taken takes;
	struct buf body;
	char said[256];
	enum exchange_end how;
	int status;
	unsigned heads, outs, dones;
	uint64_t length;
};

struct world {
	struct client *client;
	struct client_route *route;
	int listener;
	uint16_t port;
	int fd; /* of the server's connection that was accepted last; -1: none */
	struct ask ask;
};

static inline void ask_sent(struct exchange *x)
{
	((struct ask *)x)->outs++;
}

static inline void ask_head(struct exchange *x, const struct exchange_head *h)
{
	((struct ask *)x)->heads++;
	((struct ask *)x)->length = h->length;
}

static inline enum exchange_taken ask_body(struct exchange *x, struct slice piece)
{
	struct ask *a = (struct ask *)x;

	if (a->takes == EXCHANGE_TAKEN)
		buf_add(&a->body, piece);
	return a->takes;
}

static inline void ask_done(struct exchange *x, const struct exchange_result *r)
{
	struct ask *a = (struct ask *)x;

	a->dones++;
	a->how = r->how;
	a->status = r->status;
	snprintf(a->said, sizeof(a->said), "%s", r->said);
}

static bool may_not_go; /* what is to be sent is not to go any more */

static inline bool ask_may_go(struct exchange *x)
{
	(void)x;
	return !may_not_go;
}

static const struct exchange_ops ops = {
	.may_go = ask_may_go,
	.sent = ask_sent,
	.body = ask_body,
	.done = ask_done,
};
static const struct exchange_ops head_ops = {
	.sent = ask_sent,
	.head = ask_head,
	.body = ask_body,
	.done = ask_done,
};

/* ---- the server's TLS ---- */

static bool over_tls;
static SSL_CTX *server_ctx;   /* NULL: with the next connection one of the usual kind is made */
static SSL *server_ssl[4096]; /* by descriptor; NULL: without */
static bool standing[4096];   /* see take_all() */

/* Of HTTP/1.1, as most servers say it. */
static inline int choose(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
			 const unsigned char *offered, unsigned n, void *wanted)
{
	unsigned char *to;

	(void)ssl;
	if (SSL_select_next_proto(&to, ret_n, wanted, (unsigned)strlen(wanted), offered, n) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*ret = to;
	return SSL_TLSEXT_ERR_OK;
}

static inline SSL_CTX *server_ctx_of(const struct cert *cert)
{
	static char http_1_1[] = "\x08http/1.1";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	assert_int_equal(SSL_CTX_use_certificate(ctx, cert->x509), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"test", 4);
	SSL_CTX_set_alpn_select_cb(ctx, choose, http_1_1);
	return ctx;
}

static struct cert ca, usual; /* a CA, and what it has signed for the names of the tests */

static inline void certs_make(void)
{
	ca = cert_make(&(struct cert_wanted){ .name = "test CA", .is_ca = true });
	usual = cert_make(&(struct cert_wanted){
		.name = "server",
		.names = "IP:127.0.0.1,DNS:localhost,DNS:model.test",
		.signer = &ca,
	});
}

static inline void certs_free(void)
{
	cert_free(&ca);
	cert_free(&usual);
}

static inline void server_secure(int fd)
{
	const int one = 1;

	/* what it says behind tickets comes at once */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (server_ctx == NULL)
		server_ctx = server_ctx_of(&usual);
	server_ssl[fd] = SSL_new(server_ctx);
	SSL_set_fd(server_ssl[fd], fd);
	SSL_set_accept_state(server_ssl[fd]);
}

/* Hands are shaken as far as the client is. */
static inline void servers_shake(void)
{
	for (size_t fd = 0; fd < ARRAY_LEN(server_ssl); fd++)
		if (server_ssl[fd] != NULL && !SSL_is_init_finished(server_ssl[fd]))
			SSL_do_handshake(server_ssl[fd]);
	ERR_clear_error();
}

/* Without a farewell. */
static inline void server_drop(int fd)
{
	standing[fd] = false;
	SSL_free(server_ssl[fd]);
	server_ssl[fd] = NULL;
	close(fd);
}

static inline ssize_t server_done(int fd, int n)
{
	int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(server_ssl[fd], n);

	ERR_clear_error();
	if (n > 0)
		return n;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		errno = EAGAIN;
	else if (error != SSL_ERROR_ZERO_RETURN)
		errno = ECONNRESET;
	return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static inline ssize_t server_read(int fd, void *to, size_t n)
{
	return server_ssl[fd] == NULL ? read(fd, to, n)
				      : server_done(fd, SSL_read(server_ssl[fd], to, (int)n));
}

static inline ssize_t server_send(int fd, const void *from, size_t n)
{
	return server_ssl[fd] == NULL ? send(fd, from, n, MSG_NOSIGNAL)
				      : server_done(fd, SSL_write(server_ssl[fd], from, (int)n));
}

static inline void server_close(int fd)
{
	if (server_ssl[fd] != NULL && SSL_is_init_finished(server_ssl[fd]))
		SSL_shutdown(server_ssl[fd]);
	ERR_clear_error();
	server_drop(fd);
}

/* ---- the world ---- */

static inline int listen_at(const char *address, uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t size = sizeof(at);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, address, &at.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 256), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static inline void ask_open(struct world *w, struct ask *a, const struct exchange_setup *setup,
			    const char *host)
{
	struct exchange_setup s = *setup;
	char url[64];

	snprintf(url, sizeof(url), "%s://%s:%u/v1", over_tls ? "https" : "http", host, w->port);
	*a = (struct ask){ .body = BUF(64u << 20) };
	if (w->route == NULL)
		w->route = client_route_new(w->client, url, &(struct tls_pem){ .ca = ca.pem });
	s.route = w->route;
	if (s.ops == NULL)
		s.ops = &ops;
	assert_true(exchange_open(&a->exchange, &s));
	assert_true(exchange_url(&a->exchange, url));
}

static inline void world_open_at(struct world *w, const struct exchange_setup *setup,
				 const char *host)
{
	struct error err;

	*w = (struct world){ .fd = -1 };
	w->listener = listen_at("127.0.0.1", &w->port);
	assert_true(client_open(&w->client, &err));
	ask_open(w, &w->ask, setup, host);
}

static inline void world_open(struct world *w, const struct exchange_setup *setup)
{
	world_open_at(w, setup, "127.0.0.1");
}

static inline void ask_close(struct ask *a)
{
	exchange_close(&a->exchange);
	buf_free(&a->body);
}

static inline void hang_up(struct world *w)
{
	if (w->fd >= 0)
		server_close(w->fd);
	w->fd = -1;
}

static inline void world_close(struct world *w)
{
	ask_close(&w->ask);
	client_route_free(w->route);
	client_close(w->client);
	hang_up(w);
	if (w->listener >= 0)
		close(w->listener);
	SSL_CTX_free(server_ctx);
	server_ctx = NULL;
}

static inline void turn(struct world *w)
{
	bool woken;

	client_due(w->client);
	client_wait(w->client, 1, &woken);
	client_deliver(w->client);
	if (over_tls)
		servers_shake();
}

/* The server takes the connection that is waiting to be accepted; false: none is. */
static inline bool taken(struct world *w)
{
	int fd = accept(w->listener, NULL, NULL);

	if (fd < 0)
		return false;
	hang_up(w);
	w->fd = fd;
	if (over_tls)
		server_secure(fd);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return true;
}

/* Turns until the server has a request whole, `more` bytes behind its head among it. */
static inline void heard(struct world *w, char *to, size_t size, size_t more)
{
	size_t n = 0;
	const char *end = NULL;

	to[0] = '\0';
	while (end == NULL || (size_t)(to + n - end) < 4 + more) {
		turn(w);
		taken(w);
		ssize_t got = w->fd >= 0 ? server_read(w->fd, to + n, size - 1 - n) : 0;
		n += got > 0 ? (size_t)got : 0;
		to[n] = '\0';
		end = strstr(to, "\r\n\r\n");
	}
}

static inline void say(struct world *w, const char *text, size_t n)
{
	while (over_tls && !SSL_is_init_finished(server_ssl[w->fd]))
		turn(w);
	if (n > 0)
		assert_int_equal(server_send(w->fd, text, n), n);
}

#define SAY(w, literal) say(w, "" literal, sizeof(literal) - 1)

static inline void start(struct ask *a, const struct exchange_request *rq)
{
	buf_clear(&a->body);
	a->outs = 0;
	assert_true(exchange_start(&a->exchange, rq));
}

/* Starts a request; the server has it. */
static inline void asked(struct world *w, const struct exchange_request *rq)
{
	char request[4096];

	start(&w->ask, rq);
	heard(w, request, sizeof(request), 0);
}

static inline enum exchange_end ended(struct world *w)
{
	unsigned dones = w->ask.dones;

	while (w->ask.dones == dones)
		turn(w);
	return w->ask.how;
}

static inline enum exchange_end answered(struct world *w, const char *text)
{
	asked(w, &(struct exchange_request){ 0 });
	say(w, text, strlen(text));
	return ended(w);
}

/* Whether the client has closed the connection. */
static inline bool is_closed(struct world *w)
{
	char byte;

	for (int i = 0; i < 5; i++) {
		turn(w);
		ssize_t n = server_read(w->fd, &byte, 1);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
	}
	return false;
}

static inline void body_is(const struct world *w, const char *text)
{
	if (!slice_eq(buf_slice(&w->ask.body), slice_of(text)))
		fail_msg("%.*s is not %s", (int)w->ask.body.n, w->ask.body.p, text);
}

#define OK "HTTP/1.1 200 OK\r\n"
#define EMPTY OK "Content-Length: 0\r\n\r\n"
#define TWO OK "Content-Length: 2\r\n\r\n{}"

/* ---- many connections ---- */

static unsigned connections; /* that take_all() has seen */

/* Takes those that have come, all of which stand from now on; the last is w->fd. */
static inline void take_all(struct world *w)
{
	for (int fd; (fd = accept(w->listener, NULL, NULL)) >= 0; connections++) {
		standing[fd] = true;
		fcntl(fd, F_SETFL, O_NONBLOCK);
		if (over_tls)
			server_secure(fd);
		w->fd = fd;
	}
}

static inline void drop_all(struct world *w)
{
	for (size_t fd = 0; fd < ARRAY_LEN(standing); fd++)
		if (standing[fd])
			server_close((int)fd);
	w->fd = -1;
}
