/* operator.h: calls of the operator's keys (contract 13.1): organizations, their keys, and the
 * batches of every organization. Such a key has no files and sends no requests; what it does is in
 * the log, a line a call. */
#pragma once

#include "api/request.h"

/* Whether the request's key may make a call of its route; FORBIDDEN. Fit for the loop thread. */
MUST_USE bool operator_admits(const struct request *rq, struct error *err);
/* From here on a call of an operator's key for an organization (KEYS_FOR_AN_ORG) is that
 * organization's: rq->key.org. INVALID without ?org=NAME, NOT_FOUND if none is named so. Reads the
 * store. */
MUST_USE bool operator_scope(struct request *rq, struct error *err);
/* The log's line of a call of an operator's key; none of any other, and none of a look at /metrics,
 * which is taken again and again. `status` 0: it is answered
 * later. */
void operator_log(const struct request *rq, int status);

/* The organization of that name; NOT_FOUND with param `org`. */
MUST_USE bool operator_named(struct request *rq, const char *name, struct org *ret,
			     struct error *err);

bool operator_orgs(struct request *rq, struct http_response *r, struct error *err);
bool operator_org(struct request *rq, struct http_response *r, struct error *err);
/* Its weight and its own limits. */
bool operator_org_set(struct request *rq, struct http_response *r, struct error *err);
bool operator_suspend(struct request *rq, struct http_response *r, struct error *err);
bool operator_resume(struct request *rq, struct http_response *r, struct error *err);
bool operator_keys(struct request *rq, struct http_response *r, struct error *err);
bool operator_key_create(struct request *rq, struct http_response *r, struct error *err);
bool operator_key_delete(struct request *rq, struct http_response *r, struct error *err);
