/* stream.h: the part of an answer in pieces (server.h) that the server calls. */
#pragma once

#include <microhttpd.h>

#include "http/server.h"

/* `handle` has returned: the connection may be resumed from now on. Worker thread. */
void stream_handled(struct http_stream *s);
/* libmicrohttpd asks for the answer. Loop thread. */
enum MHD_Result stream_send(struct http_request *q);
/* The request is over. Loop thread. */
void stream_over(struct http_stream *s);
