/* retry.h: POST /v1/batches/{id}/retry (contract 11.3). */
#pragma once

#include "api/request.h"

bool batches_retry(struct request *rq, struct http_response *r, struct error *err);
