/* results.h: GET /v1/batches/{id}/results: the lines of a batch as they end (contract 11.3). */
#pragma once

#include "api/request.h"

bool results_get(struct request *rq, struct http_response *r, struct error *err);

/* What the headers of results and of result files say alike: whether lines follow, and how many
 * lines of it have been read with these. */
void results_headers(struct http_response *r, bool incomplete, uint64_t last);
