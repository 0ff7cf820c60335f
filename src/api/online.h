/* online.h: requests that are passed on to an upstream as they come, and answered as it answers
 * (contract 13): bytes and headers both ways, piece by piece.
 *
 * Neither way go the headers that belong to one connection (RFC 9110, 7.6.1), nor to the upstream
 * those that are between lowtide and its client: the key, the host, cookies, the organization. */
#pragma once

#include "api/request.h"

/* Hands the request to dispatch and sets rq->later. */
bool online_handle(struct request *rq, struct http_response *r, struct error *err);
