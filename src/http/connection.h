/* connection.h: a client's connection, its beginning and its end, and answers that begin. Private to
 * http/. All in the thread of its loop, but for connection_new(). */
#pragma once

#include "http/server_impl.h"

/* Takes `fd` over: it is closed where there is no memory. The loop gets it by mail. */
void connection_new(struct http_server *s, struct http_loop *l, int fd);
/* In its loop, be that the first or another. */
void connection_begin(struct connection *c);
/* At once; a request that is under way is over. Not while it is HANDED. */
void connection_close(struct connection *c);
/* Its answer was sent, or never will be. */
void connection_request_over(struct connection *c);
/* The answer is ready to be sent (reply.h); `made` false: it is not, and the connection closes. */
void connection_answer(struct connection *c, bool made);
/* Of bytes that are no HTTP, or that came too late. */
void connection_refuse(struct connection *c, const struct framing_fault *fault);
