/* webhook_test.h: POST /v1/webhook_endpoints/{id}/test (contract 12): one event is sent at once,
 * and the answer says what the receiver answered. */
#pragma once

#include "api/request.h"

bool webhook_test(struct request *rq, struct http_response *r, struct error *err);
