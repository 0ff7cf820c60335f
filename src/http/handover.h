/* handover.h: a request on its way between the loop and the workers, its body piece by piece.
 * Private to http/. Loop thread.
 *
 * A worker that has a request gives it back by http_loop_give_back(), which is its last touch of it. */
#pragma once

#include "http/server_impl.h"

enum body_taken {
	BODY_TAKEN,
	BODY_TO_WORKER, /* taken; a worker has the request now */
	BODY_LATER,     /* not taken: there is no memory now */
	BODY_LOST,      /* the request cannot go on: no memory, or the server closes */
};

enum begin_taken {
	BEGIN_NOW,       /* it does not wait: the loop calls it */
	BEGIN_TO_WORKER, /* a worker has the request now, and sets `goes_on` */
	BEGIN_BUSY,      /* too many wait already */
	BEGIN_LOST,      /* the server closes */
};

enum begin_taken handover_begin(struct http_request *q);
/* A piece of the body: to the application, or collected for a worker. It may lie behind what is
 * collected already. */
enum body_taken handover_body(struct http_request *q, struct slice piece);
/* How many bytes more the piece that is collected may have; 0: none is collected. */
size_t handover_piece_bytes(const struct http_request *q);
/* It is handled in the loop: to wake a worker costs more than to read it over. */
bool handover_is_short(const struct http_request *q);
/* The body is whole. True: a worker has the request now, or has had it. False: too many wait (the
 * answer to that is in the response, the state ANSWERED), or the server closes. */
MUST_USE bool handover_whole(struct http_request *q);
/* The request is over: frees it, on a worker where its end may have a file to remove. */
void handover_end(struct http_request *q);
