/* history.h: GET /v1/lowtide/history?span=hour|day: lines and tokens a second, and times to the first
 * token of online answers. An organization's key sees its own; an operator's those of all, or with
 * ?org=NAME of one. With ?batch=ID the lines a second of one batch. */
#pragma once

#include "api/request.h"
#include "history/history.h"

bool history_get(struct request *rq, struct http_response *r, struct error *err);
/* The object. Pure. */
enum history_of { HISTORY_HOUR, HISTORY_DAY, HISTORY_BATCH };
void history_write(struct buf *to, enum history_of of, const struct history_page *page);
