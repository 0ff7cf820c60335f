/* pull.h: an answer's bytes read from their source by a worker, a piece at a time, as the client
 * takes them; compressed there too. */
#pragma once

#include "http/server_impl.h"

/* Takes over q->response.file. NULL: no memory; then the file is still the request's. */
struct MHD_Response *pull_response(struct http_request *q);
