/* http/server.h: HTTP/1.1: sockets, requests, bodies, responses. Knows HTTP, not the API.
 *
 * Threads. A few event loops own the sockets. For each request the loop (or a worker, where it would
 * wait) calls `begin` when the headers are in, `body` for each piece of the body, and then either answers at once or hands the
 * request to workers, where `handle` may block on disk and SQL; the connection is neither read nor
 * written meanwhile. One request is only ever in one thread at a time, so handlers need no locks of their
 * own.
 *
 * A request that waits for nothing never queues behind one that waits: each kind of work (enum
 * http_work) has workers of its own and a bounded queue; a request beyond that is answered by
 * `busy`.
 *
 * Back-pressure: a body of http_body_to_worker() is collected up to a piece, and its connection
 * suspended while a worker writes that. Collected are HTTP_COLLECTED_BYTES of all bodies together,
 * or HTTP_PIECE_MIN of each. And `room` may keep a connection from being read at all.
 *
 * Bytes that are no HTTP, or that two readers could take for different requests (request
 * smuggling), never get as far as `begin`: framing.h says which they are, `refuse` makes the
 * answer, and the connection is closed. */
#pragma once

#include <stdint.h>

#include "base/budget.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/worker.h"
#include "http/deadline.h"
#include "http/source.h"

struct http_server;
struct http_request;

/* What a request's `handle` may wait for. */
enum http_work {
	HTTP_READ,    /* reads of disk and database; the default */
	HTTP_LIST,    /* reads of many rows */
	HTTP_WRITE,   /* the database's write lock, an fsync */
	HTTP_LONG,    /* reads, and copies, of whole files: a second for each GB or more */
	HTTP_INSTANT, /* nothing: memory, and the dispatch thread */
	HTTP_PASS,    /* nothing either, but its body is read over; in the loop if it is short */
	HTTP_PIECES,  /* writes to disk, without fsync: the server's own, for pieces of bodies */
	HTTP_WORKS
};

#define HTTP_SHORT_BYTES (16u << 10) /* read over in 20 us or less */
#define HTTP_PIECE_MAX (512u << 10)
#define HTTP_PIECE_MIN (32u << 10)
#define HTTP_COLLECTED_BYTES (32u << 20)

#define HTTP_FIELDS_BYTES_MAX (32u << 10)
#define HTTP_PASSED_BYTES_MAX (16u << 10)

/* What a handler fills in; freed by the server. Begins as 200, an empty body, no file. */
struct http_response {
	int status;      /* 304: of `file` and `fixed` only the length is used, if there is one */
	struct buf body; /* sent if there is no file */
	struct slice fixed; /* instead of a body: bytes that outlive the server */
	struct http_file file;
	const char *content_type; /* static; NULL: application/json; "": none but a passed one */
	/* All other headers: "name: value\r\n", as they are sent. Without memory for one it has
	 * failed, and the connection closes instead. */
	struct buf fields;
	size_t passed_n; /* bytes of them that came from elsewhere */
};
/* For responses that a handler makes itself (answers in pieces). */
void http_response_init(struct http_response *r);
void http_response_done(struct http_response *r);
/* Adds a header. Without memory for it there is no answer: it might say another thing. */
void http_header(struct http_response *r, const char *name, const char *format, ...)
	PRINTF_LIKE(3, 4);
/* Likewise one that came from elsewhere. A header that cannot be sent (fields.h, or without a
 * value) is left out, and so are those beyond HTTP_PASSED_BYTES_MAX. */
void http_pass_header(struct http_response *r, struct slice name, struct slice value);

/* Whether a piece of a body can be taken. */
enum http_room {
	HTTP_ROOM,
	HTTP_WAIT,   /* not now: the connection is not read, and asked again HTTP_ROOM_MS later */
	HTTP_REFUSED /* r holds the answer; the rest of the body is read and dropped */
};
#define HTTP_ROOM_MS 50

/* The application. `ctx` is http_config.ctx. */
struct http_app {
	/* Headers are in. Sets request data by http_set_data(). Returns true to go on with the
	 * body; false when r holds the answer already (the body is then read and dropped, so that
	 * the client comes to read the answer; or, where it waits for 100-continue, not asked for).
	 * Loop thread: no blocking but point reads. Or a worker, where `waits` has said so. */
	bool (*begin)(void *ctx, struct http_request *q, struct http_response *r);
	/* A piece of the body. This call cannot answer: note the fault and answer in `handle`. Loop
	 * thread, or after http_body_to_worker() a worker, which may block. */
	void (*body)(void *ctx, struct http_request *q, struct slice piece);
	/* The body is whole. Worker thread; the loop thread for HTTP_PASS with a short body. */
	void (*handle)(void *ctx, struct http_request *q, struct http_response *r);
	/* The request is over, also when the client went away in the middle. Once for every
	 * `begin`. Loop thread, where only http_data() may be asked of `q`; or after
	 * http_body_to_worker() a worker. */
	void (*end)(void *ctx, struct http_request *q);
	/* Instead of `handle`, where too many requests wait for its kind of work. Loop thread.
	 * NULL: 503 and no more. */
	void (*busy)(void *ctx, struct http_request *q, struct http_response *r);
	/* The bytes are no request, the request came too late, or too many wait for a `begin` (503):
	 * fills in the answer, whose status is set; no file. `why` goes behind "Malformed request: " or the like. There may have been
	 * a `begin`, then `end` follows. Loop thread; must not block. */
	void (*refuse)(void *ctx, const char *why, struct http_response *r);
	/* Before each `body`: a piece of the body, of so many bytes. NULL: all are taken. Loop
	 * thread. */
	enum http_room (*room)(void *ctx, struct http_request *q, size_t bytes,
			       struct http_response *r);
	/* Before `begin`: whether that would wait, for a database elsewhere. NULL: never. Loop
	 * thread; must not block. */
	bool (*waits)(void *ctx, const struct http_request *q);
};

struct http_config {
	int *listening;   /* a socket of http_listen(), taken over once it accepts (then -1), or
			   * NULL: host and port are listened on */
	const char *host; /* numeric address or "localhost" */
	uint16_t port;    /* 0: any free one, see http_server_port */
	unsigned threads;
	unsigned workers;     /* for each kind of work; 0: as many as suits it */
	unsigned waiting_max; /* requests that wait for them; 0: as many as suits it */
	/* Of one more one that has been idle for 5 s or more makes room, the longest idle of its
	 * loop. If none has, the new one is closed. */
	unsigned connections_max;
	unsigned idle_s; /* a connection on which nothing moves is closed; 0: after 120 s */
	/* A stream is over when its client takes no byte for so long; 0: never. */
	uint64_t stream_idle_ms;
	struct budget *budget; /* that streams are charged to; NULL: none */
	struct deadline_limits deadlines;
	struct http_app app;
	void *ctx;
	/* Where there is a guest loop: called by http_server_close() when no request is under way;
	 * on return its thread turns it no more. NULL: there is none. */
	void (*guest_leave)(void *ctx);
	void *guest_ctx;
};

/* Claims an address before there is a server: clients that connect wait until a server accepts.
 * INVALID if the address cannot be had; err->message is for the operator. */
MUST_USE bool http_listen(const char *host, uint16_t port, int *ret_fd, struct error *err);
/* INVALID if the address cannot be had; err->message is for the operator. */
MUST_USE bool http_server_open(const struct http_config *config, struct http_server **ret,
			       struct error *err);
uint16_t http_server_port(const struct http_server *s);
/* That of a socket of http_listen(); 0: it cannot be told. */
uint16_t http_listening_port(int fd);
/* Stops listening; requests under way, and new ones on open connections, go on. */
void http_server_quiesce(struct http_server *s);
/* Waits for every `handle` that runs and for the end of every stream, then for the clients to take
 * what streams that have ended still hold, but no longer than HTTP_UNREAD_S; then closes all
 * connections. NULL is fine. */
#define HTTP_UNREAD_S 5
void http_server_close(struct http_server *s);

/* ---- a loop that another thread turns ----
 *
 * Connections follow their work: where a request comes of HTTP_PASS and with a short body, its
 * connection moves to the guest loop; with any other request it moves back. So the thread that
 * passes requests on has both ends of them, and no request of a client that sends only such changes
 * threads. All of that thread. */

/* Readable when the loop has something to do. */
int http_guest_fd(const struct http_server *s);
/* sys.monotonic_ms() from which on there is something to do whatever the descriptor says;
 * UINT64_MAX: there is not. */
uint64_t http_guest_due_ms(struct http_server *s);
/* Does what there is to do, without waiting. */
void http_guest_turn(struct http_server *s);

/* ---- the request, during the calls above ---- */

/* In `begin`. */
void http_set_work(struct http_request *q, enum http_work work);
void http_body_to_worker(struct http_request *q);
void http_set_data(struct http_request *q, void *data);
void *http_data(const struct http_request *q);
const char *http_method(const struct http_request *q);
/* Decoded, without the query. %00 stays as it is written: a path holds no NUL. */
const char *http_path(const struct http_request *q);
/* NULL if absent. Borrowed until `end`. */
const char *http_request_header(const struct http_request *q, const char *name);
/* Likewise; decoded as the path is; "" for a name without a value. */
const char *http_query(const struct http_request *q, const char *name);
/* As it came, without its '?'; NULL: there is none. */
const char *http_query_text(const struct http_request *q);
/* Calls `each` for every header in turn, in the order in which they came. */
typedef void (*http_header_fn)(void *ctx, const char *name, const char *value);
void http_each_header(const struct http_request *q, http_header_fn each, void *ctx);
/* Likewise for every name and value of the query, decoded as http_query() decodes. */
void http_each_query(const struct http_request *q, http_header_fn each, void *ctx);
/* How many connections the server has open. */
unsigned http_connections(const struct http_request *q);
/* From the Content-Length header; UINT64_MAX: none given. */
uint64_t http_content_length(const struct http_request *q);
bool http_has_body(const struct http_request *q);

/* ---- answers that come later and in pieces (online requests that are passed on) ----
 *
 *	handle: http_later() -> [begin -> write... -> end] from any one thread at a time -> release
 *	                                         closed, once, in between or after `end`
 *
 * Between http_later() and its end a connection waits whenever there is nothing to send. A
 * client that goes away is noticed all the same, within a second. Closing its sending side alone
 * counts as going away, and so does taking nothing for stream_idle_ms. A stream holds up to
 * STREAM_BYTES that the client has not taken yet, and one piece where memory is short; then write()
 * refuses, and `room` is called when half of it has gone. Each piece goes out as soon as the socket
 * takes it.
 *
 * To HEAD, and with status 204 or 304, what is written is held and never sent: a caller that may
 * have such an answer ends it without a body. */
struct http_stream;

struct http_stream_ops {
	/* There is room again. Loop thread; must not block. Not after `closed`. */
	void (*room)(void *ctx);
	/* The request is over: all of it was sent, or the client has gone. Called once for each
	 * http_later(), as the last call; not before `handle` has returned. Loop thread; must not
	 * block. Calls on the stream stay harmless until http_stream_release(). */
	void (*closed)(void *ctx);
};

#define STREAM_BYTES (256u << 10)
/* What a connection takes while it has a request, about: its head twice, and what is sent. */
#define HTTP_CONNECTION_BYTES (8u << 10)

/* Called in `handle`, which then returns without an answer. The stream is the caller's until
 * http_stream_release(). NULL: no memory (then `handle` answers as usual). */
struct http_stream *http_later(struct http_request *q, const struct http_stream_ops *ops,
			       void *ctx);
/* It holds up to so many bytes that the client has not taken, instead of STREAM_BYTES. Before
 * begin. */
void http_stream_bound(struct http_stream *s, size_t bytes);
/* Status and headers (r->body and r->file stay empty; r is emptied). `length` of the body,
 * UINT64_MAX: not known. */
void http_stream_begin(struct http_stream *s, struct http_response *r, uint64_t length);
/* After begin. False: full, or over; nothing was taken. A piece larger than STREAM_BYTES is taken
 * whole when the stream is empty. */
MUST_USE bool http_stream_write(struct http_stream *s, struct slice piece);
/* `whole` false, or fewer bytes than `length`: the answer breaks off after what was written; the
 * client sees its connection end. Without a begin there is no answer at all. */
void http_stream_end(struct http_stream *s, bool whole);
/* The last call on it, after `end` or `closed`. `closed` still comes if it has not yet. */
void http_stream_release(struct http_stream *s);
