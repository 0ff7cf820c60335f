/* batches.h: POST and GET /v1/batches, GET /v1/batches/{id}, POST …/cancel, …/hold, …/resume
 * (contract 5, 6, 10, 11.3). */
#pragma once

#include "api/request.h"

bool batches_create(struct request *rq, struct http_response *r, struct error *err);
bool batches_list(struct request *rq, struct http_response *r, struct error *err);
bool batches_get(struct request *rq, struct http_response *r, struct error *err);
bool batches_cancel(struct request *rq, struct http_response *r, struct error *err);
bool batches_hold(struct request *rq, struct http_response *r, struct error *err);
bool batches_resume(struct request *rq, struct http_response *r, struct error *err);
