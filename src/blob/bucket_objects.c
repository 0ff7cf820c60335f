/* bucket_objects.c: objects by name beside the blobs of a bucket. */
#include <errno.h>
#include <string.h>

#include "blob/bucket_impl.h"
#include "blob/objects.h"

#define NAME_MOST 160u
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/"

static struct s3 *s3_of(struct blobs *blobs)
{
	return ((struct bucket *)blobs)->s3;
}

/* Whether "files/" and what stands for whose the prefix is are out of its reach. */
static bool begin_check(const char *begin, struct error *err)
{
	size_t n = strnlen(begin, NAME_MOST + 1);

	if (n == 0 || n > NAME_MOST || strspn(begin, NAME_CHARACTERS) != n || begin[0] == '/' ||
	    begin[0] == '.' || strchr(begin, '/') == NULL || strstr(begin, "//") != NULL ||
	    strstr(begin, "/.") != NULL || strncmp(begin, "files/", 6) == 0 ||
	    strncmp(begin, "lost/", 5) == 0)
		return fail_sys(err, EINVAL, "'%.*s' is no object's name", (int)NAME_MOST, begin);
	return true;
}

static bool name_check(const char *name, struct error *err)
{
	if (!begin_check(name, err))
		return false;
	return name[strlen(name) - 1] != '/' ||
	       fail_sys(err, EINVAL, "'%s' is no object's name", name);
}

/* crash: the object, or none; its owner, who has not recorded it, puts it again, or it is garbage. */
bool objects_put(struct blobs *blobs, const char *name, struct slice bytes, struct error *err)
{
	struct s3_body body = s3_body_of(&bytes);

	return name_check(name, err) && s3_put(s3_of(blobs), name, &body, NULL, err);
}

bool objects_read(struct blobs *blobs, const char *name, uint64_t at, void *to, size_t n,
		  struct error *err)
{
	if (!name_check(name, err))
		return false;
	return n == 0 || s3_read(s3_of(blobs), name, NULL, at, to, n, err);
}

bool objects_remove(struct blobs *blobs, const char *name, struct error *err)
{
	return name_check(name, err) && s3_delete(s3_of(blobs), name, err);
}

struct object_listing {
	object_fn each;
	void *ctx;
};

static bool list_one(void *ctx, const char *key, const struct s3_object *o, struct error *err)
{
	const struct object_listing *l = ctx;

	return l->each(l->ctx, key, o->bytes, err);
}

bool objects_list(struct blobs *blobs, const char *begin, object_fn each, void *ctx,
		  struct error *err)
{
	struct object_listing l = { each, ctx };

	return (strncmp(begin, OBJECTS_OF_PARTS, strlen(OBJECTS_OF_PARTS)) == 0 ||
		begin_check(begin, err)) &&
	       s3_list(s3_of(blobs), begin, list_one, &l, err);
}
