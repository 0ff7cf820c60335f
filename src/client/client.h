/* client.h: HTTP requests to servers, many at once, on one thread. Knows no batch, no upstream, no
 * JSON.
 *
 *	client          one loop: sockets, timers, and what wakes it
 *	  route         the way to one server: certificates, proxy
 *	    exchange    a request and its answer; embedded in the caller's struct, used again
 *
 *	exchange_open() -> { exchange_url() } -> exchange_start() -> sent, head, body... -> done -.
 *	                                            ^                                             |
 *	                                            '---------------------------------------------'
 *	client_wait(), client_due(), exchange_resume(): sent, head, body
 *	client_deliver():                               done
 *
 * There are two implementations behind `struct client_ops`: the program's (network.c) and that of
 * the tests, with scripted answers in virtual time (tests/unit/client_fake.h). In the program's a
 * route is of one of two kinds (`struct route_ops`), on one loop: without a proxy HTTP is spoken by
 * lowtide itself (plain.h), all else by libcurl (curl_impl.h).
 *
 * Threads: all calls come from the one thread that has the loop, and all ops are called in it;
 * client_wake() alone may be called by any thread. Opening and closing may be done by another
 * thread while none has the loop.
 *
 * Ownership: exchanges are closed before their route is freed, and routes are freed before the
 * client is closed. What exchange_open(), exchange_url() and client_route_new() are given is
 * copied, but for the ops, which are static, and the route. A request's body and header are borrowed
 * until `done` or exchange_stop().
 *
 * Cost: a request on an exchange that is open allocates nothing (over TLS OpenSSL takes its buffers, for
 * HTTP/2 libnghttp2 its stream),
 * and options that have not changed since the request before are not set again. A connection that is
 * kept alive costs no epoll_ctl() a request. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"
#include "client/headers.h"
#include "client/tls.h"

struct exchange;

/* About what an exchange that is open takes, with the connection's buffers. */
#define EXCHANGE_BYTES (24u << 10)

/* How an exchange ended. The status is known wherever a head came, whatever the end. */
enum exchange_end {
	/* The whole answer came, whatever its status. */
	EXCHANGE_WHOLE,
	/* No connection was made (name, address, time to connect, TLS): nothing was sent. */
	EXCHANGE_UNREACHABLE,
	/* One side refused the other's certificate: theirs by us, or ours by them, which TLS 1.3
	 * says after the request. */
	EXCHANGE_CERTIFICATE,
	/* A proxy on the way answered CONNECT with 401, 403 or 407. */
	EXCHANGE_PROXY,
	/* The connection broke, or its bytes were no HTTP, after the request had been sent. */
	EXCHANGE_BROKEN,
	/* A connection that had been kept turned out to be dead before a byte of the answer, and so
	 * did the one that the request was sent on again (sends_max). */
	EXCHANGE_STALE,
	/* timeout_ms or silence_ms have passed since it was sent. */
	EXCHANGE_TIMEOUT,
	/* The server says that it has not looked at the request: GOAWAY, REFUSED_STREAM (RFC 9113,
	 * 8.7), or ended the HTTP/2 connection under it, each time the request was sent. */
	EXCHANGE_UNPROCESSED,
	/* The answer has a content coding that cannot be decoded (`decode`). */
	EXCHANGE_CODED,
	/* `body` refused a piece. */
	EXCHANGE_TOO_LARGE,
	/* A header line of the answer is malformed (http/fields.h): `said` is why. Only with a
	 * `head`. */
	EXCHANGE_MALFORMED,
};

struct exchange_result {
	enum exchange_end how;
	int status;       /* of the answer; 0: no head came */
	const char *said; /* a sentence about the end, for people; "": it was whole */
};

enum exchange_taken {
	EXCHANGE_TAKEN,
	EXCHANGE_PAUSED, /* not now: the same bytes come again after exchange_resume() */
	EXCHANGE_REFUSED /* not at all: it ends, EXCHANGE_TOO_LARGE */
};

/* What an exchange tells its owner. In sent, head and body only exchange_header() and
 * exchange_length() may be called, of that exchange. */
struct exchange_ops {
	/* Asked as the last thing before the request goes out, each time: a connection may have
	 * taken its time. False: it does not go, and the exchange ends at once as one that
	 * could not be sent, whichever way. NULL: it may. */
	bool (*may_go)(struct exchange *x);
	/* The request goes out; x->sent counts it already. Called again where a connection that had
	 * been kept turns out to be dead, and the request goes out again. NULL: the owner need not
	 * know. */
	void (*sent)(struct exchange *x);
	/* The head of the answer, once. NULL: it is not collected; exchange_header() has it all the
	 * same. */
	void (*head)(struct exchange *x, const struct exchange_head *h);
	/* A piece of the body, after the head. */
	enum exchange_taken (*body)(struct exchange *x, struct slice piece);
	/* The exchange has ended, and the client no longer uses it: `done` may start it again,
	 * close it, and free the struct that embeds it; `done` may start, stop and close other
	 * exchanges. exchange_header() has the answer's headers until the next start. Once a start,
	 * but not after exchange_stop(). */
	void (*done)(struct exchange *x, const struct exchange_result *r);
};

/* What is the same for all requests of an exchange. */
struct exchange_setup {
	struct client_route *route;
	const struct exchange_ops *ops;
	const struct header *headers; /* what is sent; beside them Host, Content-Length, and with
	                               * `decode` Accept-Encoding. None is added otherwise. */
	size_t header_count;
	bool get;            /* GET without a body; else POST */
	const char *verb;    /* static: that method in place of GET or POST; NULL: none */
	bool decode;         /* no content coding is asked for, and one that comes is taken off */
	unsigned sends_max;  /* how often one request may go out; 0: as the client likes */
	uint64_t timeout_ms; /* from the start to the end; 0: none */
	/* Nothing came or went for so long, though it was not paused; 0: none. libcurl rounds it up
	 * to s, and takes less than a byte a second for nothing. */
	uint64_t silence_ms;
};

/* What one request has of its own. */
struct exchange_request {
	struct slice body;   /* of a POST */
	bool fresh;          /* on a new connection: those that are kept may all be dead */
	bool look_up;        /* the server's name anew; else an address is good for a minute */
	bool hasty;          /* little time to connect (1 s, with TLS or a proxy 3 s); else 10 s */
	uint64_t timeout_ms; /* as the setup's, for this request; 0: the setup's */
	/* One more header, as the line "name: value"; NULL: none. Borrowed as the body is. */
	const char *header;
};

struct exchange {
	/* readable by its owner */
	unsigned sent;  /* how often the request has gone out since the start */
	bool under_way; /* from a start to `done` or a stop */

	/* the client's own */
	struct client *client; /* NULL: it is not open */
	const struct route_ops *route;
	const struct exchange_ops *ops;
	unsigned sends_max;
	void *state; /* the implementation's */
};

/* Asked with each address before a connection to it is made. NULL: it may be made; else why not,
 * static. */
struct sockaddr;
typedef const char *(*client_guard_fn)(const struct sockaddr *address);

/* Sockets of another set that the thread of a client's loop serves, too. All are called in that
 * thread. */
struct client_guest {
	int fd; /* readable: there is something to do */
	/* sys.monotonic_ms() from which on there is, whatever `fd` says; UINT64_MAX: there is not. */
	uint64_t (*due_ms)(void *ctx);
	void (*turn)(void *ctx); /* does it, without waiting */
	void *ctx;
};

struct client {
	const struct client_ops *ops;
};

/* The way to a server. */
struct client_route {
	struct client *client;
	const struct route_ops *ops;
	/* what messages about it begin with: "by way of the proxy http://host:3128: ", else "" */
	char by_way[224];
};

/* ---- the loop ---- */

/* The client of the program. From now on SIGPIPE is ignored in it: a write to a pipe or a connection
 * that is gone fails with EPIPE. */
MUST_USE bool client_open(struct client **ret, struct error *err);
/* The same, but libcurl speaks to all servers. */
MUST_USE bool client_open_libcurl(struct client **ret, struct error *err);
/* NULL is fine. */
void client_close(struct client *c);
/* Waits for sockets, timers, client_wake(), or `timeout_ms` (-1: without end), and does what there
 * is to do. *ret_woken: client_wake() was called. */
void client_wait(struct client *c, int timeout_ms, bool *ret_woken);
/* Does what is due by the clock, without waiting: also what was just started begins there. */
void client_due(struct client *c);
/* Calls `done` of each exchange that has ended. */
void client_deliver(struct client *c);
/* Ends client_wait(), now or at its next call. Any thread. */
void client_wake(struct client *c);
/* From now on client_wait() serves the guest, after its own sockets; it is copied. NULL: no more.
 * False: its descriptor cannot be watched. */
MUST_USE bool client_guest(struct client *c, const struct client_guest *guest);
/* How many idle connections are kept, for four seconds each at most. */
void client_connections(struct client *c, unsigned most);
/* From now on connections are made only where `guard` lets them: it is asked with the very address
 * that is connected to, so nothing between look-up and connection changes it. An exchange none of
 * whose addresses may be used ends as EXCHANGE_UNREACHABLE, `said` is the guard's. A guarded client
 * uses no proxy, since a proxy connects where it likes. Before any route is made. */
void client_guard(struct client *c, client_guard_fn guard);

/* ---- routes ---- */

/* The way to the server of `url`, of which scheme and host count; the environment says whether a
 * proxy is on it (proxy.h). `tls` is for https. NULL: no memory. */
struct client_route *client_route_new(struct client *c, const char *url, const struct tls_pem *tls);
/* NULL is fine. */
void client_route_free(struct client_route *r);

/* ---- exchanges ---- */

/* False: no memory; it is not open then. */
MUST_USE bool exchange_open(struct exchange *x, const struct exchange_setup *s);
/* Closes the exchange, and stops a request that is under way. A zeroed or closed exchange is
 * fine. */
void exchange_close(struct exchange *x);
bool exchange_is_open(const struct exchange *x);
/* Sets the URL of the requests to come. False: no memory. */
MUST_USE bool exchange_url(struct exchange *x, const char *url);
/* Sends a request; the first bytes leave in client_wait() or client_due(). False: no memory. */
MUST_USE bool exchange_start(struct exchange *x, const struct exchange_request *rq);
/* Stops a request that is under way: its connection is closed, or its stream of HTTP/2 is reset, so that
 * the server notices. */
void exchange_stop(struct exchange *x);
/* Goes on with a body that was paused; `body` may be called meanwhile. A body that is not paused is
 * fine. */
void exchange_resume(struct exchange *x);
/* The value of a header of the answer, the first of that name; n == 0: there is none, or it is
 * empty. Good until the next start. */
struct slice exchange_header(const struct exchange *x, const char *name);
/* The length of the body, as the head says; UINT64_MAX: the head does not say. */
uint64_t exchange_length(const struct exchange *x);

/* ---- for implementations ---- */

struct client_ops {
	void (*close)(struct client *c);
	void (*wait)(struct client *c, int timeout_ms, bool *ret_woken);
	void (*due)(struct client *c);
	void (*deliver)(struct client *c);
	void (*wake)(struct client *c);
	void (*connections)(struct client *c, unsigned most);
	void (*guard)(struct client *c, client_guard_fn guard);
	bool (*guest)(struct client *c, const struct client_guest *guest);
	struct client_route *(*route_new)(struct client *c, const char *url,
					  const struct tls_pem *tls);
};

/* What a route does, and the exchanges on it. */
struct route_ops {
	void (*close)(struct client_route *r);
	/* Makes x->state; client and ops of `x` are set. */
	bool (*open)(struct exchange *x, const struct exchange_setup *s);
	void (*free)(struct exchange *x); /* it is not under way */
	bool (*url)(struct exchange *x, const char *url);
	bool (*start)(struct exchange *x, const struct exchange_request *rq);
	void (*stop)(struct exchange *x);
	void (*resume)(struct exchange *x);
	struct slice (*header)(const struct exchange *x, const char *name);
	uint64_t (*length)(const struct exchange *x);
};

/* The request is about to go out. False: it must not, having gone out often enough, or since its
 * owner says so. */
MUST_USE bool exchange_goes_out(struct exchange *x);
/* The exchange has ended, and the implementation keeps nothing of it but what exchange_header()
 * reads. */
void exchange_over(struct exchange *x, const struct exchange_result *r);
