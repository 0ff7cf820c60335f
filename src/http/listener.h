/* listener.h: the listening socket and the thread that accepts on it.
 *
 * Not a loop's: it stops listening while the loops are busy, and where no descriptors are left it
 * pauses alone. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

struct listener;

/* A connection that came in, non-blocking; `fd` is taken over. Called in the listener's thread. */
typedef void (*listener_fn)(void *ctx, int fd);

/* A socket that listens there; connections wait in its queue until a listener accepts them. `host`
 * is a numeric address or "localhost"; `port` 0: any free one. INVALID if that cannot be. */
MUST_USE bool listener_bind(const char *host, uint16_t port, int *ret_fd, struct error *err);
/* Takes `fd` of listener_bind() over, also on failure. */
MUST_USE bool listener_open(int fd, listener_fn accepted, void *ctx, struct listener **ret,
			    struct error *err);
uint16_t listener_port(const struct listener *l);
/* That of a socket of listener_bind(); 0, and errno: it cannot be told. */
uint16_t listener_socket_port(int fd);
/* Ends the thread and closes the socket: from then on connections are refused. NULL is fine. */
void listener_close(struct listener *l);
