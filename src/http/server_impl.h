/* server_impl.h: what the files of http/ share: the server, a connection, a request.
 *
 *	listener.c   accepts
 *	loop.c       epoll, the mail of other threads, the clock
 *	turn.c       what a connection does in each of its states
 *	connection.c its beginning and its end
 *	receive.c    reads, and asks framing.c what the bytes are
 *	send.c       writes the answer
 *	handover.c   bodies, and requests on their way to the workers and back
 *	request.c    the head, as the application sees it
 *	reply.c      an answer's head and what follows it
 *	stream.c, pull.c   bodies of answers that come in pieces, by another thread
 *
 * A connection belongs to one loop at a time, whose thread alone touches it. HANDED, the request is a
 * worker's; the worker gives it back by http_loop_give_back(), its last touch. */
#pragma once

#include <stdatomic.h>

#include "base/log.h"
#include "http/answers.h"
#include "http/deadline.h"
#include "http/framing.h"
#include "http/server.h"

#define LOOP_SCRATCH_BYTES (64u << 10) /* that one recv() takes */

/* ---- a request ---- */

enum request_state { NEW, BEGINNING, READING, HANDLING, ANSWERED };

/* Strings, and how long they are. */
struct text_field {
	const char *name, *value; /* value NULL: of an argument without '=' */
	size_t name_n;
};

struct http_request {
	struct http_server *server;
	struct connection *connection;
	const char *method, *path;
	const char *query; /* as it came; NULL: none */
	struct text_field *headers, *arguments;
	size_t header_count, argument_count;
	uint64_t content_length;
	bool has_body;
	bool http_1_1, keeps;     /* the version; whether the client leaves the connection open */
	enum request_state state; /* NEW: `begin` was not called; BEGINNING: a worker calls it */
	bool goes_on;             /* BEGINNING: what it returned */
	bool more_came;           /* bytes, behind the head */
	enum http_work kind;
	bool to_worker;       /* its body goes to a worker in pieces ... */
	bool begun;           /* ... of which the first has gone ... */
	struct buf collected; /* ... of which this one is not full yet, or being written */
	struct http_response response;
	struct http_stream *stream; /* it is answered in pieces */
	struct work work;
	void *data; /* the application's */
};

/* ---- what is sent ---- */

/* What comes next of an answer's body. */
enum out_next {
	OUT_PIECE,  /* `piece` is set */
	OUT_WAIT,   /* nothing now */
	OUT_END,    /* nothing: all was given */
	OUT_BROKEN, /* nothing: the rest cannot be had */
};

/* An answer on its way to the socket: text, piece and tail in one call, then a file's bytes. */
struct out {
	bool begun;         /* its head is made */
	bool chunked;       /* each piece goes as a chunk */
	bool last;          /* nothing follows what is set */
	bool closes;        /* the connection ends with it */
	struct buf text;    /* the head, a chunk's size */
	struct slice piece; /* borrowed: of `held`, of the response, of the pull */
	struct slice tail;  /* static */
	size_t at;          /* of these three together so many bytes are sent */
	struct buf held;    /* of a stream */
	uint64_t left;      /* of a body whose length the head says; else UINT64_MAX */
	int fd;             /* a file; -1: none */
	off_t fd_at;
	uint64_t fd_left;
	struct pull *pull;
};

/* ---- a connection ---- */

enum connection_state {
	CONNECTION_READS,  /* a head, a body, or nothing: it is idle */
	CONNECTION_HANDED, /* a worker has the request */
	CONNECTION_WAITS,  /* for memory for a piece of the body */
	CONNECTION_LEAVES, /* for another loop, at the end of the turn */
	CONNECTION_SENDS,
	CONNECTION_PARKED, /* it has sent all that there was of a stream */
	CONNECTION_DRAINS, /* it is over: what still comes is dropped until the client closes */
	CONNECTION_CLOSED,
};

struct connection_list {
	struct connection *first, *last;
};

struct connection {
	struct http_server *server;
	struct http_loop *loop, *moves_to;
	unsigned loops_asked; /* for room, where it is one too many */
	int fd;
	enum connection_state state;
	bool readable, writable, ended; /* by the edges of epoll; the other end sends no more */
	struct framing framing;
	struct buf head; /* of a head that is not whole yet */
	struct buf in;   /* bytes that have come and were not looked at yet, from in_at on */
	size_t in_at;
	struct buf piece; /* of a body, while there is no memory for it */
	uint64_t piece_due_ms;
	struct http_request *request;
	struct out out;
	struct deadline deadline;
	uint64_t bytes;    /* that have come */
	uint64_t moved_ms; /* when bytes last came or went */
	/* the loop's */
	struct connection_list *list;
	struct connection *next, *prev;
	struct connection *ready_next;
	bool ready;
	bool back; /* the worker has given the request back; by mail */
	/* guarded by the loop's lock */
	struct connection *mail_next;
	bool mailed, giving_back;
};

/* ---- the server ---- */

struct http_server {
	struct http_app app;
	void *ctx;
	struct listener *listener;
	struct http_loop **loops, *guest; /* guest NULL: there is none */
	unsigned loop_count, loop_turn;
	void (*guest_leave)(void *ctx);
	void *guest_ctx;
	atomic_uint connections;
	unsigned connections_max;
	uint64_t idle_ms, stream_idle_ms;
	struct deadline_limits deadlines;
	uint16_t port;
	struct budget_use *streams;
	struct workers *workers[HTTP_WORKS];
	unsigned waiting_max[HTTP_WORKS];
	atomic_uint collecting; /* requests with to_worker */
	struct answers answers;
	struct log_storm slow, unread; /* of clients */
};
