/* Calls to a store that answers badly: what is tried again and what is not, what is compared, and
 * what an operator reads. */
#include "s3_server.h"

#include "base/sys.h"

#define OK                           \
	{                            \
		"200 OK", NULL, NULL \
	}
#define SLOW                                                                  \
	{                                                                     \
		"503 Slow Down", NULL, "<Error><Code>SlowDown</Code></Error>" \
	}
#define ABC_SUM "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="

static bool put(void)
{
	struct slice bytes = SLICE("abc");
	struct s3_body body = s3_body_of(&bytes);

	return s3_put(s3, "files/a", &body, NULL, &err);
}

static const char *header(unsigned i, const char *name)
{
	static char value[512];
	char start[128];

	assert_true(i < server.n);
	snprintf(start, sizeof(start), "\r\n%s: ", name);
	const char *p = strcasestr(server.asked[i].head, start);
	if (p == NULL)
		return "";
	p += strlen(start);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, "\r"), p);
	return value;
}

static bool asked(unsigned i, const char *line)
{
	return i < server.n && strncmp(server.asked[i].head, line, strlen(line)) == 0;
}

static char got[64];

static bool read_at(uint64_t at, size_t n)
{
	memset(got, 0, sizeof(got));
	return s3_read(s3, "files/a", "\"tag\"", at, got, n, &err);
}

static bool read_whole(void)
{
	size_t n;

	memset(got, 0, sizeof(got));
	return s3_read_whole(s3, "files/a", got, 5, &n, &err);
}

/* ---- what is asked ---- */

static void a_put_says_what_it_sends(void **state)
{
	struct s3_credentials keys = ours;
	struct s3_config c = config_of(NULL);

	(void)state;
	c.encryption = "AES256";
	snprintf(keys.session_token, sizeof(keys.session_token), "tok/en==");
	c.credentials = &keys;
	c.region = "eu-north-1";
	s3_make(&c);
	ANSWERS(OK);
	MUST(put());
	assert_true(asked(0, "PUT /our-bucket/pre/fix/files/a HTTP/1.1\r\n"));
	assert_string_equal(header(0, "x-amz-content-sha256"),
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(header(0, "x-amz-checksum-sha256"), ABC_SUM);
	assert_string_equal(header(0, "x-amz-server-side-encryption"), "AES256");
	assert_string_equal(header(0, "x-amz-security-token"), "tok/en==");
	assert_non_null(strstr(header(0, "Authorization"), "/eu-north-1/s3/aws4_request"));
	assert_int_equal(server.asked[0].body_n, 3);
	assert_memory_equal(server.asked[0].body, "abc", 3);
	assert_null(strstr(server.asked[0].head, SECRET));
}

static void a_range_is_of_that_object_alone(void **state)
{
	(void)state;
	ANSWERS({ "206 Partial Content", NULL, "cde" });
	MUST(read_at(2, 3));
	assert_string_equal(got, "cde");
	assert_string_equal(header(0, "Range"), "bytes=2-4");
	assert_string_equal(header(0, "If-Match"), "\"tag\"");
}

static void the_bucket_before_the_host(void **state)
{
	struct s3_config c = config_of(NULL);
	char endpoint[64], host[64];
	struct s3 *other;

	(void)state;
	snprintf(endpoint, sizeof(endpoint), "http://localhost:%u/", server.port);
	snprintf(host, sizeof(host), "our-bucket.localhost:%u", server.port);
	c.endpoint = endpoint;
	c.path_style = false;
	MUST(s3_open(&c, &other, &err));
	ANSWERS(OK);
	MUST(s3_delete(other, "files/a", &err));
	assert_true(asked(0, "DELETE /pre/fix/files/a HTTP/1.1\r\n"));
	assert_string_equal(header(0, "Host"), host);
	s3_close(other);
}

/* ---- again ---- */

static void what_may_pass_is_tried_again(void **state)
{
	static const struct reply passing[] = {
		SLOW,
		{ "500 Internal Server Error", NULL, "<Error><Code>InternalError</Code></Error>" },
		{ "502 Bad Gateway", NULL, "<html>" },
		{ "504 Gateway Timeout" },
		{ "429 Too Many Requests" },
		{ "400 Bad Request", NULL, "<Error><Code>RequestTimeout</Code></Error>" },
		{ "200 OK", NULL, "", GONE },
		{ "200 OK", NULL, "x", CUT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
		ANSWERS(passing[i], passing[i], OK);
		MUST(put());
		assert_int_equal(server.n, 3);
		assert_memory_equal(server.asked[2].body, "abc", 3);
		ANSWERS(passing[i]);
		FAILS(put(), EAGAIN, "putting files/a: ");
		assert_int_equal(err.kind, ERR_UNAVAILABLE);
		assert_int_equal(server.n, 3); /* as many as are set */
		assert_int_equal(s3_standing(s3), S3_AWAY);
		ANSWERS({ "404 Not Found" });
		FAILS(put(), ENOENT, "no such object");
		assert_int_equal(s3_standing(s3), S3_ANSWERS);
	}
}

static void what_is_refused_is_not(void **state)
{
	static const struct {
		const char *status, *code;
		int sys;
		const char *words;
		enum s3_standing standing;
	} refused[] = {
		{ "403 Forbidden", "SignatureDoesNotMatch", EACCES, "secret key", S3_REFUSES },
		{ "403 Forbidden", "InvalidAccessKeyId", EACCES, "blobs.credentials_file",
		  S3_REFUSES },
		{ "403 Forbidden", "AccessDenied", EACCES, "the bucket's policy", S3_DOUBTED },
		{ "403 Forbidden", "RequestTimeTooSkewed", EACCES, "clock is off", S3_REFUSES },
		{ "400 Bad Request", "ExpiredToken", EACCES, "has ended", S3_REFUSES },
		{ "400 Bad Request", "AuthorizationHeaderMalformed", EACCES, "blobs.region",
		  S3_REFUSES },
		{ "404 Not Found", "NoSuchBucket", ENODEV, "no such bucket", S3_NO_BUCKET },
		{ "404 Not Found", "NoSuchKey", ENOENT, "no such object", S3_ANSWERS },
		{ "400 Bad Request", "EntityTooLarge", EIO, "answers 400 EntityTooLarge",
		  S3_ANSWERS },
		{ "418 I'm a teapot", "", EIO, "answers 418", S3_ANSWERS },
	};
	static char bodies[ARRAY_LEN(refused)][128]; /* the server reads one while it is left */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		char *body = bodies[i];
		snprintf(body, sizeof(bodies[i]), "<Error><Code>%s</Code></Error>",
			 refused[i].code);
		ANSWERS({ refused[i].status, NULL, body });
		FAILS(put(), refused[i].sys, refused[i].words);
		bool passes = refused[i].sys == EACCES || refused[i].sys == ENODEV;
		assert_int_equal(err.kind, passes ? ERR_UNAVAILABLE : ERR_INTERNAL);
		assert_int_equal(s3_standing(s3), refused[i].standing);
		assert_int_equal(server.n, 1);
		ANSWERS(OK);
		MUST(put());
		assert_int_equal(s3_standing(s3), S3_ANSWERS);
	}
	ANSWERS({ "301 Moved", "x-amz-bucket-region: eu-west-3\r\n", NULL });
	FAILS(put(), ENODEV, "the region eu-west-3 (blobs.region)");
	ANSWERS({ "403 Forbidden" });
	FAILS(put(), EACCES, "blobs.credentials_file");
}

static void a_store_that_is_not_there(void **state)
{
	struct s3_config c = config_of("http://127.0.0.1:1");
	struct s3 *other;

	(void)state;
	MUST(s3_open(&c, &other, &err));
	FAILS(s3_check(other, &err), EAGAIN, "blobs.endpoint");
	s3_close(other);
	c.endpoint = "http://nowhere.invalid";
	MUST(s3_open(&c, &other, &err));
	FAILS(s3_check(other, &err), EAGAIN, "our-bucket");
	s3_close(other);
}

static void silence_is_a_time_out(void **state)
{
	struct s3_config c = config_of(NULL);

	(void)state;
	c.timeout_ms = 100;
	s3_make(&c);
	ANSWERS({ "", NULL, NULL, SILENT }, OK);
	MUST(put());
	assert_int_equal(server.n, 2);
}

static void the_store_says_when(void **state)
{
	struct s3_config c = config_of(NULL);
	uint64_t before;

	(void)state;
	ANSWERS({ "503 Slow Down", "Retry-After: 1\r\n", NULL }, OK);
	before = sys.monotonic_ms();
	MUST(put());
	assert_true(sys.monotonic_ms() - before >= 1000);
	c.patience_ms = 5000; /* longer than that is not waited */
	s3_make(&c);
	ANSWERS({ "503 Slow Down", "Retry-After: 60\r\n", NULL }, OK);
	before = sys.monotonic_ms();
	FAILS(put(), EAGAIN, "503");
	assert_true(sys.monotonic_ms() - before < 4000);
	assert_int_equal(server.n, 1);
}

static void *give_up(void *arg)
{
	(void)arg;
	while (server.n == 0)
		usleep(1000);
	s3_give_up(s3);
	return NULL;
}

static void giving_up_ends_a_wait(void **state)
{
	struct s3_config c = config_of(NULL);
	pthread_t other;

	(void)state;
	s3_make(&c);
	ANSWERS({ "503 Slow Down", "Retry-After: 30\r\n", NULL });
	assert_int_equal(pthread_create(&other, NULL, give_up, NULL), 0);
	FAILS(put(), EAGAIN, "503");
	pthread_join(other, NULL);
	assert_int_equal(server.n, 1);
}

/* ---- credentials in place of others ---- */

#define ENDED                                                                       \
	{                                                                           \
		"400 Bad Request", NULL, "<Error><Code>ExpiredToken</Code></Error>" \
	}

static struct {
	struct s3_credentials keys;
	bool fails;
	unsigned asked;
} file;

static bool file_read_again(void *ctx, struct s3_credentials *ret, struct error *e)
{
	assert_ptr_equal(ctx, &file);
	file.asked++;
	*ret = file.keys;
	return !file.fails || fail(e, ERR_INVALID, "cannot read it");
}

static void with_file(const char *token)
{
	struct s3_config c = config_of(NULL);

	file.keys = ours;
	snprintf(file.keys.session_token, sizeof(file.keys.session_token), "%s", token);
	file.asked = 0;
	file.fails = false;
	c.credentials = &file.keys;
	c.renew = file_read_again;
	c.renew_ctx = &file;
	s3_make(&c);
}

static void others_are_asked_for_when_the_store_refuses(void **state)
{
	(void)state;
	with_file("first");
	snprintf(file.keys.session_token, sizeof(file.keys.session_token), "second");
	ANSWERS(OK);
	MUST(put());
	assert_string_equal(header(0, "x-amz-security-token"), "first");
	assert_int_equal(file.asked, 0);
	ANSWERS(ENDED, OK);
	MUST(put());
	assert_int_equal(server.n, 2);
	assert_int_equal(server.asked[1].body_n, 3);
	assert_string_equal(header(1, "x-amz-security-token"), "second");
	assert_int_equal(s3_standing(s3), S3_ANSWERS);
	ANSWERS(OK);
	MUST(put());
	assert_string_equal(header(0, "x-amz-security-token"), "second");
	assert_int_equal(file.asked, 1);
}

static void the_same_again_are_no_others(void **state)
{
	(void)state;
	with_file("first");
	ANSWERS(ENDED, OK);
	FAILS(put(), EACCES, "the session token has ended");
	assert_int_equal(server.n, 1);
	assert_int_equal(s3_standing(s3), S3_REFUSES);
	/* what cannot be read, or is none: those of before stay */
	file.fails = true;
	ANSWERS(ENDED, OK);
	FAILS(put(), EACCES, "the session token has ended");
	file.fails = false;
	file.keys.access_key[0] = '\0';
	ANSWERS(ENDED, OK);
	FAILS(put(), EACCES, "the session token has ended");
	assert_int_equal(file.asked, 3);
	ANSWERS(OK);
	MUST(put());
	assert_string_equal(header(0, "x-amz-security-token"), "first");
}

static void what_is_no_refusal_asks_for_no_others(void **state)
{
	(void)state;
	with_file("first");
	ANSWERS({ "404 Not Found", NULL, "<Error><Code>NoSuchBucket</Code></Error>" });
	FAILS(put(), ENODEV, "no such bucket");
	ANSWERS(SLOW, SLOW, OK);
	MUST(put());
	assert_int_equal(file.asked, 0);
}

/* ---- bytes ---- */

static void cut_bodies_are_read_again(void **state)
{
	(void)state;
	ANSWERS({ "206 Partial Content", NULL, "cde", CUT },
		{ "206 Partial Content", NULL, "cde" });
	MUST(read_at(2, 3));
	assert_string_equal(got, "cde");
	assert_int_equal(server.n, 2);
}

static void lengths_that_are_wrong(void **state)
{
	(void)state;
	ANSWERS({ "206 Partial Content", NULL, "cd" });
	FAILS(read_at(2, 3), ENODATA, "ends at byte 4");
	ANSWERS({ "206 Partial Content", NULL, "cdef" });
	FAILS(read_at(2, 3), EBADMSG, "more came");
	ANSWERS({ "200 OK", NULL, "abcde" }); /* a server that knows no ranges */
	FAILS(read_at(2, 3), EIO, "answers 200");
	ANSWERS({ "416 Range Not Satisfiable" });
	FAILS(read_at(2, 3), ENODATA, "ends before");
	ANSWERS({ "412 Precondition Failed" });
	FAILS(read_at(2, 3), EBADMSG, "not the one that it was");
	ANSWERS({ "200 OK", NULL, "abcdef" });
	FAILS(read_whole(), EBADMSG, "more came");
}

#define SUM(s) "x-amz-checksum-sha256: " s "\r\n"
#define RANGE(s) "Content-Range: bytes " s "\r\n"

static void ranges_are_those_that_were_asked_for(void **state)
{
	(void)state;
	ANSWERS({ "206 Partial Content", RANGE("2-4/9") SUM(ABC_SUM), "cde" });
	MUST(read_at(2, 3));
	ANSWERS({ "206 Partial Content", RANGE("0-2/9"), "abc" });
	FAILS(read_at(2, 3), EBADMSG, "another range");
	ANSWERS({ "206 Partial Content", "Content-Range: none\r\n", "cde" });
	MUST(read_at(2, 3));
}

static void ranges_that_are_the_object_have_its_checksum(void **state)
{
	(void)state;
	ANSWERS({ "206 Partial Content", RANGE("0-2/3") SUM(ABC_SUM), "abd" },
		{ "206 Partial Content", RANGE("0-2/3") SUM(ABC_SUM), "abc" });
	MUST(read_at(0, 3)); /* altered on the way */
	assert_string_equal(got, "abc");
	assert_int_equal(server.n, 2);
	ANSWERS({ "206 Partial Content", RANGE("0-2/3") SUM(ABC_SUM), "abd" });
	FAILS(read_at(0, 3), EBADMSG, "checksum");
	ANSWERS({ "206 Partial Content", RANGE("0-2/*") SUM(ABC_SUM), "abd" });
	MUST(read_at(0, 3)); /* perhaps it is longer */
}

static bool put_new(void)
{
	struct slice bytes = SLICE("abc");
	struct s3_body body = s3_body_of(&bytes);

	return s3_put_new(s3, "files/a", &body, &err);
}

static void what_is_new_is_put_on_a_condition(void **state)
{
	(void)state;
	ANSWERS(OK);
	MUST(put_new());
	assert_string_equal(header(0, "If-None-Match"), "*");
	ANSWERS({ "412 Precondition Failed", NULL,
		  "<Error><Code>PreconditionFailed</Code></Error>" });
	FAILS(put_new(), EEXIST, "is there");
	ANSWERS({ "409 Conflict", NULL, "<Error><Code>ConditionalRequestConflict</Code></Error>" });
	FAILS(put_new(), EEXIST, "is there");
	ANSWERS({ "501 Not Implemented", NULL, "<Error><Code>NotImplemented</Code></Error>" }, OK);
	MUST(put_new());
	assert_string_equal(header(1, "If-None-Match"), "");
	ANSWERS({ "403 Forbidden", NULL, "<Error><Code>AccessDenied</Code></Error>" });
	FAILS(put_new(), EACCES, "credentials");
}

static void whole_objects_have_their_checksum(void **state)
{
	(void)state;
	ANSWERS({ "200 OK", SUM(ABC_SUM), "abc" });
	MUST(read_whole());
	assert_string_equal(header(0, "x-amz-checksum-mode"), "ENABLED");
	ANSWERS({ "200 OK", SUM(ABC_SUM), "abd" }, { "200 OK", SUM(ABC_SUM), "abc" });
	MUST(read_whole()); /* altered on the way */
	assert_string_equal(got, "abc");
	ANSWERS({ "200 OK", SUM(ABC_SUM), "abd" });
	FAILS(read_whole(), EBADMSG, "checksum");
	assert_int_equal(server.n, 2);
	ANSWERS({ "200 OK", SUM("b2Z0aGVzdW1zb2Z0aGVwYXJ0cw==-2"), "abd" });
	MUST(read_whole());
	ANSWERS({ "200 OK", SUM("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=") });
	FAILS(put(), EBADMSG, "other bytes than were sent");
}

static bool body_fails(void *ctx, uint64_t at, void *to, size_t n, struct error *e)
{
	unsigned *reads = ctx;

	(void)at;
	memset(to, 'x', n);
	return ++*reads < 2 || fail_sys(e, EBADF, "reading the scratch file");
}

static void a_body_that_cannot_be_read(void **state)
{
	unsigned reads = 0;
	struct s3_body body = { body_fails, &reads, 10 };

	(void)state;
	ANSWERS(OK);
	FAILS(s3_put(s3, "files/a", &body, NULL, &err), EBADF, "scratch file");
	reads = 1;
	FAILS(s3_put(s3, "files/a", &body, NULL, &err), EBADF, "scratch file");
	ANSWERS(SLOW);
	FAILS(put(), EAGAIN, "putting files/a: ");
	reads = 0;
	FAILS(s3_put(s3, "files/a", &body, NULL, &err), EBADF, "scratch file");
	assert_int_equal(s3_standing(s3), S3_AWAY); /* it says nothing of the store */
}

/* ---- the other calls ---- */

static void head_and_delete(void **state)
{
	struct s3_object o;

	(void)state;
	ANSWERS({ "200 OK", "ETag: \"x\"\r\n", "12345" });
	MUST(s3_head(s3, "files/a", &o, &err));
	assert_int_equal(o.bytes, 5);
	assert_string_equal(o.etag, "\"x\"");
	ANSWERS({ "404 Not Found" });
	FAILS(s3_head(s3, "files/a", &o, &err), ENODEV, "bucket"); /* neither is there */
	ANSWERS({ "404 Not Found" }, OK, { "404 Not Found" });
	FAILS(s3_head(s3, "files/a", &o, &err), ENOENT, "no such object");
	MUST(s3_delete(s3, "files/a", &err));
	assert_true(asked(2, "DELETE /our-bucket/pre/fix/files/a HTTP"));
	ANSWERS({ "404 Not Found", NULL, "<Error><Code>NoSuchBucket</Code></Error>" });
	FAILS(s3_delete(s3, "files/a", &err), ENODEV, "bucket");
	FAILS(s3_check(s3, &err), ENODEV, "asking for the bucket our-bucket");
}

static char listed[256];

static bool note(void *ctx, const char *key, const struct s3_object *o, struct error *e)
{
	size_t n = strlen(listed);

	snprintf(listed + n, sizeof(listed) - n, "%s:%llu;", key, (unsigned long long)o->bytes);
	return ctx == NULL || fail_sys(e, EIO, "enough");
}

#define OBJECT(key, size)                                                                   \
	"<Contents><Key>" key "</Key><LastModified>2026-12-01T15:49:20.000Z</LastModified>" \
	"<ETag>\"e\"</ETag><Size>" size "</Size></Contents>"

static void lists_go_on(void **state)
{
	(void)state;
	listed[0] = '\0';
	ANSWERS({ "200 OK", NULL,
		  "<ListBucketResult><IsTruncated>true</IsTruncated>" OBJECT(
			  "pre/fix/files/a", "1") "<NextContinuationToken>a+b/=&amp;</"
						  "NextContinuationToken></ListBucketResult>" },
		{ "200 OK", NULL,
		  "<ListBucketResult>" OBJECT("pre/fix/files/b", "22")
			  OBJECT("else/c", "3") "<IsTruncated>false</"
						"IsTruncated></"
						"ListBucketResult>" });
	MUST(s3_list(s3, "files/", note, NULL, &err));
	assert_string_equal(listed, "files/a:1;files/b:22;");
	assert_true(asked(0, "GET /our-bucket/?list-type=2&prefix=pre%2Ffix%2Ffiles%2F HTTP"));
	assert_true(asked(1, "GET /our-bucket/?continuation-token=a%2Bb%2F%3D%26&list-type=2&"));
	FAILS(s3_list(s3, "files/", note, listed, &err), EIO, "enough");
	ANSWERS({ "200 OK", NULL, "<ListBucketResult>" });
	FAILS(s3_list(s3, "", note, NULL, &err), EIO, "XML");
	ANSWERS({ "200 OK", NULL,
		  "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>" });
	FAILS(s3_list(s3, "", note, NULL, &err), EIO, "goes on");
}

int main(void)
{
#define CALL(test) cmocka_unit_test_setup_teardown(test, s3_setup, s3_teardown)
	const struct CMUnitTest tests[] = {
		CALL(a_put_says_what_it_sends),
		CALL(a_range_is_of_that_object_alone),
		CALL(the_bucket_before_the_host),
		CALL(what_may_pass_is_tried_again),
		CALL(what_is_refused_is_not),
		CALL(a_store_that_is_not_there),
		CALL(silence_is_a_time_out),
		CALL(the_store_says_when),
		CALL(giving_up_ends_a_wait),
		CALL(others_are_asked_for_when_the_store_refuses),
		CALL(the_same_again_are_no_others),
		CALL(what_is_no_refusal_asks_for_no_others),
		CALL(cut_bodies_are_read_again),
		CALL(lengths_that_are_wrong),
		CALL(whole_objects_have_their_checksum),
		CALL(ranges_are_those_that_were_asked_for),
		CALL(ranges_that_are_the_object_have_its_checksum),
		CALL(what_is_new_is_put_on_a_condition),
		CALL(a_body_that_cannot_be_read),
		CALL(head_and_delete),
		CALL(lists_go_on),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	server_close();
	return failed;
}
