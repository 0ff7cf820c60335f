/* metrics.h: GET /metrics, Prometheus text, and GET /v1/lowtide/scheduling, what the console shows
 * (contract 13, 11.3). */
#pragma once

#include "api/request.h"

bool metrics_get(struct request *rq, struct http_response *r, struct error *err);
bool metrics_scheduling(struct request *rq, struct http_response *r, struct error *err);
