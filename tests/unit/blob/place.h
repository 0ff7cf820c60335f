/* place.h: a store of blobs of the kind that LOWTIDE_TEST_BLOBS names: a directory (not set), a bucket
 * in the memory of the test ("bucket"), or one of the store that scripts/with-s3.sh has started
 * ("s3"). */
#pragma once

#include "unit.h"

#include "../s3/s3_real.h"
#include "base/log.h"
#include "blob/blob.h"
#include "blob/lost.h"
#include "bucket_world.h"

static char *dir;
static struct blobs *blobs;

static inline bool place_is(const char *kind)
{
	const char *set = getenv("LOWTIDE_TEST_BLOBS");

	return strcmp(set != NULL ? set : "", kind) == 0;
}

static inline struct s3_config place_config(void)
{
	static const struct s3_credentials keys = { .access_key = "key", .secret_key = "secret" };
	static char endpoint[64];

	if (place_is("s3"))
		return real_config();
	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", world.port);
	return (struct s3_config){ .endpoint = endpoint,
				   .bucket = "bucket",
				   .path_style = true,
				   .credentials = &keys,
				   .attempts = 1 };
}

static inline void place_open(void)
{
	struct s3_config c = place_config();
	struct error err;

	bool ok = place_is("") ? blobs_open(dir, NULL, &blobs, &err)
			       : blobs_open_bucket(&c, &blobs, &err);
	if (!ok)
		fail_msg("%s (%s)", err.message, err.detail);
}

static inline int place_setup(void **state)
{
	static unsigned turn;

	(void)state;
	log_set_level(LOG_OFF);
	dir = scratch_dir_new();
	if (place_is("s3")) {
		real_find();
		snprintf(real_prefix + strlen(real_prefix), 16, "-%u", turn++);
	} else if (place_is("bucket")) {
		world_open();
	}
	place_open();
	return 0;
}

static inline int place_teardown(void **state)
{
	(void)state;
	blobs_close(blobs);
	if (place_is("bucket"))
		world_close();
	scratch_dir_remove(dir);
	return 0;
}

#define ON_PLACE(test) cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

/* ---- what is in lost/ ---- */

struct lost_count {
	const char *name;
	int n;
};

static inline void lost_one(void *ctx, const struct lost_file *file)
{
	struct lost_count *c = ctx;

	c->n += strcmp(strrchr(file->path, '/') + 1, c->name) == 0;
}

static inline bool lost_object(void *ctx, const char *key, const struct s3_object *o,
			       struct error *err)
{
	struct lost_count *c = ctx;
	size_t n = strlen(c->name), key_n = strlen(key);

	(void)o;
	(void)err;
	c->n += key_n > n && strcmp(key + key_n - n, c->name) == 0;
	return true;
}

/* How many of that name are there. */
static inline int lost_of(const char *name)
{
	struct lost_count c = { name, 0 };
	struct s3_config config = place_config();
	struct error err;
	struct s3 *s3;

	if (place_is("")) {
		assert_true(lost_each(dir, lost_one, &c, &err));
		return c.n;
	}
	assert_true(s3_open(&config, &s3, &err));
	assert_true(s3_list(s3, "lost/", lost_object, &c, &err));
	s3_close(s3);
	return c.n;
}
