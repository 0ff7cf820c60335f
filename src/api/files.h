/* files.h: GET /v1/files, GET and DELETE /v1/files/{id} (contract 3.1, 10). */
#pragma once

#include "api/request.h"

bool files_list(struct request *rq, struct http_response *r, struct error *err);
bool files_get(struct request *rq, struct http_response *r, struct error *err);
bool files_delete(struct request *rq, struct http_response *r, struct error *err);
