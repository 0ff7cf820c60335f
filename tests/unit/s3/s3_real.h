/* s3_real.h: the store that scripts/with-s3.sh has started, under a prefix of the test's own. Without
 * one the test is left out. */
#pragma once

#include "unit.h"

#include "s3/s3.h"

#define SKIPPED 77 /* meson's */

static char real_endpoint[64], real_bucket[64], real_prefix[64];
static struct s3_credentials real_keys;

static inline struct s3_config real_config(void)
{
	return (struct s3_config){ .endpoint = real_endpoint,
				   .bucket = real_bucket,
				   .prefix = real_prefix,
				   .path_style = true,
				   .credentials = &real_keys,
				   .attempts = 3,
				   .backoff_ms = 10 };
}

static inline void real_find(void)
{
	const char *where = getenv("LOWTIDE_TEST_S3");

	if (where == NULL)
		_exit(SKIPPED);
	assert_int_equal(sscanf(where, "%63s %63s %63s %63s", real_endpoint, real_keys.access_key,
				real_keys.secret_key, real_bucket),
			 4);
	snprintf(real_prefix, sizeof(real_prefix), "unit/%d", (int)getpid());
}
