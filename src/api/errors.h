/* errors.h: an error value as an answer (contract 2.3). */
#pragma once

#include "api/request.h"

/* `{"error":{"message","type","param","code"}}`: all four keys always. */
void error_write(struct buf *to, const struct error *err, enum profile profile);
/* Status, body and headers of `r`, and nothing else: for answers whose request is over. */
void error_response(struct http_response *r, const struct error *err, enum profile profile);
/* Status, body and headers of `r`; what was in it but headers is dropped. A fault of ours (5xx) is
 * logged, once, with the request's id. */
void error_answer(struct request *rq, struct http_response *r, const struct error *err);
