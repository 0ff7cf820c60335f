/* What is set: checked before anything is asked. */
#include "s3_server.h"

static void takes(struct s3_config c)
{
	struct s3 *s;

	if (!s3_open(&c, &s, &err))
		fail_msg("%s: %s", err.param, err.message);
	s3_close(s);
}

static void refuses(struct s3_config c, const char *param)
{
	struct s3 *s = NULL;

	assert_false(s3_open(&c, &s, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_string_equal(err.param, param);
	assert_null(strstr(err.message, SECRET));
	assert_null(s);
}

static void endpoints(void **state)
{
	static const char *const bad[] = {
		NULL,        "",           "s3.example.org",  "ftp://s3",        "https://",
		"http:///b", "http://h/b", "http://u:p@host", "http://host?x=1", "http://a b",
	};

	(void)state;
	takes(config_of("https://s3.example.org"));
	takes(config_of("http://[::1]:9000/"));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refuses(config_of(bad[i]), "endpoint");
}

#define WITH(member, value)                                               \
	({                                                                \
		struct s3_config with_ = config_of("http://127.0.0.1:1"); \
		with_.member = (value);                                   \
		with_;                                                    \
	})

static void refuses_keys(struct s3_credentials keys, const char *param)
{
	refuses(WITH(credentials, &keys), param);
}

#define KEYS(...) ((struct s3_credentials){ __VA_ARGS__ })

static void all_else(void **state)
{
	char text[400];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[399] = '\0';
	refuses(WITH(bucket, NULL), "bucket");
	refuses(WITH(bucket, "ab"), "bucket");
	refuses(WITH(bucket, "Upper"), "bucket");
	refuses(WITH(bucket, "a/b"), "bucket");
	refuses(WITH(bucket, text), "bucket");
	takes(WITH(prefix, NULL));
	takes(WITH(prefix, "a/b/"));
	refuses(WITH(prefix, "/a"), "prefix");
	refuses(WITH(prefix, "a//b"), "prefix");
	refuses(WITH(prefix, "a/../b"), "prefix");
	refuses(WITH(prefix, "a b"), "prefix");
	refuses(WITH(prefix, text), "prefix");
	refuses_keys(KEYS("", SECRET, ""), "access_key");
	refuses_keys(KEYS("a\r\nb", SECRET, ""), "access_key");
	refuses_keys(KEYS("a", "", ""), "secret_key");
	refuses_keys(KEYS("a", SECRET "\n", ""), "secret_key");
	refuses_keys(KEYS("a", SECRET, "a b"), "session_token");
	takes(WITH(region, "eu-central-1"));
	refuses(WITH(region, "eu:central"), "region");
	takes(WITH(encryption, "aws:kms"));
	refuses(WITH(encryption, "AES256\r\nx: y"), "encryption");
	takes(WITH(path_style, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints),
		cmocka_unit_test(all_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
