/* pull.h: the bytes of a source that has no descriptor, or that are packed on the way: read by a
 * worker piece by piece. Private to http/. Loop thread. */
#pragma once

#include "http/server_impl.h"

struct pull;

/* Takes over the file of q->response. NULL: no memory; then the file stays. */
struct pull *pull_new(struct http_request *q);
/* OUT_WAIT: a worker reads, and gives the connection back. */
enum out_next pull_next(struct pull *p, struct out *out);
/* NULL is fine. Not while a worker reads. */
void pull_free(struct pull *p);
