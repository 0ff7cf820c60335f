/* Every call against a store that checks signatures. */
#include "s3_real.h"

#include <stdlib.h>
#include <time.h>

#include "base/log.h"

static struct s3 *s3;
static struct error err;

#define MUST(call)                                                               \
	do {                                                                     \
		if (!(call))                                                     \
			fail_msg("%s: %s (%s)", #call, err.message, err.detail); \
	} while (0)

static int setup(void **state)
{
	struct s3_config c;

	(void)state;
	log_set_level(LOG_OFF);
	real_find();
	c = real_config();
	MUST(s3_open(&c, &s3, &err));
	MUST(s3_check(s3, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	s3_close(s3);
	return 0;
}

static void put(const char *key, struct slice bytes)
{
	struct s3_body body = s3_body_of(&bytes);

	MUST(s3_put(s3, key, &body, NULL, &err));
}

static void put_read_and_removed(void **state)
{
	struct s3_object o;
	char got[32] = "";
	size_t n;

	(void)state;
	put("files/a.b_c-d", SLICE("0123456789"));
	MUST(s3_head(s3, "files/a.b_c-d", &o, &err));
	assert_int_equal(o.bytes, 10);
	MUST(s3_read_whole(s3, "files/a.b_c-d", got, sizeof(got), &n, &err));
	assert_int_equal(n, 10);
	assert_string_equal(got, "0123456789");
	memset(got, 0, sizeof(got));
	MUST(s3_read(s3, "files/a.b_c-d", o.etag, 3, got, 4, &err));
	assert_string_equal(got, "3456");
	assert_false(s3_read(s3, "files/a.b_c-d", o.etag, 8, got, 4, &err));
	assert_int_equal(err.sys, ENODATA);
	assert_false(s3_read(s3, "files/a.b_c-d", o.etag, 10, got, 4, &err));
	assert_int_equal(err.sys, ENODATA);
	put("files/a.b_c-d", SLICE("other"));
	assert_false(s3_read(s3, "files/a.b_c-d", o.etag, 0, got, 4, &err));
	assert_int_equal(err.sys, EBADMSG);
	MUST(s3_copy(s3, "files/a.b_c-d", "lost/a", 5, &err));
	MUST(s3_delete(s3, "files/a.b_c-d", &err));
	MUST(s3_delete(s3, "files/a.b_c-d", &err));
	assert_false(s3_head(s3, "files/a.b_c-d", &o, &err));
	assert_int_equal(err.sys, ENOENT);
	assert_false(s3_read_whole(s3, "files/a.b_c-d", got, sizeof(got), &n, &err));
	assert_int_equal(err.sys, ENOENT);
	MUST(s3_read_whole(s3, "lost/a", got, sizeof(got), &n, &err));
	assert_int_equal(n, 5);
	put("empty", SLICE(""));
	MUST(s3_head(s3, "empty", &o, &err));
	assert_int_equal(o.bytes, 0);
}

static void only_the_first_puts_what_is_new(void **state)
{
	struct slice first = SLICE("first"), second = SLICE("second");
	struct s3_body body = s3_body_of(&first), other = s3_body_of(&second);
	char got[8] = "";
	size_t n;

	(void)state;
	MUST(s3_put_new(s3, "new/a", &body, &err));
	assert_false(s3_put_new(s3, "new/a", &other, &err));
	assert_int_equal(err.sys, EEXIST);
	MUST(s3_read_whole(s3, "new/a", got, sizeof(got), &n, &err));
	assert_string_equal(got, "first");
}

static void the_store_says_what_time_it_is(void **state)
{
	int64_t now;

	(void)state;
	MUST(s3_now(s3, &now, &err));
	assert_true(llabs((long long)now - (long long)time(NULL)) < 60);
}

static bool count(void *ctx, const char *key, const struct s3_object *o, struct error *e)
{
	unsigned *n = ctx;
	char expected[32];

	(void)e;
	snprintf(expected, sizeof(expected), "many/%05u", *n);
	assert_string_equal(key, expected);
	assert_int_equal(o->bytes, 1);
	assert_true(o->modified_s > 1700000000);
	++*n;
	return true;
}

static void lists_of_several_pages(void **state)
{
	char key[32];
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 1003; i++) {
		snprintf(key, sizeof(key), "many/%05u", i);
		put(key, SLICE("x"));
	}
	put("mane", SLICE("x"));
	MUST(s3_list(s3, "many/", count, &n, &err));
	assert_int_equal(n, 1003);
}

static void in_parts(void **state)
{
	static char large[6 << 20], got[8];
	struct slice bytes = { large, sizeof(large) }, end = SLICE("end");
	struct s3_body body = s3_body_of(&bytes), last = s3_body_of(&end);
	struct s3_upload *u, *left;
	struct s3_object o;
	unsigned n;

	(void)state;
	memset(large, 'l', sizeof(large));
	MUST(s3_upload_begin(s3, "parts/a", &u, &err));
	MUST(s3_upload_part(u, &body, &err));
	MUST(s3_upload_part(u, &last, &err));
	assert_false(s3_head(s3, "parts/a", &o, &err)); /* not before its end */
	MUST(s3_upload_complete(u, &err));
	MUST(s3_head(s3, "parts/a", &o, &err));
	assert_int_equal(o.bytes, sizeof(large) + 3);
	MUST(s3_read(s3, "parts/a", o.etag, sizeof(large) - 1, got, 4, &err));
	assert_memory_equal(got, "lend", 4);
	MUST(s3_upload_begin(s3, "parts/b", &u, &err));
	MUST(s3_upload_part(u, &last, &err));
	s3_upload_abort(u);
	MUST(s3_upload_begin(s3, "parts/c", &left, &err));
	MUST(s3_uploads_abort(s3, "parts/", 1, &n, &err));
	assert_int_equal(n, 0);
	MUST(s3_uploads_abort(s3, "parts/", INT64_MAX, &n, &err));
	assert_int_equal(n, 1);
	assert_false(s3_upload_part(left, &last, &err));
	s3_upload_abort(left);
}

static void who_may_not_is_told(void **state)
{
	struct s3_config c = real_config();
	struct s3 *other;

	(void)state;
	struct s3_credentials wrong = *c.credentials;
	snprintf(wrong.secret_key, sizeof(wrong.secret_key), "wrong");
	c.credentials = &wrong;
	MUST(s3_open(&c, &other, &err));
	assert_false(s3_check(other, &err));
	assert_int_equal(err.sys, EACCES);
	assert_non_null(strstr(err.detail, "the secret key"));
	s3_close(other);
	wrong = *real_config().credentials;
	snprintf(wrong.access_key, sizeof(wrong.access_key), "AKIAUNKNOWN");
	MUST(s3_open(&c, &other, &err));
	assert_false(s3_check(other, &err));
	assert_int_equal(err.sys, EACCES);
	assert_non_null(strstr(err.detail, "access key"));
	s3_close(other);
	c = real_config();
	c.bucket = "no-such-bucket-of-ours";
	MUST(s3_open(&c, &other, &err));
	assert_false(s3_check(other, &err));
	assert_int_equal(err.sys, ENODEV);
	s3_close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_read_and_removed),
		cmocka_unit_test(only_the_first_puts_what_is_new),
		cmocka_unit_test(the_store_says_what_time_it_is),
		cmocka_unit_test(lists_of_several_pages),
		cmocka_unit_test(in_parts),
		cmocka_unit_test(who_may_not_is_told),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
