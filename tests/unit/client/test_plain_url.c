/* test_plain_url.c: which URLs lowtide reads itself, and as what. */
#include "unit.h"

#include "client/plain_url.h"

static void urls(void **state)
{
	static const struct {
		const char *url, *host, *authority, *target;
		uint16_t port;
		bool tls;
	} all[] = {
		{ "http://model.test/v1", "model.test", "model.test", "/v1", 80 },
		{ "HTTP://Model-1.test:8000/v1/x?a=%20&b", "Model-1.test", "Model-1.test:8000",
		  "/v1/x?a=%20&b", 8000 },
		{ "http://model.test", "model.test", "model.test", "", 80 },
		{ "http://model.test?x", "model.test", "model.test", "?x", 80 },
		{ "http://model.test:80/", "model.test", "model.test", "/", 80 },
		{ "http://model.test:/", "model.test", "model.test", "/", 80 },
		{ "http://model.test:65535/v1#part", "model.test", "model.test:65535", "/v1",
		  65535 },
		{ "http://127.0.0.1:9/v1", "127.0.0.1", "127.0.0.1:9", "/v1", 9 },
		{ "http://[::1]:9/v1", "::1", "[::1]:9", "/v1", 9 },
		{ "http://[2001:db8::1]", "2001:db8::1", "[2001:db8::1]", "", 80 },
		{ "http://a_b./", "a_b.", "a_b.", "/", 80 },
		{ "http://model.test:443/", "model.test", "model.test:443", "/", 443 },
		{ "https://model.test/v1", "model.test", "model.test", "/v1", 443, true },
		{ "HTTPS://model.test:443/v1", "model.test", "model.test", "/v1", 443, true },
		{ "https://[::1]:80", "::1", "[::1]:80", "", 80, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct plain_url u;
		if (!plain_url_read(all[i].url, &u))
			fail_msg("%s", all[i].url);
		assert_string_equal(u.host, all[i].host);
		assert_true(slice_is(u.authority, all[i].authority));
		assert_true(slice_is(u.target, all[i].target));
		assert_int_equal(u.port, all[i].port);
		assert_int_equal(u.tls, all[i].tls);
	}
}

static void what_libcurl_reads(void **state)
{
	static const char *const all[] = {
		"httpss://model.test/v1",
		"ftp://model.test",
		"model.test/v1",
		"http:///v1",
		"http://me@model.test/",
		"http://me:x@model.test/",
		"http://:80/",
		"http://model.test:0/",
		"http://model.test:65536/",
		"http://model.test:8x/",
		"http://model.test:99999999999999999999/",
		"http://mod el.test/",
		"http://[::1/",
		"http://[fe80::1%25eth0]/",
		"http://[::1]x/",
		"http://[x]/",
		"http://m\xc3\xb6.test/",
		"http://model.test/a b",
		"http://model.test/\r\nX: 1",
		"http://model.test/\xc3\xb6",
		"http://model.test/?\x7f",
		"",
	};
	char longer[400] = "http://";

	(void)state;
	memset(longer + 7, 'a', 260);
	struct plain_url u;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (plain_url_read(all[i], &u))
			fail_msg("%s", all[i]);
	assert_false(plain_url_read(longer, &u));
	longer[7 + 253] = '\0';
	assert_true(plain_url_read(longer, &u));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(what_libcurl_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
