/* upload_claims.c: a short list under a lock. */
#include "api/upload_claims.h"

#include <string.h>

/* The claim of `upload` that completes it, or the one that appends. Under the lock. */
static const struct upload_claim *claim_of(const struct upload_claims *claims, const char *upload,
					   bool completes)
{
	const struct upload_claim *c = claims->first;

	while (c != NULL && (c->completes != completes || strcmp(c->upload, upload) != 0))
		c = c->next;
	return c;
}

static void claim_add(struct upload_claims *claims, struct upload_claim *c, const char *upload,
		      bool completes)
{
	if (!slice_copy(slice_of(upload), c->upload, sizeof(c->upload)))
		return; /* no id of ours: there is no such upload */
	c->completes = completes;
	c->held = true;
	c->next = claims->first;
	claims->first = c;
}

bool upload_claim_blob(struct upload_claims *claims, struct upload_claim *c, const char *upload)
{
	pthread_mutex_lock(&claims->lock);
	if (claim_of(claims, upload, true) == NULL && claim_of(claims, upload, false) == NULL)
		claim_add(claims, c, upload, false);
	pthread_mutex_unlock(&claims->lock);
	return c->held;
}

bool upload_claim_complete(struct upload_claims *claims, struct upload_claim *c, const char *upload,
			   bool *ret_alone)
{
	pthread_mutex_lock(&claims->lock);
	bool free = claim_of(claims, upload, true) == NULL;
	*ret_alone = claim_of(claims, upload, false) == NULL;
	if (free)
		claim_add(claims, c, upload, true);
	pthread_mutex_unlock(&claims->lock);
	return free;
}

void upload_claim_end(struct upload_claims *claims, struct upload_claim *c)
{
	if (!c->held)
		return;
	pthread_mutex_lock(&claims->lock);
	struct upload_claim **at = &claims->first;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	pthread_mutex_unlock(&claims->lock);
	c->held = false;
}
