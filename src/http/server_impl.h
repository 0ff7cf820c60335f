/* server_impl.h: what the files of http/ share: the server and a request on its way.
 *
 * server.c (libmicrohttpd's calls) -> handover.c (loop to worker and back) -> stream.c (answers in
 * pieces) -> response.c (what is sent), answers.c (how many are under way), peers.c
 * (connections). */
#pragma once

#include <microhttpd.h>

#include "http/answers.h"
#include "http/peers.h"
#include "http/server.h"

enum request_state { NEW, READING, HANDLING, ANSWERED };

struct http_request {
	struct http_server *server;
	struct MHD_Connection *connection;
	struct peer *peer; /* NULL: it has not begun */
	const char *path, *method;
	char *query; /* as it came; NULL: none */
	uint64_t content_length;
	bool has_body;
	enum request_state state; /* NEW: `begin` was not called */
	enum http_work kind;
	bool to_worker;       /* its body goes to a worker in pieces ... */
	bool begun;           /* ... of which the first has gone ... */
	struct buf collected; /* ... of which this one is not full yet, or being written */
	struct http_response response;
	struct http_stream *stream; /* it is answered in pieces */
	struct work work;
	void *data; /* the application's */
};

struct http_server {
	struct http_app app;
	void *ctx;
	struct MHD_Daemon *daemon;
	struct listener *listener;
	struct peers *peers;
	uint16_t port;
	struct budget_use *streams;
	struct workers *workers[HTTP_WORKS];
	unsigned waiting_max[HTTP_WORKS];
	_Atomic unsigned collecting; /* requests with to_worker */
	struct answers answers;
};

/* Reads what the headers say of the body's length. */
void request_read_framing(struct http_request *q);
