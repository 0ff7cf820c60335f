/* Addresses to listen on, URLs to send to. */
#include "unit.h"

#include "app/address.h"

static void addresses(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} good[] = { { "127.0.0.1:8000", "127.0.0.1", 8000 },
		     { "0.0.0.0:0", "0.0.0.0", 0 },
		     { "localhost:65535", "127.0.0.1", 65535 },
		     { "[::1]:80", "::1", 80 } };
	static const char *const bad[] = { "",        "everywhere",   "8000",     ":8000",
					   "1.2.3.4", "1.2.3.4:",     "1.2.3:80", "1.2.3.4:65536",
					   "::1:80",  "[1.2.3.4]:80", "a.b:80",   "1.2.3.4:-1",
					   "[::1:80", "1.2.3.4:80 ",  "[]:80",    "1.2.3.4:8MB" };
	struct address a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!address_parse(good[i].text, &a))
			fail_msg("'%s' is refused", good[i].text);
		assert_string_equal(a.host, good[i].host);
		assert_int_equal(a.port, good[i].port);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (address_parse(bad[i], &a))
			fail_msg("'%s' is taken", bad[i]);
}

static void urls(void **state)
{
	static const char *const good[][2] = {
		{ "http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1" },
		{ "https://api.example.com/v1/", "https://api.example.com/v1" },
		{ "HTTP://Host.Example/V1//", "http://host.example/V1" },
		{ "http://localhost", "http://localhost" },
		{ "http://localhost/", "http://localhost" },
		{ "http://[::1]:8080/v1", "http://[::1]:8080/v1" },
		{ "http://my_host:1/a%20b/c", "http://my_host:1/a%20b/c" },
	};
	static const char *const bad[] = {
		"",
		"127.0.0.1:8080",
		"not a url",
		"ftp://x/v1",
		"http:/x",
		"http://",
		"http:///v1",
		"http://:80/v1",
		"http://x:/v1",
		"http://x:0/v1",
		"http://x:65536/v1",
		"http://x:80a/v1",
		"http://user:secret@x/v1",
		"http://x/v1?key=secret",
		"http://x/v1#part",
		"http://x?a",
		"http://x/a b",
		"http://x/\x01",
		"http://x/\xc3\xa4",
		"http://[::1/v1",
		"http://[]/v1",
		"http://[::1]x/v1",
		"http://x y/v1",
	};
	char *url;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!url_parse(good[i][0], &url))
			fail_msg("'%s' is refused", good[i][0]);
		assert_string_equal(url, good[i][1]);
		free(url);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (url_parse(bad[i], &url))
			fail_msg("'%s' is taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
