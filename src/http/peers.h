/* peers.h: the open connections, seen from outside libmicrohttpd: which of them the client has
 * closed, whose clients do not read their answers, and which have been idle longest.
 *
 * libmicrohttpd does not look at a suspended connection, and its epoll loop misses an end that came
 * together with the last bytes. So a thread asks the kernel about all connections every
 * PEERS_SWEEP_MS, which takes 0.2 us for each. The thread sleeps while there are none. The same
 * thread sees to it that requests come in time (deadline.h).
 *
 * Any thread may call; each call takes a lock for an instant. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "http/intake.h"

#define PEERS_SWEEP_MS 250

struct peers;

/* What the sweep asks of an answer in pieces. The calls come with the lock of the peers. */
struct peer_stream_ops {
	/* The other end has closed, or takes nothing for too long. */
	void (*gone)(void *stream);
	/* For how long the client has taken none of the bytes that wait for it; 0: none wait. */
	uint64_t (*unread_ms)(void *stream, int fd, uint64_t now_ms);
};

/* A connection. Its owner allocates it; the rest is peers.c's. */
struct peer {
	int fd;
	struct intake intake; /* opened before peers_add(), closed after peers_remove() */
	void *stream;         /* its request is answered in pieces; NULL: it is not */
	const struct peer_stream_ops *stream_ops;
	bool busy; /* a request has begun and is not over */
	bool kept, shut;
	struct deadline deadline;
	uint64_t idle_since_ms;
	struct peer *older, *newer; /* while kept: by the time since when they have been idle */
};

/* Between two requests a connection keeps its memory (CONNECTION_BYTES, all touched by then). Of
 * `kept_max` such connections the one that has been idle longest makes room for the next, if that
 * is PEERS_KEPT_MS or more: its client will hardly be sending a request at this very moment.
 * Otherwise the next one is not kept. */
#define PEERS_KEPT_MS 5000

/* `stream_idle_ms`: see http_config. */
MUST_USE bool peers_open(unsigned kept_max, uint64_t stream_idle_ms,
			 const struct deadline_limits *limits, struct peers **ret,
			 struct error *err);
/* Every peer has been removed. NULL is fine. */
void peers_close(struct peers *p);

/* False: no memory; then the connection is not watched. */
MUST_USE bool peers_add(struct peers *p, struct peer *peer);
/* To be called before the descriptor is closed. */
void peers_remove(struct peers *p, struct peer *peer);
/* A request has begun, or is over and the connection stays. */
void peers_busy(struct peers *p, struct peer *peer);
void peers_idle(struct peers *p, struct peer *peer);
/* Whether an answer may leave its connection open: there is room for one more that is idle. */
bool peers_may_keep(struct peers *p);
/* The ops are called for the stream from now on, until it is NULL. */
void peers_stream(struct peers *p, struct peer *peer, const struct peer_stream_ops *ops,
		  void *stream);
/* Whether its other end has closed, or its sending side. */
bool peer_has_ended(const struct peer *peer);
unsigned peers_count(struct peers *p);
