/* health.h: GET /, /healthz and /readyz (contract 13): no key needed. */
#pragma once

#include "api/request.h"

/* GET /: what this is, for a person who opens the address in a browser. */
bool health_about(struct request *rq, struct http_response *r, struct error *err);
bool health_alive(struct request *rq, struct http_response *r, struct error *err);
/* 503 once the server is draining, so that a load balancer turns away in time; and while its store is
 * away. */
bool health_ready(struct request *rq, struct http_response *r, struct error *err);
/* Refuses a call that would begin something new: UNAVAILABLE while draining. */
MUST_USE bool health_takes_work(const struct request *rq, struct error *err);
