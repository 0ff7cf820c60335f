/* limits_list.h: the limits of an organization and what it has of each (contract 13.1). */
#pragma once

#include "api/request.h"

/* [{"name","limit","use","resets_at"}]: those of organization `org`, of which `own` are its own. Reads
 * the store. */
MUST_USE bool limits_write(struct request *rq, const char *org,
			   const int64_t own[static ORG_LIMITS], struct buf *to, struct error *err);
/* GET /v1/lowtide/limits. */
bool limits_get(struct request *rq, struct http_response *r, struct error *err);
