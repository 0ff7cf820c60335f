/* scheduling.h: GET /v1/lowtide/scheduling: what dispatch does at this moment, for the console
 * (contract 11.3). */
#pragma once

#include "api/request.h"
#include "dispatch/view.h"

bool scheduling_get(struct request *rq, struct http_response *r, struct error *err);
/* Pure. */
void scheduling_write(struct buf *to, const struct scheduling_view *v);
