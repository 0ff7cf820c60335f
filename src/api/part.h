/* part.h: POST /v1/uploads/{id}/parts (contract 4): a form whose `data` streams to disk.
 *
 * Parts that come one after the other are appended to the upload's own blob, which so becomes the
 * file without a copy. A part that comes beside another gets a blob of its own. */
#pragma once

#include "api/request.h"

#define PART_BYTES_MAX (64u << 20) /* contract 4: over it 413 */

/* Headers are in. Loop thread. */
MUST_USE bool part_begin(struct request *rq, struct http_response *r, struct error *err);
/* A piece of the form, written to disk before the next is read. Worker thread. */
void part_body(struct request *rq, struct slice piece);
/* The form is whole: judged, made durable, entered in the store. Worker thread. */
bool part_handle(struct request *rq, struct http_response *r, struct error *err);
/* A part that is not finished leaves nothing on disk. NULL is fine. Worker thread. */
void part_free(struct part_form *p);
