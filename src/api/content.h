/* content.h: GET and HEAD /v1/files/{id}/content (contract 3.2, download). */
#pragma once

#include "api/request.h"

bool content_get(struct request *rq, struct http_response *r, struct error *err);
