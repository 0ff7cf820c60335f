/* test_proxy.c: which proxy an upstream is reached through, and how it is named. */
#include "unit.h"

#include <stdlib.h>

#include "base/attr.h"
#include "client/proxy.h"

static const char *const variables[] = { "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
					 "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY" };

static int environment_clear(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		unsetenv(variables[i]);
	return 0;
}

static void assert_proxy(const char *url, const char *wanted)
{
	const char *proxy = proxy_of(url);
	if (wanted == NULL)
		assert_null(proxy);
	else
		assert_string_equal(proxy != NULL ? proxy : "none", wanted);
}

static void each_scheme_has_its_variable(void **state)
{
	(void)state;
	assert_proxy("http://host/v1", NULL);
	setenv("all_proxy", "http://all:1", 1);
	assert_proxy("http://host/v1", "http://all:1");
	assert_proxy("https://host/v1", "http://all:1");
	setenv("HTTPS_PROXY", "http://capitals:1", 1);
	assert_proxy("https://host/v1", "http://capitals:1");
	setenv("https_proxy", "http://secure:1", 1);
	assert_proxy("https://host/v1", "http://secure:1");
	setenv("HTTP_PROXY", "http://from-a-request:1", 1); /* what a CGI gets from a header */
	assert_proxy("http://host/v1", "http://all:1");
	setenv("http_proxy", "http://plain:1", 1);
	assert_proxy("http://host/v1", "http://plain:1");
	setenv("http_proxy", "", 1);
	assert_proxy("http://host/v1", "http://all:1");
}

static void loopback_has_none(void **state)
{
	(void)state;
	setenv("all_proxy", "http://all:1", 1);
	assert_proxy("http://127.0.0.1:8080/v1", NULL);
	assert_proxy("http://127.0.0.2/v1", NULL);
	assert_proxy("http://localhost:8080/v1", NULL);
	assert_proxy("http://LOCALHOST./v1", NULL);
	assert_proxy("http://[::1]:8080/v1", NULL);
	assert_proxy("http://128.0.0.1/v1", "http://all:1");
}

static void no_proxy_is_obeyed(void **state)
{
	(void)state;
	setenv("all_proxy", "http://all:1", 1);
	setenv("NO_PROXY", "*", 1); /* T9 */
	assert_proxy("https://host/v1", NULL);
	setenv("NO_PROXY", "a, *", 1);
	assert_proxy("https://host/v1", NULL);
	setenv("no_proxy", "example.com", 1); /* comes first */
	assert_proxy("https://host/v1", "http://all:1");
	assert_proxy("https://api.example.com:8443/v1", NULL);
}

static void what_a_list_covers(void **state)
{
	(void)state;
	static const struct {
		const char *list, *host;
		bool spared;
	} cases[] = {
		{ "", "host", false },
		{ ", ,", "host", false },
		{ "host", "host", true },
		{ "other,\thost.", "HOST", true },
		{ "example.com", "example.com", true },
		{ ".example.com", "example.com", true },
		{ ".example.com", "api.example.com", true },
		{ "example.com", "badexample.com", false },
		{ "example.com", "com", false },
		{ "api.example.com", "example.com", false },
		{ ".", "host", false },
		{ "*.example.com", "api.example.com", false },
		{ "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.4", false },
		{ "10.0.0.0/8", "10.200.0.1", true },
		{ "10.0.0.0/8", "11.0.0.1", false },
		{ "192.168.16.0/20", "192.168.31.255", true },
		{ "192.168.16.0/20", "192.168.32.0", false },
		{ "10.0.0.0/33", "10.0.0.1", false },
		{ "10.0.0.0/", "10.0.0.0", false },
		{ "10.0.0.0/8x", "10.0.0.0", false },
		{ "fd00::/8", "fd12::1", true },
		{ "[fd12::1]", "fd12::1", true },
		{ "fd00::/8", "fe80::1", false },
		{ "10.0.0.0/8", "host", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (proxy_spared(cases[i].list, cases[i].host) != cases[i].spared)
			fail_msg("'%s' and %s", cases[i].list, cases[i].host);
}

static void a_name_has_no_password(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{ "proxy:3128", "http://proxy:3128" },
		{ "http://proxy:3128/", "http://proxy:3128" },
		{ "http://me:secret@proxy:3128", "http://proxy:3128" },
		{ "me:se@cret@proxy:3128", "http://proxy:3128" },
		{ "socks5h://me:secret@[::1]:1080", "socks5h://[::1]:1080" },
	};
	char name[64];
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		proxy_name(cases[i][0], name, sizeof(name));
		assert_string_equal(name, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_scheme_has_its_variable, environment_clear),
		cmocka_unit_test_setup(loopback_has_none, environment_clear),
		cmocka_unit_test_setup(no_proxy_is_obeyed, environment_clear),
		cmocka_unit_test(what_a_list_covers),
		cmocka_unit_test(a_name_has_no_password),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
