/* server_impl.h: what server.c and stream.c share: the server and a request on its way. */
#pragma once

#include <microhttpd.h>
#include <pthread.h>

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
	pthread_mutex_t lock;        /* guards the three below */
	pthread_cond_t idle;         /* handling or sending has become 0 */
	unsigned handling; /* requests that a worker has, or will have, and streams not ended */
	unsigned sending;  /* streams that have ended, of which the client has not got all */
	bool closing;
};

/* One more that a worker has. False when the server closes: no worker takes any more. */
bool server_hands_over(struct http_server *s);
/* One less of s->handling; the last touch of `s` by whoever had that one. */
void server_handled(struct http_server *s);
/* One of s->handling is one of s->sending now; likewise the last touch, outside the loops. */
void server_sending(struct http_server *s);
/* One less of s->sending. Loop thread. */
void server_sent(struct http_server *s);
/* Sends status and headers of q->response, with the body that `made` is (NULL: no memory). */
enum MHD_Result request_queue(struct http_request *q, struct MHD_Response *made);
