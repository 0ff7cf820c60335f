/* auth.h: whose call it is (contract 2.1, 2.3). */
#pragma once

#include "api/request.h"

/* `Authorization: Bearer KEY`, else `api-key: KEY`, else `x-api-key: KEY`. Fills rq->key; NO_KEY,
 * BAD_KEY, or FORBIDDEN where its organization is suspended. Fit for the loop thread. */
MUST_USE bool auth_check(struct request *rq, struct error *err);
/* The same where a key is given; without one rq->key stays empty. */
MUST_USE bool auth_check_given(struct request *rq, struct error *err);
