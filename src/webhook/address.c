/* address.c: two tables of networks; addresses inside addresses are unpacked first. */
#include "webhook/address.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

#define REFUSED(what) \
	"its address is " what ", and events go to public addresses only (webhooks.allow_private)"

/* ---- IPv4 ---- */

struct network {
	uint32_t first;
	unsigned bits;
	const char *refusal;
};

#define IPV4(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static const struct network networks[] = {
	{ IPV4(0, 0, 0, 0), 8, REFUSED("this machine's") },
	{ IPV4(10, 0, 0, 0), 8, REFUSED("private") },
	{ IPV4(100, 64, 0, 0), 10, REFUSED("a provider's own") },
	{ IPV4(127, 0, 0, 0), 8, REFUSED("this machine's") },
	{ IPV4(168, 63, 129, 16), 32, REFUSED("a cloud's own") }, /* Azure's wire server */
	{ IPV4(169, 254, 0, 0), 16, REFUSED("link-local") },      /* the clouds' metadata */
	{ IPV4(172, 16, 0, 0), 12, REFUSED("private") },
	{ IPV4(192, 0, 0, 0), 24, REFUSED("reserved") }, /* Oracle's metadata */
	{ IPV4(192, 0, 2, 0), 24, REFUSED("reserved") },
	{ IPV4(192, 88, 99, 0), 24, REFUSED("reserved") },
	{ IPV4(192, 168, 0, 0), 16, REFUSED("private") },
	{ IPV4(198, 18, 0, 0), 15, REFUSED("reserved") },
	{ IPV4(198, 51, 100, 0), 24, REFUSED("reserved") },
	{ IPV4(203, 0, 113, 0), 24, REFUSED("reserved") },
	{ IPV4(224, 0, 0, 0), 4, REFUSED("multicast") },
	{ IPV4(240, 0, 0, 0), 4, REFUSED("reserved") },
};

static const char *ipv4_refusal(uint32_t address)
{
	for (size_t i = 0; i < ARRAY_LEN(networks); i++)
		if ((address ^ networks[i].first) >> (32 - networks[i].bits) == 0)
			return networks[i].refusal;
	return NULL;
}

/* ---- IPv6 ---- */

struct network6 {
	uint8_t first[16];
	unsigned bits;
};

static bool network6_has(const struct network6 *n, const uint8_t *address)
{
	unsigned rest = n->bits % 8, whole = n->bits / 8;

	if (memcmp(n->first, address, whole) != 0)
		return false;
	return rest == 0 || (n->first[whole] ^ address[whole]) >> (8 - rest) == 0;
}

/* Their last four bytes are an IPv4 address. */
static const struct network6 carriers[] = {
	{ { [10] = 0xff, 0xff }, 96 },   /* ::ffff:0:0/96, mapped */
	{ { 0, 0x64, 0xff, 0x9b }, 96 }, /* 64:ff9b::/96, NAT64 */
};

/* Of what is assigned at all, 2000::/3. */
static const struct network6 refused[] = {
	{ { 0x20, 0x01 }, 23 },             /* 2001::/23: Teredo, ORCHID, benchmarks */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
	{ { 0x20, 0x02 }, 16 },             /* 6to4: an IPv4 address inside */
	{ { 0x3f, 0xff }, 20 },             /* documentation */
};

static const char *ipv6_refusal(const uint8_t *a)
{
	static const struct network6 assigned = { { 0x20 }, 3 };
	static const struct network6 unique_local = { { 0xfc }, 7 };
	static const struct network6 link_local = { { 0xfe, 0x80 }, 10 };
	static const struct network6 loopback = { { [15] = 1 }, 128 };

	for (size_t i = 0; i < ARRAY_LEN(carriers); i++)
		if (network6_has(&carriers[i], a))
			return ipv4_refusal(IPV4(a[12], a[13], a[14], a[15]));
	if (network6_has(&loopback, a))
		return REFUSED("this machine's");
	if (network6_has(&unique_local, a))
		return REFUSED("private");
	if (network6_has(&link_local, a))
		return REFUSED("link-local");
	if (!network6_has(&assigned, a))
		return REFUSED("reserved");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (network6_has(&refused[i], a))
			return REFUSED("reserved");
	return NULL;
}

const char *address_refusal(const struct sockaddr *address)
{
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;

	switch (address->sa_family) {
	case AF_INET:
		memcpy(&ipv4, address, sizeof(ipv4));
		return ipv4_refusal(ntohl(ipv4.sin_addr.s_addr));
	case AF_INET6:
		memcpy(&ipv6, address, sizeof(ipv6));
		/* A zone is one of this machine's interfaces. */
		return ipv6.sin6_scope_id != 0 ? REFUSED("link-local")
					       : ipv6_refusal(ipv6.sin6_addr.s6_addr);
	default:
		return REFUSED("of no IP network");
	}
}
