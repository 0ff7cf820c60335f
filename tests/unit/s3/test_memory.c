/* Allocations that fail: the call says so, and the next one is as ever. */
#include "../memory_fault.h"
#include "s3/s3_impl.h"
#include "s3_server.h"

static bool all_calls(void)
{
	struct slice bytes = SLICE("abc");
	struct s3_body body = s3_body_of(&bytes);
	struct s3_config c = config_of("http://127.0.0.1:1");
	struct s3_upload *u;
	struct s3 *other;
	char to[8];

	c.ca_file = "/nowhere";
	c.encryption = "AES256";
	if (!s3_open(&c, &other, &err))
		return false;
	s3_close(other);
	if (!s3_put(s3, "files/a", &body, NULL, &err) ||
	    !s3_read(s3, "files/a", NULL, 0, to, 3, &err) || !s3_check(s3, &err) ||
	    !s3_upload_begin(s3, "files/a", &u, &err))
		return false;
	if (!s3_upload_part(u, &body, &err)) {
		s3_upload_abort(u);
		return false;
	}
	return s3_upload_complete(u, &err);
}

static bool no_object(void *ctx, const char *key, const struct s3_object *o, struct error *e)
{
	(void)ctx;
	(void)key;
	(void)o;
	(void)e;
	return true;
}

static bool lists(void)
{
	unsigned n;

	return s3_list(s3, "files/", no_object, NULL, &err) &&
	       s3_uploads_abort(s3, "files/", 0, &n, &err);
}

static void sweep(const struct reply *replies, bool (*work)(void))
{
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		answers(replies);
		memory_fail(&s);
		bool ok = work();
		memory_restore(&s);
		if (!ok)
			assert_no_memory(&err);
		else if (s.all_after)
			assert_false(s.fired);
	}
}

static void every_call(void **state)
{
	static const struct reply replies[] = {
		{ "200 OK" },
		{ "206 Partial Content", NULL, "abc" },
		{ "200 OK", NULL, "<ListBucketResult/>" },
		{ "200 OK", NULL,
		  "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
		  "</InitiateMultipartUploadResult>" },
		{ "200 OK", "ETag: \"1\"\r\n" },
		{ "200 OK", NULL, "<CompleteMultipartUploadResult/>" },
		{ "204 No Content" },
		{ NULL },
	};

	(void)state;
	sweep(replies, all_calls);
}

static void every_list(void **state)
{
	static const struct reply replies[] = {
		{ "200 OK", NULL,
		  "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>pre/fix/files/a"
		  "</Key></Contents><NextContinuationToken>next</NextContinuationToken>"
		  "</ListBucketResult>" },
		{ "200 OK", NULL, "<ListBucketResult/>" },
		{ NULL },
	};

	(void)state;
	sweep(replies, lists);
}

/* A call that had no memory says nothing of the store. */
static void while_the_store_is_away(void **state)
{
	static const struct reply replies[] = { { "200 OK" }, { NULL } };
	struct slice bytes = SLICE("abc");
	struct s3_body body = s3_body_of(&bytes);

	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		answers(replies);
		s3->standing = S3_AWAY;
		memory_fail(&s);
		bool ok = s3_put(s3, "files/a", &body, NULL, &err);
		memory_restore(&s);
		assert_int_equal(s3_standing(s3), ok ? S3_ANSWERS : S3_AWAY);
	}
}

int main(void)
{
#define CALL(test) cmocka_unit_test_setup_teardown(test, s3_setup, s3_teardown)
	const struct CMUnitTest tests[] = { CALL(every_call), CALL(every_list),
					    CALL(while_the_store_is_away) };

	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	server_close();
	return failed;
}
