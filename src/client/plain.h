/* plain.h: HTTP/1.1 without a proxy, spoken by lowtide itself: what network.c and https.c have of
 * it.
 *
 * A request on a connection that is kept costs one sendmsg(), its answer one read(), neither of
 * them an epoll_ctl(), a timer or an allocation. Connections are used newest first, so that those
 * that are not needed end. Where one that was kept turns out to be dead before a byte of the answer
 * the request goes out once more, on a new one.
 *
 * Over TLS a server is asked whether it speaks HTTP/2. Where it chooses that, nothing is sent, and the
 * exchange ends, plain_is_handed(): for libcurl to send.
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
/* An exchange of any kind: it has just ended, without having been sent since the server has chosen
 * HTTP/2. */
bool plain_is_handed(const struct exchange *x);
extern const struct route_ops plain_route_ops;
