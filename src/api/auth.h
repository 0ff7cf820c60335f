/* auth.h: whose call it is (contract 2.1, 2.3). */
#pragma once

#include "api/request.h"

/* `Authorization: Bearer KEY`, else `api-key: KEY`, else `x-api-key: KEY`. Fills rq->key; NO_KEY or
 * BAD_KEY. A point read: fit for the loop thread. */
MUST_USE bool auth_check(struct request *rq, struct error *err);
