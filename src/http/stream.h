/* stream.h: the part of an answer in pieces (server.h) that the server calls. Private to http/. */
#pragma once

#include "http/server_impl.h"

/* `handle` has returned: gives the request back to its loop. Worker thread, or the loop's. */
void stream_handled(struct http_stream *s);

/* ---- loop thread ---- */

/* There may be something to send. */
bool stream_is_awake(struct http_stream *s);
/* Its head is there. */
bool stream_has_answer(struct http_stream *s);
/* Of the body; UINT64_MAX: not known. */
uint64_t stream_length(struct http_stream *s);
/* Sets out->piece, and out->last where it is the last of a body in chunks. OUT_WAIT: it is parked. */
enum out_next stream_next(struct http_stream *s, struct out *out);
/* So many bytes of the piece are in the socket. */
void stream_sent(struct http_stream *s, size_t bytes);
/* For how long the client has taken none of the bytes that wait for it; 0: none wait. Asked now and
 * then. */
uint64_t stream_unread_ms(struct http_stream *s, int fd, uint64_t now_ms);
/* The request is over. */
void stream_over(struct http_stream *s);
