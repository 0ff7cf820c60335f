/* handover.h: a request on its way between the loop and the workers, its body piece by piece.
 * Private to http/. Loop thread.
 *
 * A connection is suspended before a worker gets its request. That worker resumes the connection,
 * which is its last touch of the request. */
#pragma once

#include "http/server_impl.h"

/* Whether the connection is suspended already: in a chunked body libmicrohttpd goes on to the next
 * chunk that it has read, although the connection was suspended at this one. Bytes that are not
 * taken are offered again. */
bool handover_is_suspended(const struct http_request *q);
/* A piece of the body: to the application, or collected for a worker. *bytes: what is left of
 * it. */
enum MHD_Result handover_body(struct http_request *q, const char *piece, size_t *bytes);
/* The body is whole: a worker handles the request, or it is refused where too many wait. */
enum MHD_Result handover_whole(struct http_request *q);
/* Sends the answer. */
enum MHD_Result handover_answer(struct http_request *q);
/* The request is over: frees it, on a worker where its end may have a file to remove. */
void handover_end(struct http_request *q);
