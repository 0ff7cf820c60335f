/* batches.h: POST and GET /v1/batches, GET /v1/batches/{id}, POST …/cancel, …/hold, …/resume
 * (contract 5, 6, 10, 11.3). */
#pragma once

#include "api/request.h"

/* Contract 1 and 5.2: a file of another purpose is refused; a missing one is, or *ret_missing. */
MUST_USE bool batch_input_check(struct request *rq, const struct batch *b, bool *ret_missing,
				struct error *err);
bool batches_create(struct request *rq, struct http_response *r, struct error *err);
bool batches_list(struct request *rq, struct http_response *r, struct error *err);
bool batches_get(struct request *rq, struct http_response *r, struct error *err);
bool batches_cancel(struct request *rq, struct http_response *r, struct error *err);
bool batches_hold(struct request *rq, struct http_response *r, struct error *err);
bool batches_resume(struct request *rq, struct http_response *r, struct error *err);

/* ---- for retry.c, which makes one too ---- */

/* Notes the trace that the client is in: the batch's span will be below its. A header `traceparent`
 * that is malformed counts for nothing. */
void batch_trace_read(const struct request *rq, struct batch *ret);
/* Of a batch that was just made: its row is durable. */
void batch_made(struct request *rq, const struct batch *b, struct http_response *r);
/* The answer of the call that made `id`. */
MUST_USE bool batch_made_before(struct request *rq, const char *id, struct http_response *r,
				struct error *err);
/* There are too many that have not ended: when to come again. */
void batches_full(const struct error *err, struct http_response *r);
/* Fails: the state forbids the call (contract 6). */
bool batch_refuse(struct request *rq, const char *verb, enum batch_status status,
		  struct http_response *r, struct error *err);
