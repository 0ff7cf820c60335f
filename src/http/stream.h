/* stream.h: the part of an answer in pieces (server.h) that the server and its sweep call. */
#pragma once

#include <microhttpd.h>

#include "http/server.h"

/* `handle` has returned: the connection may be resumed from now on. Worker thread. */
void stream_handled(struct http_stream *s);
/* libmicrohttpd asks for the answer. Loop thread. */
enum MHD_Result stream_send(struct http_request *q);
/* The request is over. Loop thread. */
void stream_over(struct http_stream *s);
/* For how long the client has taken nothing of what there is for it, which is asked of the socket too;
 * 0: there is nothing. To be called now and then, by one thread, not after stream_over() has begun. */
uint64_t stream_unread_ms(struct http_stream *s, int fd, uint64_t now_ms);
/* The client has gone. Any thread, but not after stream_over() has begun. */
void stream_gone(struct http_stream *s);
