/* loop.h: one thread that waits for the sockets of its connections, for the mail of other threads,
 * and for the clock. Private to http/.
 *
 * Sockets are registered once, for both directions, and tell of changes alone (edge-triggered):
 * a request costs no epoll_ctl(). Mail wakes the loop only where it sleeps. */
#pragma once

#include "http/server_impl.h"

#define LOOP_TICK_MS 250

/* What it does with a connection; in its thread. */
struct http_loop_ops {
	void (*turn)(struct connection *c); /* all that can be done now */
	void (*tick)(struct connection *c, uint64_t now_ms);
	void (*close)(struct connection *c);
};

struct http_loop {
	struct http_server *server;
	const struct http_loop_ops *ops;
	int epoll_fd, wake_fd;
	pthread_t thread;
	bool started;            /* it has a thread of its own */
	_Atomic pthread_t owner; /* who turns it; 0: nobody has yet */
	pthread_mutex_t lock;    /* guards mail, sleeping and stopping */
	struct connection *mail, **mail_end;
	bool sleeping, stopping;
	/* the thread's own */
	struct connection *ready, **ready_end; /* which have more to do, after the others' turn */
	struct connection *dead;               /* freed at the end of the turn */
	struct connection_list idle;           /* between two requests, the longest first */
	struct connection_list busy;
	struct connection_list waiting; /* for memory, which were asked longest ago first */
	struct connection_list leaving; /* for another loop */
	uint64_t tick_ms;
	int64_t date_s;
	char date[40];
	char scratch[LOOP_SCRATCH_BYTES];
};

/* Without a thread of its own it is a guest: another thread calls http_loop_turn(). */
MUST_USE bool http_loop_open(struct http_server *s, const struct http_loop_ops *ops, bool guest,
			     struct http_loop **ret, struct error *err);
/* Does what there is to do, after waiting for it `timeout_ms` at most. */
void http_loop_turn(struct http_loop *l, int timeout_ms);
/* From now on mail wakes it, be it by its descriptor. */
void http_loop_rest(struct http_loop *l);
/* sys.monotonic_ms() at which there is something to do whatever the sockets say: 0: now;
 * UINT64_MAX: never. */
uint64_t http_loop_due_ms(struct http_loop *l);
/* Nobody turns it any more, but for a last time, for answers that have just come back. */
void http_loop_stop(struct http_loop *l);
/* Closes its connections, none of which is a worker's. All loops have been stopped: none gives it a
 * connection any more. NULL is fine. */
void http_loop_close(struct http_loop *l);

/* The connection gets a turn in its loop. Any thread. */
void http_loop_post(struct connection *c);
/* Likewise, and the loop has its request again. The last touch of both. */
void http_loop_give_back(struct connection *c);

/* ---- in the loop's thread ---- */

/* A turn once more, after those that wait. */
void http_loop_again(struct connection *c);
void http_loop_list(struct connection *c, struct connection_list *to);
/* It goes to its loop `moves_to` at the end of the turn. */
void http_loop_leave(struct connection *c);
/* It is freed at the end of the turn. */
void http_loop_drop(struct connection *c);
/* "Date: ...\r\n". */
const char *http_loop_date(struct http_loop *l);
