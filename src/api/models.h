/* models.h: GET /v1/models and /v1/models/{id} (contract 13): what all upstreams together serve. */
#pragma once

#include "api/request.h"

bool models_list(struct request *rq, struct http_response *r, struct error *err);
bool models_get(struct request *rq, struct http_response *r, struct error *err);
/* NOT_FOUND model_not_found, as OpenAI words it. */
bool fail_no_model(struct error *err, struct slice model);
