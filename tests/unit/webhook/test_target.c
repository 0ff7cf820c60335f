/* URLs of receivers as they are given (12). */
#include "unit.h"

#include "base/attr.h"
#include "webhook/target.h"

static void good_ones(void **state)
{
	static const char *const urls[] = {
		"https://example.com",
		"https://example.com/",
		"HTTPS://Example.COM:443/a/b?c=d&e=%20",
		"https://sub_domain.example.com?x",
		"https://xn--bcher-kva.example/",
		"https://1.1.1.1:8443/",
		"https://[2606:4700::1111]:8443/x",
		"https://example.com./",
		"https://localhost.example/",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		if (target_refusal(urls[i], false) != NULL)
			fail_msg("%s: %s", urls[i], target_refusal(urls[i], false));
		assert_null(target_refusal(urls[i], true));
	}
}

/* Whatever the configuration allows. */
static void bad_ones(void **state)
{
	static const char *const urls[] = {
		"",
		"https:",
		"https://",
		"https:///x",
		"https://:443/",
		"https://?x",
		"//example.com/",
		"example.com",
		"ftp://example.com/",
		"file:///etc/passwd",
		"gopher://example.com/",
		"https://user@example.com/",
		"https://user:pw@example.com/",
		"https://example.com/#fragment",
		"https://exa mple.com/",
		"https://example.com\\@127.0.0.1/",
		"https://example.com/\"",
		"https://example.com/\n",
		"https://ex\xc3\xa4mple.com/",
		"https://example.com:/",
		"https://example.com:0/",
		"https://example.com:65536/",
		"https://example.com:99999999999999999999/",
		"https://example.com:44a/",
		"https://[::1/",
		"https://[]/",
		"https://[example.com]/",
		"https://[::1]x/",
		"https://[fe80::1%25eth0]/",
		"https://exam%70le.com/",
		"https://.example.com/",
		"https://-x.com/",
		"https://a,b/",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++)
		if (target_refusal(urls[i], true) == NULL)
			fail_msg("%s passes", urls[i]);
}

static void what_wants_allow_private(void **state)
{
	static const char *const urls[] = {
		"http://example.com/",
		"http://127.0.0.1:9/",
		"https://127.0.0.1/",
		"https://127.1/",
		"https://2130706433/",
		"https://0x7f.0.0.1/",
		"https://0177.0.0.1/",
		"https://localhost/",
		"https://LOCALHOST.:80/",
		"https://10.0.0.1/",
		"https://[::1]/",
		"https://[fd00::1]:8443/",
		"https://[::ffff:10.0.0.1]/",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		if (target_refusal(urls[i], false) == NULL)
			fail_msg("%s passes", urls[i]);
		if (target_refusal(urls[i], true) != NULL)
			fail_msg("%s: %s", urls[i], target_refusal(urls[i], true));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones),
		cmocka_unit_test(what_wants_allow_private),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
