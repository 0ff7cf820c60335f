/* estimate.h: POST /v1/batches/estimate (contract 11.3). */
#pragma once

#include "api/request.h"

bool estimate_get(struct request *rq, struct http_response *r, struct error *err);
