/* An object in parts: what is said at its beginning and end, an end whose answer was lost, and the
 * uploads of those who died. */
#include "s3_server.h"

#define BEGUN                                                                                                      \
	{                                                                                                          \
		"200 OK", NULL,                                                                                    \
			"<InitiateMultipartUploadResult><UploadId>u/1=</UploadId></InitiateMultipartUploadResult>" \
	}
#define PART(n)                                      \
	{                                            \
		"200 OK", "ETag: \"part" #n "\"\r\n" \
	}
#define DONE                                                       \
	{                                                          \
		"200 OK", NULL, "<CompleteMultipartUploadResult/>" \
	}
#define GONE_404                                                                  \
	{                                                                         \
		"404 Not Found", NULL, "<Error><Code>NoSuchUpload</Code></Error>" \
	}
#define ABC_SUM "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="

static bool asked(unsigned i, const char *line)
{
	return i < server.n && strncmp(server.asked[i].head, line, strlen(line)) == 0;
}

static struct s3_upload *begun(void)
{
	struct s3_upload *u;

	MUST(s3_upload_begin(s3, "files/a", &u, &err));
	return u;
}

static bool part(struct s3_upload *u, const char *text)
{
	struct slice bytes = slice_of(text);
	struct s3_body body = s3_body_of(&bytes);

	return s3_upload_part(u, &body, &err);
}

static void parts_become_an_object(void **state)
{
	(void)state;
	ANSWERS(BEGUN, PART(1), PART(2), DONE);
	struct s3_upload *u = begun();
	MUST(part(u, "abc"));
	MUST(part(u, "abc"));
	MUST(s3_upload_complete(u, &err));
	assert_true(asked(0, "POST /our-bucket/pre/fix/files/a?uploads= "));
	assert_true(asked(1, "PUT /our-bucket/pre/fix/files/a?partNumber=1&uploadId=u%2F1%3D "));
	assert_true(asked(2, "PUT /our-bucket/pre/fix/files/a?partNumber=2&uploadId=u%2F1%3D "));
	assert_true(asked(3, "POST /our-bucket/pre/fix/files/a?uploadId=u%2F1%3D "));
	static const char xml[] = "<CompleteMultipartUpload>"
				  "<Part><ChecksumSHA256>" ABC_SUM "</ChecksumSHA256>"
				  "<ETag>\"part1\"</ETag><PartNumber>1</PartNumber></Part>"
				  "<Part><ChecksumSHA256>" ABC_SUM "</ChecksumSHA256>"
				  "<ETag>\"part2\"</ETag><PartNumber>2</PartNumber></Part>"
				  "</CompleteMultipartUpload>";
	assert_int_equal(server.asked[3].body_n, sizeof(xml) - 1);
	assert_memory_equal(server.asked[3].body, xml, sizeof(xml) - 1);
}

static void a_part_that_failed_is_given_again(void **state)
{
	(void)state;
	ANSWERS(BEGUN, { "403 Forbidden" }, PART(1), DONE);
	struct s3_upload *u = begun();
	FAILS(part(u, "abc"), EACCES, "putting a part of files/a");
	MUST(part(u, "abc"));
	assert_true(asked(2, "PUT /our-bucket/pre/fix/files/a?partNumber=1&"));
	MUST(s3_upload_complete(u, &err));
}

static void a_200_can_hold_an_error(void **state)
{
	(void)state;
	ANSWERS(BEGUN, PART(1), { "200 OK", NULL, "<Error><Code>InternalError</Code></Error>" },
		DONE);
	struct s3_upload *u = begun();
	MUST(part(u, "abc"));
	MUST(s3_upload_complete(u, &err));
	assert_int_equal(server.n, 4);
	ANSWERS(BEGUN, PART(1), { "200 OK", NULL, "<Error><Code>InvalidPart</Code></Error>" },
		{ "204 No Content" });
	u = begun();
	MUST(part(u, "abc"));
	FAILS(s3_upload_complete(u, &err), EIO, "InvalidPart");
	assert_true(asked(3, "DELETE /our-bucket/pre/fix/files/a?uploadId=u%2F1%3D "));
}

static void an_end_whose_answer_was_lost(void **state)
{
	(void)state;
	ANSWERS(BEGUN, PART(1), { "200 OK", NULL, NULL, GONE }, GONE_404,
		{ "200 OK", "ETag: \"0123-1\"\r\n", "abc" });
	struct s3_upload *u = begun();
	MUST(part(u, "abc"));
	MUST(s3_upload_complete(u, &err));
	ANSWERS(BEGUN, PART(1), GONE_404, { "200 OK", "ETag: \"0123-1\"\r\n", "other" }, GONE_404);
	u = begun(); /* what stands there is something else */
	MUST(part(u, "abc"));
	FAILS(s3_upload_complete(u, &err), ENOENT, "not there any more");
	assert_int_equal(server.n, 5);
}

static void an_upload_without_a_name(void **state)
{
	struct s3_upload *u;

	(void)state;
	ANSWERS({ "200 OK", NULL, "<InitiateMultipartUploadResult/>" });
	FAILS(s3_upload_begin(s3, "files/a", &u, &err), ENOMSG, "no UploadId");
	s3_upload_abort(NULL);
}

#define UPLOAD(key, at) \
	"<Upload><Key>" key "</Key><UploadId>u1</UploadId><Initiated>" at "</Initiated></Upload>"

static void uploads_of_the_dead(void **state)
{
	unsigned n;

	(void)state;
	ANSWERS({ "200 OK", NULL,
		  "<ListMultipartUploadsResult>" UPLOAD("pre/fix/files/a", "2026-12-01T15:49:20Z")
			  UPLOAD("pre/fix/files/b",
				 "2026-12-01T15:49:21Z") UPLOAD("other", "2026-12-01T15:49:20Z")
				  UPLOAD("pre/fix/files/c", "") "</ListMultipartUploadsResult>" },
		{ "204 No Content" });
	MUST(s3_uploads_abort(s3, "files/", 1796140160, &n, &err));
	assert_int_equal(n, 1);
	assert_int_equal(server.n, 2);
	assert_true(asked(0, "GET /our-bucket/?prefix=pre%2Ffix%2Ffiles%2F&uploads= "));
	assert_true(asked(1, "DELETE /our-bucket/pre/fix/files/a?uploadId=u1 "));
}

static void copies(void **state)
{
	(void)state;
	ANSWERS({ "200 OK", NULL, "<CopyObjectResult/>" });
	MUST(s3_copy(s3, "files/a", "lost/a", 5, &err));
	assert_true(asked(0, "PUT /our-bucket/pre/fix/lost/a HTTP"));
	assert_non_null(
		strstr(server.asked[0].head, "x-amz-copy-source: /our-bucket/pre/fix/files/a\r\n"));
	ANSWERS({ "200 OK", NULL, "<Error><Code>AccessDenied</Code></Error>" });
	FAILS(s3_copy(s3, "files/a", "lost/a", 5, &err), EACCES, "copying to lost/a");
}

int main(void)
{
#define CALL(test) cmocka_unit_test_setup_teardown(test, s3_setup, s3_teardown)
	const struct CMUnitTest tests[] = {
		CALL(parts_become_an_object),
		CALL(a_part_that_failed_is_given_again),
		CALL(a_200_can_hold_an_error),
		CALL(an_end_whose_answer_was_lost),
		CALL(an_upload_without_a_name),
		CALL(uploads_of_the_dead),
		CALL(copies),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	server_close();
	return failed;
}
