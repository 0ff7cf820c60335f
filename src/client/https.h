/* https.h: routes to https servers without a proxy. Their first connection is lowtide's own
 * (plain.h), and offers HTTP/2 and HTTP/1.1. Where the server chooses HTTP/1.1, as most that serve
 * models do, it stays so, at less than half of libcurl's CPU; where it chooses HTTP/2, the route is
 * libcurl's from then on: the exchange that has found out, and each other at its next start, is
 * opened anew there. Nothing has been sent of it then.
 *
 *	exchange -> https_exchange -> inner exchange -> plain.h, then curl_impl.h */
#pragma once

#include "client/client.h"

/* The routes are the new one's from now on, whatever comes of it; their client and ops are set.
 * NULL: no memory, or one of them is. */
struct client_route *https_route_new(struct client_route *own, struct client_route *libcurl);
extern const struct route_ops https_route_ops;
