/* auth.c: the key from the headers, its hash in the store. */
#include "api/auth.h"

#include <strings.h>

#define SCHEME "Bearer"

static struct slice bearer_key(const char *authorization)
{
	size_t n = strlen(SCHEME);

	if (strncasecmp(authorization, SCHEME, n) != 0 || authorization[n] != ' ')
		return SLICE("");
	const char *key = authorization + n + strspn(authorization + n, " ");
	return (struct slice){ key, strcspn(key, " ") };
}

static struct slice key_given(const struct http_request *q)
{
	const char *authorization = http_request_header(q, "Authorization");
	const char *azure = http_request_header(q, "api-key");
	const char *anthropic = http_request_header(q, "x-api-key"); /* clients of /v1/messages */

	if (authorization != NULL)
		return bearer_key(authorization);
	return slice_of(azure != NULL ? azure : anthropic != NULL ? anthropic : "");
}

bool auth_key(struct store *s, const char *hash, struct key *ret, struct error *err)
{
	if (store_key_find(s, hash, ret, err))
		return !ret->suspended || ret->is_operator ||
		       fail(err, ERR_FORBIDDEN,
			    "The organization '%s' is suspended by the operator of this server.",
			    ret->org_name);
	if (err->kind == ERR_BAD_KEY)
		return fail(err, ERR_BAD_KEY, "Incorrect API key provided");
	return false;
}

bool auth_check(struct request *rq, struct error *err)
{
	char hash[65];

	if (key_given(rq->http).n == 0)
		return fail(err, ERR_NO_KEY, "%s",
			    is_openai(rq)
				    ? "You didn't provide an API key. You need to provide it in "
				      "an Authorization header using Bearer auth (i.e. "
				      "Authorization: Bearer YOUR_KEY)."
				    : "Invalid Authentication");
	auth_key_hash(rq->http, hash);
	return auth_key(rq->api->store, hash, &rq->key, err);
}

bool auth_waits(const struct api *api, const struct http_request *q)
{
	char hash[65];

	if (!store_waits(api->store) || key_given(q).n == 0)
		return false;
	auth_key_hash(q, hash);
	return !store_key_known(api->store, hash);
}

void auth_key_hash(const struct http_request *q, char ret[static 65])
{
	id_secret_hash(key_given(q), ret);
}

bool auth_check_given(struct request *rq, struct error *err)
{
	return key_given(rq->http).n == 0 || auth_check(rq, err);
}
