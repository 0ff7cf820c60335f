/* target.c: scheme, authority, the rest. */
#include "webhook/target.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "webhook/address.h"

#define HOST_BYTES 254

/* RFC 3986, 2: no quotes, spaces, backslashes, brackets but around an address. */
static bool all_of_urls(const char *text)
{
	static const char others[] = "-._~:/?[]@!$&'()*+,;=%";

	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && strchr(others, *text) == NULL)
			return false;
	return true;
}

/* A host that is an address is known already; what else inet_aton() takes for one, too ("127.1",
 * "0x7f000001"): libcurl does. */
static const char *host_refusal(const char *host, bool bracketed)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };

	if (bracketed && inet_pton(AF_INET6, host, &ipv6.sin6_addr) != 1)
		return "what stands in brackets is no IPv6 address.";
	if (bracketed)
		return address_refusal((const struct sockaddr *)&ipv6);
	if (inet_aton(host, &ipv4.sin_addr) != 0)
		return address_refusal((const struct sockaddr *)&ipv4);
	if (strcasecmp(host, "localhost") == 0 || strcasecmp(host, "localhost.") == 0) {
		ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return address_refusal((const struct sockaddr *)&ipv4);
	}
	return NULL;
}

static bool is_port(struct slice text)
{
	unsigned port = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (!isdigit((unsigned char)text.p[i]) || port > 65535)
			return false;
		port = port * 10 + (unsigned)(text.p[i] - '0');
	}
	return text.n > 0 && port > 0 && port <= 65535;
}

/* A name has letters, digits, dots, hyphens, and in practice underscores. */
static bool is_name(const char *host)
{
	if (host[0] == '.' || host[0] == '-')
		return false;
	for (; *host != '\0'; host++)
		if (!isalnum((unsigned char)*host) && strchr("-._", *host) == NULL)
			return false;
	return true;
}

static const char *authority_refusal(struct slice authority, bool allow_private)
{
	bool bracketed = authority.n > 0 && authority.p[0] == '[';
	char host[HOST_BYTES];

	if (memchr(authority.p, '@', authority.n) != NULL)
		return "it may hold no user or password.";
	const char *begin = authority.p + bracketed, *end = authority.p + authority.n;
	const char *stop = memchr(begin, bracketed ? ']' : ':', (size_t)(end - begin));
	if (bracketed && stop == NULL)
		return "a bracket is not closed.";
	struct slice name = { begin, (size_t)((stop != NULL ? stop : end) - begin) };
	if (name.n == 0 || !slice_copy(name, host, sizeof(host)) || (!bracketed && !is_name(host)))
		return "it has no host that a name or an address could be.";
	const char *port = stop != NULL ? stop + bracketed : end;
	if (port < end &&
	    (*port != ':' || !is_port((struct slice){ port + 1, (size_t)(end - port - 1) })))
		return "its port is no number from 1 to 65535.";
	const char *refusal = host_refusal(host, bracketed);
	bool is_address_refused = refusal != NULL && strncmp(refusal, "its address", 11) == 0;
	return is_address_refused && allow_private ? NULL : refusal;
}

const char *target_refusal(const char *url, bool allow_private)
{
	if (!all_of_urls(url))
		return "it holds a character that has no place in a URL, or a fragment.";
	if (strncasecmp(url, "https://", 8) == 0)
		url += 8;
	else if (allow_private && strncasecmp(url, "http://", 7) == 0)
		url += 7;
	else
		return allow_private ? "it begins with neither https:// nor http://."
				     : "it does not begin with https://.";
	return authority_refusal((struct slice){ url, strcspn(url, "/?") }, allow_private);
}
