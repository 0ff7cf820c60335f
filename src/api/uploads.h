/* uploads.h: POST /v1/uploads and its cancel (contract 4). The parts: part.h; the end:
 * upload_complete.h. */
#pragma once

#include "api/request.h"
#include "store/uploads.h"

bool uploads_create(struct request *rq, struct http_response *r, struct error *err);
bool uploads_cancel(struct request *rq, struct http_response *r, struct error *err);
/* The upload object; `file` NULL: null. */
void upload_write(struct buf *to, const struct upload_row *u, const struct file *file);
