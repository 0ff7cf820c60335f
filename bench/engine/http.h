/* http.h: HTTP/1.1 over epoll, as much as the simulated engine needs: keep-alive, pipelining, bodies
 * with a Content-Length, answers whole or in chunks. One thread.
 *
 * A request is read whole and handed to `on_request`, which answers at once, or sets `c->job` and
 * answers later, or says when its answer is due; until then no further request of that connection is
 * read, but that the client has gone away is noticed. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "engine.h"

struct http;

struct conn {
	struct http *http;
	int fd;
	uint32_t events;             /* that epoll watches for */
	bool closed;                 /* freed at the end of the turn */
	bool keep_alive;             /* as the request at hand has it */
	bool ends;                   /* to be closed when the request has been answered */
	struct buf in;               /* what has come and is not used up */
	struct buf out;              /* what the socket has not taken yet */
	size_t scanned;              /* bytes of `in` that hold no end of a head */
	size_t head_size, body_size; /* of the request at hand; head_size 0: not read yet */
	struct conn *prev, *next;    /* all open ones; `next` of those to be freed, too */
	struct sim_job *job;         /* the request is being worked on */
	bool chat, embeddings, stream, include_usage;
	int64_t due_ns;         /* what `out` holds is sent then; 0: at once */
	struct conn *next_late; /* all whose answers are due later */
};

struct http_request {
	struct slice method, path, body;
};

struct http {
	void *owner;
	void (*on_request)(struct conn *c, const struct http_request *r);
	void (*on_gone)(struct conn *c); /* while `c->job` was set; it is NULL after that */
	int epoll_fd, listen_fd;
	uint16_t port;
	struct conn *open, *closed, *late;
};

/* Binds 127.0.0.1:port, 0 for any, and listens. Ends the program when that fails. */
void http_open(struct http *h);
void http_close(struct http *h);
/* Resets every connection but `except`, and refuses new ones. The port stays ours. */
void http_down(struct http *h, const struct conn *except);
/* Listens again. */
void http_up(struct http *h);
/* Waits for at most `timeout_ns` (negative: 0; NEVER_NS: for good), and does what there is to do.
 * Signals as in `mask` may end the wait. */
void http_turn(struct http *h, int64_t timeout_ns, const void *mask);

/* Appends an answer; `extra` is further header lines, each ended by CR LF, or "". */
void http_answer(struct conn *c, const char *status, const char *type, const char *extra,
		 struct slice body);
/* What on_request has appended is sent no earlier than that. */
void http_delay(struct conn *c, int64_t due_ns);
/* Sends the answers that are due. Returns when to call again, or NEVER_NS. */
int64_t http_late(struct http *h, int64_t now_ns);
/* Appends the head of an answer that comes in chunks; a chunk; the end of them. */
void http_stream_start(struct conn *c, const char *type);
void http_stream_add(struct conn *c, struct slice chunk);
void http_stream_end(struct conn *c);
/* Sends what has been appended since on_request returned; goes on with the connection's next request
 * if `c->job` is NULL. */
void http_flush(struct conn *c);
