/* plain_url.c: see plain_url.h. */
#include "client/plain_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static bool is_of_name(char c)
{
	return isalnum((unsigned char)c) != 0 || c == '-' || c == '.' || c == '_';
}

/* "host" or "[address]", at the beginning; 0: neither. */
static size_t host_read(struct slice text, struct plain_url *ret)
{
	const char *close = text.n > 0 && *text.p == '[' ? memchr(text.p, ']', text.n) : NULL;
	struct in6_addr ipv6;
	size_t n = 0;

	if (close != NULL) {
		struct slice inner = { text.p + 1, (size_t)(close - text.p) - 1 };
		return slice_copy(inner, ret->host, sizeof(ret->host)) &&
				       inet_pton(AF_INET6, ret->host, &ipv6) == 1
			       ? inner.n + 2
			       : 0;
	}
	while (n < text.n && is_of_name(text.p[n]))
		n++;
	return slice_copy((struct slice){ text.p, n }, ret->host, sizeof(ret->host)) ? n : 0;
}

/* ":8000"; ":" or nothing: *ret stays. */
static bool port_read(struct slice text, uint16_t *ret)
{
	unsigned port = 0;

	if (text.n <= 1)
		return text.n == 0 || *text.p == ':';
	for (size_t i = 1; i < text.n; i++) {
		if (!isdigit((unsigned char)text.p[i]) || port > UINT16_MAX)
			return false;
		port = port * 10 + (unsigned)(text.p[i] - '0');
	}
	*ret = (uint16_t)port;
	return *text.p == ':' && port > 0 && port <= UINT16_MAX;
}

static bool is_of_url(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
			return false;
	return true;
}

bool plain_url_read(const char *url, struct plain_url *ret)
{
	ret->tls = strncasecmp(url, "https://", 8) == 0;
	if (!ret->tls && strncasecmp(url, "http://", 7) != 0)
		return false;
	const char *host = url + (ret->tls ? 8 : 7);
	const uint16_t usual = ret->tls ? 443 : 80;
	struct slice all = { host, strcspn(host, "/?#") };
	size_t n = host_read(all, ret);
	ret->port = usual;
	if (n == 0 || !port_read((struct slice){ all.p + n, all.n - n }, &ret->port))
		return false;
	ret->authority = ret->port == usual ? (struct slice){ all.p, n } : all;
	ret->target = (struct slice){ all.p + all.n, strcspn(all.p + all.n, "#") };
	return is_of_url(ret->target);
}
