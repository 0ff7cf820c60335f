/* listener.h: the listening socket and the thread that accepts on it.
 *
 * libmicrohttpd could do both, but cannot be told to stop listening while it is busy: its
 * MHD_quiesce_daemon() removes the socket from each loop's epoll set while that loop may be doing
 * the same, and ends the process when the second finds it gone (0.9.75). */
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/error.h"

struct listener;

/* A connection that came in, non-blocking; `fd` is taken over. Called in the listener's thread. */
typedef void (*listener_fn)(void *ctx, int fd, const struct sockaddr *address, socklen_t size);

/* A socket that listens there; connections wait in its queue until a listener accepts them. `host`
 * is a numeric address or "localhost"; `port` 0: any free one. INVALID if that cannot be. */
MUST_USE bool listener_bind(const char *host, uint16_t port, int *ret_fd, struct error *err);
/* Takes `fd` of listener_bind() over, also on failure. */
MUST_USE bool listener_open(int fd, listener_fn accepted, void *ctx, struct listener **ret,
			    struct error *err);
uint16_t listener_port(const struct listener *l);
/* Ends the thread and closes the socket: from then on connections are refused. NULL is fine. */
void listener_close(struct listener *l);
