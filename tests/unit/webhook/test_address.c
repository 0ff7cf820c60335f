/* Which addresses events are sent to (12): of each network the first and the last address, and its
 * neighbours. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/attr.h"
#include "webhook/address.h"

static const char *refusal(const char *text)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1)
		return address_refusal((const struct sockaddr *)&ipv4);
	assert_int_equal(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
	return address_refusal((const struct sockaddr *)&ipv6);
}

static void what_is_refused(void **state)
{
	static const char *const addresses[] = {
		"0.0.0.0",
		"0.255.255.255",
		"10.0.0.0",
		"10.255.255.255",
		"100.64.0.0",
		"100.100.100.200",
		"100.127.255.255",
		"127.0.0.1",
		"127.255.255.255",
		"168.63.129.16",
		"169.254.0.0",
		"169.254.169.254",
		"169.254.255.255",
		"172.16.0.0",
		"172.31.255.255",
		"192.0.0.192",
		"192.0.2.1",
		"192.88.99.1",
		"192.168.0.0",
		"192.168.255.255",
		"198.18.0.0",
		"198.19.255.255",
		"198.51.100.7",
		"203.0.113.9",
		"224.0.0.1",
		"239.255.255.255",
		"240.0.0.0",
		"255.255.255.255",
		/* IPv6 */
		"::",
		"::1",
		"::2",
		"fc00::1",
		"fd00:ec2::254",
		"fdff::1",
		"fe80::1",
		"febf::1",
		"fec0::1",
		"ff02::1",
		"100::1",
		"2001::1",
		"2001:20::1",
		"2001:1ff::1",
		"2001:db8::1",
		"2002:7f00:1::",
		"2002:808:808::1",
		"3fff::1",
		"4000::1",
		"5f00::1",
		"64:ff9b:1::1",
		/* an IPv4 address inside */
		"::ffff:127.0.0.1",
		"::ffff:10.0.0.1",
		"::ffff:169.254.169.254",
		"64:ff9b::127.0.0.1",
		"64:ff9b::192.168.0.1",
		"64:ff9b::169.254.169.254",
		"::127.0.0.1",
		"::8.8.8.8",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		if (refusal(addresses[i]) == NULL)
			fail_msg("%s passes", addresses[i]);
}

static void what_is_public(void **state)
{
	static const char *const addresses[] = {
		"1.0.0.0",          "1.1.1.1",        "8.8.8.8",        "9.255.255.255",
		"11.0.0.0",         "100.63.255.255", "100.128.0.0",    "126.255.255.255",
		"128.0.0.0",        "168.63.129.15",  "168.63.129.17",  "169.253.255.255",
		"169.255.0.0",      "172.15.255.255", "172.32.0.0",     "192.0.1.0",
		"192.167.255.255",  "192.169.0.0",    "198.17.255.255", "198.20.0.0",
		"223.255.255.255",  "2000::1",        "2001:200::1",    "2001:4860:4860::8888",
		"2606:4700::1111",  "2a00:1450::1",   "3ffe:ffff::1",   "::ffff:8.8.8.8",
		"64:ff9b::8.8.8.8",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		if (refusal(addresses[i]) != NULL)
			fail_msg("%s: %s", addresses[i], refusal(addresses[i]));
}

static void what_is_no_public_network(void **state)
{
	struct sockaddr_in6 zone = { .sin6_family = AF_INET6, .sin6_scope_id = 2 };
	struct sockaddr_storage other = { .ss_family = AF_UNIX };

	(void)state;
	assert_int_equal(inet_pton(AF_INET6, "2606:4700::1111", &zone.sin6_addr), 1);
	assert_non_null(address_refusal((const struct sockaddr *)&zone));
	assert_non_null(address_refusal((const struct sockaddr *)&other));
	assert_non_null(strstr(refusal("10.0.0.1"), "webhooks.allow_private"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(what_is_public),
		cmocka_unit_test(what_is_no_public_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
