/* online.h: requests that are passed on to an upstream as they come, and answered as it answers
 * (contract 13): bytes and headers both ways, piece by piece.
 *
 * Headers that belong to one connection (RFC 9110, 7.6.1) are passed on in neither direction.
 * Headers between lowtide and its client (the key, the host, cookies, the organization) are not
 * passed to the upstream. */
#pragma once

#include "api/request.h"

/* Hands the request to dispatch and sets rq->later. */
bool online_handle(struct request *rq, struct http_response *r, struct error *err);
