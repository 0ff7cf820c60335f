/* scheduling.h: GET /v1/lowtide/scheduling: what dispatch does at this moment, for the console
 * (contract 11.3). */
#pragma once

#include "api/request.h"
#include "dispatch/view.h"

/* What the request's key may see of dispatch (contract 13.1): an operator's all, an organization's
 * its own; without a key, where the route needs none, models that each key may see. */
struct view_asked scheduling_asked(const struct request *rq, bool decisions);

bool scheduling_get(struct request *rq, struct http_response *r, struct error *err);
/* Of VIEW_ORG the organization's models and where they run, without any count that others are part
 * of. Pure. */
void scheduling_write(struct buf *to, const struct scheduling_view *v);
