/* auth.h: whose call it is (contract 2.1, 2.3). */
#pragma once

#include "api/request.h"

/* `Authorization: Bearer KEY`, else `api-key: KEY`, else `x-api-key: KEY`. Fills rq->key; NO_KEY,
 * BAD_KEY, or FORBIDDEN where its organization is suspended. Fit for the loop thread
 * unless auth_waits(). */
MUST_USE bool auth_check(struct request *rq, struct error *err);
/* To look up the key that a request gives would be to wait for a server. */
bool auth_waits(const struct api *api, const struct http_request *q);
/* Hex of the hash of the key that a request gives, for auth_key(). */
void auth_key_hash(const struct http_request *q, char ret[static 65]);
/* Whose key has that hash: BAD_KEY, FORBIDDEN, or what keeps the store from telling. */
MUST_USE bool auth_key(struct store *s, const char *hash, struct key *ret, struct error *err);
/* The same where a key is given; without one rq->key stays empty. */
MUST_USE bool auth_check_given(struct request *rq, struct error *err);
