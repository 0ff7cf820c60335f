/* lines.h: GET /v1/batches/{id}/lines: what was asked beside what was answered, in the order in which
 * lines ended: what the page of a batch shows. */
#pragma once

#include "api/request.h"

/* application/x-ndjson, a line for each that ended, of the page that `after` and `limit` (20, at most
 * 100) name as GET …/results has it, with its headers:
 *
 *	{"number":7,"line":12,"request":{…},"result":{…}}
 *
 * `request` is the line as it stands in the input; null: that is gone, or the line is no JSON. The
 * record of a line's end says which line it was, so nothing is looked for, and a page of a batch of
 * 5,000,000 lines reads as much as one of 10. */
bool lines_get(struct request *rq, struct http_response *r, struct error *err);
