/* curl_impl.h: what the files of libcurl's client share. Private to them, and to their unit test.
 *
 *	curl.c           the client: its ops over all below
 *	curl_exchange.c  one request: options, callbacks
 *	curl_route.c     certificates, proxies
 *	curl_loop.c      the loop: sockets, timers, what wakes it
 *	curl_fault.c     how a request ended
 */
#pragma once

#include <curl/curl.h>

#include "base/buf.h"
#include "client/client.h"

struct x509_store_st;

struct curl_client {
	struct client base;
	CURLM *multi;
	CURL **started; /* handles that libcurl has */
	size_t started_n, started_cap;
	bool holds;                    /* some of them may wait for the connection of another */
	struct x509_store_st *machine; /* the machine's CA certificates; NULL: not needed yet */
	client_guard_fn guard;         /* NULL: any address will do */
	unsigned farewells; /* peers that have said that they will send no more, not heeded yet */
	int epoll_fd, wake_fd;
	struct socket_watch *sockets; /* by descriptor */
	size_t socket_cap;
	uint64_t curl_due_ms; /* UINT64_MAX: none */
};

struct curl_route {
	struct client_route base;
	bool https;
	struct x509_store_st *store; /* NULL: nothing on the way speaks TLS */
	char *ca_mark;               /* see tls_ca_mark(); NULL: the machine's */
	struct tls_pem tls;
	char *proxy; /* NULL: none */
};

/* What an exchange has here: one block, with the headers that are sent behind it. */
struct curl_exchange {
	struct exchange *of;
	const struct curl_route *route;
	CURL *easy;
	bool fresh, look_up, hasty;            /* as they are set */
	uint64_t setup_timeout_ms, timeout_ms; /* of all requests · as it is set */
	bool get;
	bool has_head;              /* the owner has been told of the head */
	bool refused;               /* its owner takes no more of the body */
	const char *malformed;      /* why the head is none; NULL: it is one */
	const char *kept_off;       /* why the guard refused an address; NULL: it did not */
	char said[CURL_ERROR_SIZE]; /* libcurl's sentence about its end */
	struct buf head;            /* lines of the answer's head, as they came */
	struct curl_slist more;     /* a request's own header, before the others */
	struct curl_slist headers[];
};

/* ---- curl_loop.c: wait, due and wake are as in client.h ---- */

/* Opens the loop of a client that is zeroed. After a failure nothing is left open. */
MUST_USE bool curl_loop_open(struct curl_client *w, struct error *err);
void curl_loop_close(struct curl_client *w);
void curl_loop_wait(struct curl_client *w, int timeout_ms, bool *ret_woken);
void curl_loop_due(struct curl_client *w);
void curl_loop_wake(const struct curl_client *w);
/* A handle for `c` whose sockets the loop watches; NULL: no memory. */
CURL *curl_loop_handle(struct curl_client *w, struct curl_exchange *c);
MUST_USE bool curl_loop_start(struct curl_client *w, CURL *easy);
void curl_loop_stop(struct curl_client *w, CURL *easy);
/* The next exchange that libcurl is done with; NULL: none. */
struct curl_exchange *curl_loop_ended(struct curl_client *w, CURLcode *ret);

/* ---- curl_route.c ---- */

struct client_route *curl_route_new(struct client *c, const char *url, const struct tls_pem *tls);
void curl_route_free(struct client_route *base);
MUST_USE bool curl_route_set(CURL *easy, const struct curl_route *r);
/* libcurl can be built with other TLS libraries, which have no X509_STORE. */
bool curl_route_has_openssl(void);

/* ---- curl_exchange.c ---- */

bool curl_exchange_open(struct exchange *x, const struct exchange_setup *s);
void curl_exchange_free(struct exchange *x);
bool curl_exchange_url(struct exchange *x, const char *url);
bool curl_exchange_start(struct exchange *x, const struct exchange_request *rq);
void curl_exchange_stop(struct exchange *x);
void curl_exchange_resume(struct exchange *x);
struct slice curl_exchange_header(const struct exchange *x, const char *name);
uint64_t curl_exchange_length(const struct exchange *x);
/* libcurl says that it has ended; `done` is called. */
void curl_exchange_over(struct curl_exchange *c, CURLcode code);

/* ---- curl_fault.c: `said` is the text of CURLOPT_ERRORBUFFER, "" where there is none ---- */

/* Whether a connection stood, its TLS too. */
bool curl_fault_connected(CURL *easy);
enum exchange_end curl_fault_end(const struct curl_exchange *c, CURLcode code, int status);
/* `said`, or libcurl's general words for the code. libcurl keeps the first text of a request: where
 * a kept connection was dead and a new one could not be made, it is about the dead one. `sent`: a
 * request went out. */
const char *curl_fault_sentence(CURLcode code, const char *said, bool sent);
bool curl_fault_certificate(CURLcode code, const char *said);
bool curl_fault_unprocessed(CURLcode code, const char *said);
