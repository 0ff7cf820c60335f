/* address.h: addresses to listen on and URLs to send to, as settings hold them. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct address {
	char host[INET6_ADDRSTRLEN]; /* numeric, without brackets */
	uint16_t port;               /* 0: any free one */
};

/* "127.0.0.1:8000", "[::1]:0", "localhost:8000" (127.0.0.1). */
MUST_USE bool address_parse(const char *text, struct address *ret);
/* *ret is malloc'ed: scheme and host in lower case, no slash at the end. False if `text` is no
 * http(s) URL with a host, or has user, query or fragment. */
MUST_USE bool url_parse(const char *text, char **ret);
