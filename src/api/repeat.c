/* repeat.c: the claims, a short list under a lock. */
#include "api/repeat.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/request.h"
#include "base/sys.h"

static bool same_call(const struct call *a, const struct call *b)
{
	if (strcmp(a->key, b->key) != 0 || strcmp(a->route, b->route) != 0 ||
	    strcmp(a->idempotency_key, b->idempotency_key) != 0)
		return false;
	return a->idempotency_key[0] != '\0' || strcmp(a->fingerprint, b->fingerprint) == 0;
}

static bool claim(struct claims *claims, struct claim *c)
{
	bool alone = c->call.idempotency_key[0] != '\0' || c->call.resent;
	bool taken = false;

	pthread_mutex_lock(&claims->lock);
	for (const struct claim *other = claims->first; alone && other != NULL && !taken;
	     other = other->next)
		taken = same_call(&c->call, &other->call);
	if (!taken) {
		c->next = claims->first;
		claims->first = c;
		c->held = true;
	}
	pthread_mutex_unlock(&claims->lock);
	return !taken;
}

static bool fail_running(struct http_response *r, struct error *err)
{
	http_header(r, "Retry-After", "1");
	return fail(err, ERR_CONFLICT,
		    "The same call is still running. Please retry for its answer.");
}

bool repeat_begin(struct request *rq, const char *route, struct http_response *r, struct error *err)
{
	struct call *call = &rq->claim.call;
	const char *key = http_request_header(rq->http, "Idempotency-Key");
	const char *count = http_request_header(rq->http, "x-stainless-retry-count");

	*call = (struct call){ .route = route, .of_nodes = store_is_shared(rq->api->store) };
	memcpy(call->key, rq->key.id, sizeof(call->key));
	call->resent = count != NULL && strtol(count, NULL, 10) >= 1;
	if (key == NULL || key[0] == '\0')
		return true;
	if (!slice_copy(slice_of(key), call->idempotency_key, sizeof(call->idempotency_key)))
		return fail(err, ERR_INVALID, "The Idempotency-Key is longer than %zu bytes.",
			    sizeof(call->idempotency_key) - 1);
	return claim(&rq->api->claims, &rq->claim) || fail_running(r, err);
}

static bool fingerprint(struct slice content, char ret[static 65], struct error *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (EVP_Digest(content.p, content.n, digest, NULL, EVP_sha256(), NULL) != 1)
		return fail_memory(err);
	for (unsigned i = 0; i < 32; i++)
		snprintf(ret + 2 * (size_t)i, 3, "%02x", digest[i]);
	return true;
}

bool repeat_find(struct request *rq, struct slice content, struct http_response *r,
		 char ret_id[static ID_SIZE], struct error *err)
{
	struct api *api = rq->api;
	struct claim *c = &rq->claim;

	if (!fingerprint(content, c->call.fingerprint, err))
		return false;
	if (!c->held && !claim(&api->claims, c))
		return fail_running(r, err);
	return store_call_find(api->store, &c->call, sys.now_s(), ret_id, err);
}

void repeat_end(struct request *rq)
{
	struct claims *claims = &rq->api->claims;

	if (!rq->claim.held)
		return;
	pthread_mutex_lock(&claims->lock);
	struct claim **at = &claims->first;
	while (*at != &rq->claim)
		at = &(*at)->next;
	*at = rq->claim.next;
	pthread_mutex_unlock(&claims->lock);
	rq->claim.held = false;
}
