/* upload_complete.h: POST /v1/uploads/{id}/complete (contract 4): the parts become a file, checked and
 * indexed in one pass over their bytes. */
#pragma once

#include "api/request.h"

/* Blocks for as long as reading the file takes, and where its parts did not come one after the other,
 * writing it. */
bool upload_complete(struct request *rq, struct http_response *r, struct error *err);
