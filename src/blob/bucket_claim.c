/* bucket_claim.c: whose the objects below a prefix are. A server with a new database would take all for
 * lost that it finds: so a bucket names the data directory that it belongs to, by an id that nodes have
 * in common. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blob/bucket.h"
#include "blob/bucket_impl.h"

#define CLAIM "lowtide.id"
#define TEXT_SIZE 256
#define CLAIM_TRIES 3

static bool any_found(void *ctx, const char *key, const struct s3_object *o, struct error *err)
{
	(void)key;
	(void)o;
	(void)err;
	*(bool *)ctx = true;
	return true;
}

/* "" in `ret`: there is none. */
static bool claim_read(struct bucket *b, char ret[static TEXT_SIZE], struct error *err)
{
	size_t n = 0;

	bool ok = s3_read_whole(b->s3, CLAIM, ret, TEXT_SIZE - 1, &n, err);
	ret[ok ? n : 0] = '\0';
	return ok || err->sys == ENOENT;
}

/* crash: the claim as it was, or the new one. */
static bool claim_write(struct bucket *b, const char *text, struct error *err)
{
	struct slice bytes = slice_of(text);
	struct s3_body body = s3_body_of(&bytes);

	return s3_put(b->s3, CLAIM, &body, NULL, err);
}

/* Where there is none yet; `there` is what stands there then: of several who come at one time the first
 * one's. A store that knows no conditions keeps the last one's, which is the same where nodes share it.
 * crash: none, or the new one. */
static bool claim_make(struct bucket *b, const char *text, char there[static TEXT_SIZE],
		       struct error *err)
{
	struct slice bytes = slice_of(text);
	struct s3_body body = s3_body_of(&bytes);

	there[0] = '\0';
	/* The other's put may be under way still, or have failed: then there is none, once more. */
	for (int i = 0; i < CLAIM_TRIES && there[0] == '\0'; i++)
		if ((!s3_put_new(b->s3, CLAIM, &body, err) && err->sys != EEXIST) ||
		    !claim_read(b, there, err))
			return false;
	return true;
}

/* *ret_any: there are files, and no claim. Who claims the prefix puts files there afterwards: so what is
 * found is judged by the claim that stands there then. */
static bool claim_look(struct bucket *b, char there[static TEXT_SIZE], bool *ret_any,
		       struct error *err)
{
	*ret_any = false;
	if (!claim_read(b, there, err))
		return false;
	if (there[0] != '\0')
		return true;
	return s3_list(b->s3, "files/", any_found, ret_any, err) &&
	       (!*ret_any || claim_read(b, there, err));
}

bool blobs_bucket_claim(struct blobs *blobs, const char *id, bool adopt, struct error *err)
{
	struct bucket *b = (struct bucket *)blobs;
	char ours[TEXT_SIZE], there[TEXT_SIZE];
	bool any;

	snprintf(ours, sizeof(ours), "lowtide bucket\nid %.150s\n", id);
	if (!claim_look(b, there, &any, err))
		return false;
	if (strcmp(ours, there) == 0)
		return true;
	if (adopt)
		return claim_write(b, ours, err);
	if (there[0] == '\0' && !any && !claim_make(b, ours, there, err))
		return false;
	return strcmp(ours, there) == 0 ||
	       fail(err, ERR_INVALID,
		    "blobs.url: the files in the bucket belong to %s data directory: name another "
		    "prefix, or that directory (--data), or of nodes that directory's database "
		    "(store); with --adopt they are this one's, and what its database does not know "
		    "is moved to lost/",
		    there[0] == '\0' ? "no" : "another");
}
