/* request.h: a request out of its head. Private to http/. */
#pragma once

#include "http/server_impl.h"

/* `head` has been read by framing.h: its lines are well formed. It is copied. NULL: no memory. */
struct http_request *request_new(struct connection *c, struct slice head);
