/* curl_impl.h: what the files of libcurl's client share. Private to them, and to their unit test.
 *
 *	curl.c           what network.c has of it, over all below
 *	curl_exchange.c  one request: options, callbacks
 *	curl_route.c     certificates, proxies
 *	curl_streams.c   one new connection at a time to a server that speaks HTTP/2
 *	curl_loop.c      its sockets and timers in the client's loop
 *	curl_fault.c     how a request ended
 */
#pragma once

#include <curl/curl.h>

#include "base/buf.h"
#include "client/client.h"
#include "client/loop.h"
#include "client/trust.h"

struct x509_store_st;

struct curl_client {
	struct client base; /* network.c's */
	struct loop *loop;  /* likewise */
	CURLM *multi;
	CURL **started; /* handles that libcurl has */
	size_t started_n, started_cap;
	bool holds;                 /* some of them may wait for the connection of another */
	struct curl_exchange *held; /* see curl_streams.c; a list by next_held */
	struct trust *trust;        /* network.c's */
	client_guard_fn guard;      /* NULL: any address will do */
	unsigned farewells; /* peers that have said that they will send no more, not heeded yet */
	struct socket_watch **sockets; /* by descriptor; an entry stays until the end */
	size_t socket_cap;
	uint64_t curl_due_ms; /* UINT64_MAX: none */
	bool undelivered;     /* exchanges may have ended since the last delivery */
};

struct curl_route {
	struct client_route base;
	bool https;
	bool http2;                   /* the last connection that was made speaks it */
	struct curl_exchange *opener; /* makes a connection, HTTP/2 beside others; NULL: none does */
	struct x509_store_st *store;  /* NULL: nothing on the way speaks TLS */
	char *ca_mark;                /* see tls_ca_mark(); NULL: the machine's */
	struct tls_pem tls;           /* without `ca` */
	char *proxy;                  /* NULL: none */
};

/* What an exchange has here: one block, with the headers that are sent behind it. */
struct curl_exchange {
	struct exchange *of;
	struct curl_route *route;
	CURL *easy;
	bool fresh, look_up, hasty;            /* as they are set */
	uint64_t setup_timeout_ms, timeout_ms; /* of all requests · as it is set */
	bool get;
	bool held; /* libcurl ends it, and it is started again */
	struct curl_exchange *next_held;
	bool has_head;              /* the owner has been told of the head */
	bool refused;               /* its owner takes no more of the body */
	const char *malformed;      /* why the head is none; NULL: it is one */
	const char *kept_off;       /* why the guard refused an address; NULL: it did not */
	char said[CURL_ERROR_SIZE]; /* libcurl's sentence about its end */
	struct buf head;            /* lines of the answer's head, as they came */
	struct curl_slist more;     /* a request's own header, before the others */
	struct curl_slist headers[];
};

/* ---- curl.c ---- */

/* Of a client that is zeroed. After a failure nothing is left open. */
MUST_USE bool curl_client_open(struct curl_client *w, struct loop *loop, struct trust *trust,
			       struct error *err);
void curl_client_close(struct curl_client *w);
/* As in client.h. */
void curl_client_deliver(struct curl_client *w);
void curl_client_connections(struct curl_client *w, unsigned most);
extern const struct route_ops curl_route_ops;

/* ---- curl_loop.c ---- */

MUST_USE bool curl_loop_open(struct curl_client *w);
void curl_loop_close(struct curl_client *w);
/* When there is something to do or to deliver; UINT64_MAX: never. */
uint64_t curl_loop_due_ms(const struct curl_client *w);
/* Does what is due by the clock. */
void curl_loop_due(struct curl_client *w);
/* A handle for `c` whose sockets the loop watches; NULL: no memory. */
CURL *curl_loop_handle(struct curl_client *w, struct curl_exchange *c);
MUST_USE bool curl_loop_start(struct curl_client *w, CURL *easy);
void curl_loop_stop(struct curl_client *w, CURL *easy);
/* Starts those again that were held, and need wait no longer. */
void curl_loop_resume(struct curl_client *w);
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

/* ---- curl_streams.c ---- */

/* Whether a connection may be made for `c`; false: libcurl is to fail, and `c` is held. */
bool curl_streams_may_open(struct curl_exchange *c);
/* The connection that `c` goes out on stands. */
void curl_streams_stands(struct curl_exchange *c);
/* The connection that was to be made for `c` could not be. */
void curl_streams_failed(struct curl_exchange *c);
/* `c` makes no connection any more. */
void curl_streams_left(struct curl_exchange *c);
void curl_streams_hold(struct curl_client *w, struct curl_exchange *c);
/* True: it was held, and is no longer. */
bool curl_streams_forget(struct curl_client *w, const struct curl_exchange *c);
/* Takes out one that need wait no longer; NULL: none. */
struct curl_exchange *curl_streams_next(struct curl_client *w);

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
