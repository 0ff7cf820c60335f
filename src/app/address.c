/* address.c: where to listen, and where to send. */
#include "app/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "base/slice.h"

/* 0 to 65535, as digits alone. */
static bool port_parse(struct slice text, unsigned *ret)
{
	unsigned port = 0;

	if (text.n == 0 || text.n > 5)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (!isdigit((unsigned char)text.p[i]))
			return false;
		port = port * 10 + (unsigned)(text.p[i] - '0');
	}
	*ret = port;
	return port <= UINT16_MAX;
}

bool address_parse(const char *text, struct address *ret)
{
	const char *colon = strrchr(text, ':');
	struct address made;
	unsigned char numeric[sizeof(struct in6_addr)];
	unsigned port;

	if (colon == NULL || !port_parse(slice_of(colon + 1), &port))
		return false;
	struct slice host = { text, (size_t)(colon - text) };
	bool brackets = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	if (brackets)
		host = (struct slice){ host.p + 1, host.n - 2 };
	if (slice_is(host, "localhost"))
		host = SLICE("127.0.0.1");
	if (!slice_copy(host, made.host, sizeof(made.host)) ||
	    inet_pton(brackets ? AF_INET6 : AF_INET, made.host, numeric) != 1)
		return false;
	made.port = (uint16_t)port;
	*ret = made;
	return true;
}

static size_t scheme_length(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0    ? 7
	       : strncasecmp(url, "https://", 8) == 0 ? 8
						      : 0;
}

/* HOST, HOST:PORT or [IPV6]:PORT. A user name would be a secret on the command line: '@' is not
 * among what a host may hold. */
static bool authority_valid(struct slice authority)
{
	const char *end = authority.p + authority.n;
	const char *p = authority.p;
	unsigned port;

	if (p < end && *p == '[') {
		struct slice host = { p + 1, strcspn(p, "]") - 1 };
		char text[INET6_ADDRSTRLEN];
		unsigned char numeric[sizeof(struct in6_addr)];
		if (!slice_copy(host, text, sizeof(text)) ||
		    inet_pton(AF_INET6, text, numeric) != 1)
			return false;
		p += host.n + 2;
	} else {
		while (p < end && (isalnum((unsigned char)*p) || strchr("-._", *p) != NULL))
			p++;
		if (p == authority.p || p - authority.p > 253)
			return false;
	}
	if (p == end)
		return true;
	return *p == ':' && port_parse((struct slice){ p + 1, (size_t)(end - p) - 1 }, &port) &&
	       port > 0;
}

bool url_parse(const char *text, char **ret)
{
	size_t scheme_n = scheme_length(text), n = strlen(text);
	size_t authority_n = strcspn(text + scheme_n, "/?#");

	if (scheme_n == 0 || !authority_valid((struct slice){ text + scheme_n, authority_n }))
		return false;
	for (const char *p = text; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || strchr("?#\\\"<>", *p) != NULL)
			return false;
	while (text[n - 1] == '/') /* ends at the host, at the latest */
		n--;
	char *url = strndup(text, n);
	if (url == NULL)
		return false;
	for (size_t i = 0; i < scheme_n + authority_n; i++)
		url[i] = (char)tolower((unsigned char)url[i]);
	*ret = url;
	return true;
}
