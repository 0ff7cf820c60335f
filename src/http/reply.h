/* reply.h: an answer, made ready to be sent. Private to http/. Loop thread. */
#pragma once

#include "http/server_impl.h"

/* False: there is no answer, or no memory for it. */
MUST_USE bool reply_begin(struct http_request *q);
/* The answer to what is no request: its connection ends with it. `r` is only read. */
MUST_USE bool reply_refuse(struct connection *c, const struct http_response *r);
