/* results.h: GET /v1/batches/{id}/results: the lines of a batch as they end (contract 11.3). */
#pragma once

#include "api/request.h"
#include "pipeline/pipeline.h"

bool results_get(struct request *rq, struct http_response *r, struct error *err);

/* The page that `after` and `limit` of the query ask for, of the batch that the path names: *b is its
 * row. What is not asked for is 0 and `limit_default`. */
struct results_page {
	uint64_t after;
	struct pipeline_page of;
};
MUST_USE bool results_page(struct request *rq, unsigned limit_default, unsigned limit_max,
			   struct batch *b, struct results_page *ret, struct error *err);

/* What the headers of results and of result files say alike: whether lines follow, and how many
 * lines of it have been read with these. */
void results_headers(struct http_response *r, bool incomplete, uint64_t last);
