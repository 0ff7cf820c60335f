/* plain.h: HTTP without a proxy, spoken by lowtide itself: what network.c has of it. It is HTTP/1.1, but
 * HTTP/2 where a server chooses that when TLS is agreed on.
 *
 * By HTTP/1.1 a request on a connection that is kept costs one sendmsg(), its answer one read(), neither of
 * them an epoll_ctl(), a timer or an allocation. Connections are used newest first, so that those
 * that are not needed end. Where one that was kept turns out to be dead before a byte of the answer
 * the request goes out once more, on a new one.
 *
 * A connection of HTTP/2 carries up to 100 requests at once, or as many as the server takes. What a
 * turn of the loop has to say on it, for all of them, is one record and one write(), what comes one
 * read(). A full one gets another beside it; they are made one at a time, and who comes meanwhile
 * waits, as for the first. A request that the server says it has not looked at (GOAWAY, REFUSED_STREAM,
 * the connection's end) goes out once more. An answer whose owner has no room holds up its own stream
 * alone.
 *
 * Threads: as client.h. Names are looked up in threads of their own (lookup.h). */
#pragma once

#include "client/client.h"
#include "client/loop.h"
#include "client/trust.h"

struct plain;

/* All but the first two take NULL: it has no routes. */
/* NULL: no memory. The loop and the CA certificates are the caller's. */
struct plain *plain_open(struct loop *loop, struct trust *trust);
/* Whether it can speak to the server of `url`: http or https, and nothing in it that libcurl would
 * have to make sense of (a user, an international name, dots in the path). */
bool plain_takes(const char *url);
void plain_close(struct plain *p);

/* As client.h's, or after loop_wait(). */
void plain_run(struct plain *p);              /* begins what was started, ends what is late */
uint64_t plain_due_ms(const struct plain *p); /* when there is something to run; UINT64_MAX: never */
void plain_looked_up(struct plain *p);        /* loop_tell() was called */
void plain_deliver(struct plain *p);
void plain_connections(struct plain *p, unsigned most);
void plain_guard(struct plain *p, client_guard_fn guard);

/* Client and ops are network.c's to set. NULL: no memory. */
struct client_route *plain_route_new(struct plain *p, const char *url, const struct tls_pem *tls);
extern const struct route_ops plain_route_ops;
