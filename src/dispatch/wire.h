/* wire.h: libcurl's multi interface driven by one epoll set: sockets, timers, and the descriptor that
 * wakes the loop. Knows nothing of lines.
 *
 * epoll is told little: libcurl says "not interested" whenever a request ends and "interested" when
 * the next one starts on the same connection. The first is only noted, so that a kept-alive connection
 * costs no epoll_ctl per request.
 *
 * Threads: all from the loop's thread, but wire_wake(). */
#pragma once

#include <curl/curl.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "upstream/config.h"

struct wire;

/* The way to an upstream: what its certificate is judged by, what lowtide shows of itself, and the proxy
 * between. Made of a configuration once; handles made with it go before it does. */
struct wire_route;

MUST_USE bool wire_open(struct wire **ret, struct error *err);
/* Every handle has been removed before. NULL is fine. */
void wire_close(struct wire *w);

/* NULL: no memory. `config` is not kept. */
struct wire_route *wire_route_new(struct wire *w, const struct upstream_config *config);
void wire_route_free(struct wire_route *r);
/* What messages about the route begin with: "by way of the proxy http://host:3128: ", else "". */
const char *wire_by_way(const struct wire_route *r);

/* An easy handle for the route, with what all of them share: sockets that the loop watches, no signals,
 * http and https alone, ten seconds for connecting, connections that were idle for four seconds not used
 * again. NULL: no memory. */
CURL *wire_handle(struct wire *w, const struct wire_route *r);
/* For an upstream that is down, which may have moved: its name is looked up anew. Else what was found is
 * good for a minute. */
MUST_USE bool wire_name_anew(CURL *easy, bool anew);
/* For a probe of one: that, and little time to connect. Stays so until it is called with false. */
MUST_USE bool wire_probe(const struct wire_route *r, CURL *easy, bool probe);
/* How many idle connections are kept. */
void wire_connections(struct wire *w, unsigned most);
MUST_USE bool wire_start(struct wire *w, CURL *easy);
/* Lets go of it; if it was under way its connection is closed. */
void wire_stop(struct wire *w, CURL *easy);

/* Waits for sockets, libcurl's timers, wire_wake(), or `timeout_ms` (-1: without end), and lets libcurl
 * work. *ret_woken: wire_wake() was called. */
void wire_wait(struct wire *w, int timeout_ms, bool *ret_woken);
/* Lets libcurl do what is due by its timers: it starts new requests from there, due at once. */
void wire_due(struct wire *w);
/* Takes the next handle that is done; false: there is none. */
bool wire_done(struct wire *w, CURL **ret, CURLcode *ret_code);
/* Ends wire_wait(), now or at its next call. Any thread. */
void wire_wake(struct wire *w);

/* ---- what went wrong: `detail` is the text of CURLOPT_ERRORBUFFER, "" where there is none ---- */

/* `detail`, or libcurl's general words for the code. libcurl keeps the first text of a transfer: where a
 * kept connection was dead and a new one could not be made, it is about the dead one. `sent`: a request
 * went out. */
const char *wire_sentence(CURLcode code, const char *detail, bool sent);
/* A certificate was refused, theirs by us or ours by them: contract 8.3, the operator's. */
bool wire_certificate_fault(CURLcode code, const char *detail);
/* The request was not worked on, or the server took leave of its connection (contract 8.3, "a stream
 * never processed"): no attempt. */
bool wire_never_processed(CURLcode code, const char *detail);
/* A proxy let no connection through for a reason that only the operator can mend: it wants a password, or
 * forbids the upstream. */
bool wire_proxy_refused(CURL *easy, CURLcode code);
