/* proxy.c: the variables are asked in order; then loopback and the entries of no_proxy are left
 * out. */
#include "client/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/attr.h"

#define HOST_MAX 256u

/* ---- hosts and lists ---- */

/* The host of a URL that the configuration has checked: no user in it. */
static bool host_of(const char *url, char to[static HOST_MAX])
{
	const char *host = strstr(url, "://");

	host = host != NULL ? host + 3 : url;
	bool bracketed = *host == '[';
	host += bracketed;
	size_t n = strcspn(host, bracketed ? "]" : ":/");
	if (n > 0 && host[n - 1] == '.')
		n--;
	if (n == 0 || n >= HOST_MAX)
		return false;
	memcpy(to, host, n);
	to[n] = '\0';
	return true;
}

/* "example.com" or ".example.com" has "example.com" and "api.example.com". */
static bool name_covers(const char *name, size_t n, const char *host)
{
	size_t length = strlen(host);

	if (n > 0 && name[0] == '.') {
		name++;
		n--;
	}
	if (n > 0 && name[n - 1] == '.')
		n--;
	return n > 0 && n <= length && strncasecmp(host + length - n, name, n) == 0 &&
	       (n == length || host[length - n - 1] == '.');
}

static bool bits_same(const unsigned char *a, const unsigned char *b, unsigned long bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

/* "10.0.0.0/8" or "10.1.2.3", and likewise with IPv6. */
static bool network_covers(const char *entry, size_t n, const char *host)
{
	static const struct {
		int family;
		unsigned long bits;
	} kinds[] = { { AF_INET, 32 }, { AF_INET6, 128 } };
	char network[HOST_MAX];
	unsigned char a[16], b[16];

	if (n > 1 && entry[0] == '[' && entry[n - 1] == ']') {
		entry++;
		n -= 2;
	}
	if (n >= sizeof(network))
		return false;
	memcpy(network, entry, n);
	network[n] = '\0';
	char *slash = strchr(network, '/'), *end = NULL;
	if (slash != NULL)
		*slash = '\0';
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (inet_pton(kinds[i].family, network, a) != 1 ||
		    inet_pton(kinds[i].family, host, b) != 1)
			continue;
		unsigned long bits = slash != NULL ? strtoul(slash + 1, &end, 10) : kinds[i].bits;
		return (end == NULL || (*end == '\0' && end > slash + 1)) &&
		       bits <= kinds[i].bits && bits_same(a, b, bits);
	}
	return false;
}

bool proxy_spared(const char *list, const char *host)
{
	for (const char *p = list; *p != '\0';) {
		p += strspn(p, ", \t");
		size_t n = strcspn(p, ", \t");
		if ((n == 1 && *p == '*') || network_covers(p, n, host) || name_covers(p, n, host))
			return true;
		p += n;
	}
	return false;
}

/* ---- the environment ---- */

static const char *first_set(const char *const *names)
{
	for (; *names != NULL; names++) {
		const char *value = getenv(*names);
		if (value != NULL && *value != '\0')
			return value;
	}
	return NULL;
}

const char *proxy_of(const char *url)
{
	static const char *const https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
					     NULL };
	static const char *const http[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };
	static const char *const spared[] = { "no_proxy", "NO_PROXY", NULL };
	char host[HOST_MAX];
	const char *proxy = first_set(strncasecmp(url, "https:", 6) == 0 ? https : http);
	const char *list = first_set(spared);

	if (proxy == NULL || !host_of(url, host) ||
	    proxy_spared("localhost,127.0.0.0/8,::1", host) ||
	    (list != NULL && proxy_spared(list, host)))
		return NULL;
	return proxy;
}

void proxy_name(const char *proxy, char *to, size_t size)
{
	const char *scheme_end = strstr(proxy, "://");
	size_t scheme = scheme_end != NULL ? (size_t)(scheme_end - proxy) + 3 : 0;
	const char *host = proxy + scheme;
	size_t n = strcspn(host, "/?#");

	for (size_t i = n; i > 0; i--)
		if (host[i - 1] == '@') {
			host += i;
			n -= i;
			break;
		}
	snprintf(to, size, "%.*s%.*s", scheme > 0 ? (int)scheme : 7, scheme > 0 ? proxy : "http://",
		 (int)n, host);
}
