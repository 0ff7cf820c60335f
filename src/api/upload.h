/* upload.h: POST /v1/files (contract 3.1 to 3.3): a form that streams into ingest. */
#pragma once

#include "api/request.h"

/* By how much a form may be longer than its file before its length alone says too large. */
#define FORM_BYTES (64u << 10)

/* Headers are in. Loop thread. */
MUST_USE bool upload_begin(struct request *rq, struct http_response *r, struct error *err);
/* Whether there is memory for a piece of so many bytes. Loop thread, while no worker has the
 * request. */
bool upload_room(struct request *rq, size_t bytes);
/* A piece of the form, written to disk before the next is read. Worker thread. */
void upload_body(struct request *rq, struct slice piece);
/* The form is whole: judged, made durable, entered in the store. Worker thread. */
bool upload_handle(struct request *rq, struct http_response *r, struct error *err);
/* An upload that is not finished leaves nothing on disk. NULL is fine. */
void upload_free(struct upload *u);
