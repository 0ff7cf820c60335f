/* webhook_endpoints.h: /v1/webhook_endpoints (contract 12): where an organization's events go, and
 * what became of them. */
#pragma once

#include "api/request.h"

bool webhooks_create(struct request *rq, struct http_response *r, struct error *err);
bool webhooks_list(struct request *rq, struct http_response *r, struct error *err);
bool webhooks_get(struct request *rq, struct http_response *r, struct error *err);
bool webhooks_update(struct request *rq, struct http_response *r, struct error *err);
bool webhooks_delete(struct request *rq, struct http_response *r, struct error *err);
/* The secret of before signs as well for 24 hours, unless the body says that it is to end at
 * once. */
bool webhooks_rotate_secret(struct request *rq, struct http_response *r, struct error *err);
bool webhooks_deliveries(struct request *rq, struct http_response *r, struct error *err);
bool webhooks_replay(struct request *rq, struct http_response *r, struct error *err);
