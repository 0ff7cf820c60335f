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

struct wire;

MUST_USE bool wire_open(struct wire **ret, struct error *err);
/* Every handle has been removed before. NULL is fine. */
void wire_close(struct wire *w);

/* An easy handle with what all of them share: sockets that the loop watches, no signals, http and
 * https alone, loopback never through a proxy, ten seconds for connecting. NULL: no memory. */
CURL *wire_handle(struct wire *w);
/* How many idle connections are kept. */
void wire_connections(struct wire *w, unsigned most);
MUST_USE bool wire_start(struct wire *w, CURL *easy);
/* Lets go of it; if it was under way its connection is closed. */
void wire_stop(struct wire *w, CURL *easy);

/* One side refused the other's certificate, as code and sentence (CURLOPT_ERRORBUFFER) say. */
bool wire_certificate_fault(CURLcode code, const char *detail);
/* HTTP/2: the server has not looked at the request. */
bool wire_never_processed(CURLcode code, const char *detail);

/* Waits for sockets, libcurl's timers, wire_wake(), or `timeout_ms` (-1: without end), and lets libcurl
 * work. *ret_woken: wire_wake() was called. */
void wire_wait(struct wire *w, int timeout_ms, bool *ret_woken);
/* Lets libcurl do what is due by its timers: it starts new requests from there, due at once. */
void wire_due(struct wire *w);
/* Takes the next handle that is done; false: there is none. */
bool wire_done(struct wire *w, CURL **ret, CURLcode *ret_code);
/* Ends wire_wait(), now or at its next call. Any thread. */
void wire_wake(struct wire *w);
