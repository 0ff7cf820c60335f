/* response.h: the part of an answer that libmicrohttpd sees. Private to http/. Loop thread. */
#pragma once

#include "http/server_impl.h"

/* The body of q->response, a file or bytes, which it takes. NULL: no memory. */
struct MHD_Response *response_make(struct http_request *q);
/* Sends status and headers of q->response, with the body that `made` is (NULL: no memory). */
enum MHD_Result response_queue(struct http_request *q, struct MHD_Response *made);
