/* console.h: the console's files over HTTP: /console/ is index.html. No key is needed; what they show
 * they ask of /v1, with the key that they are given. */
#pragma once

#include "api/request.h"

/* GET / leads a browser, which asks for a page, to the console. False: it is to be answered
 * otherwise. */
bool console_leads(const struct request *rq, struct http_response *r);
/* GET /console */
bool console_enter(struct request *rq, struct http_response *r, struct error *err);
/* GET /console/… */
bool console_get(struct request *rq, struct http_response *r, struct error *err);
