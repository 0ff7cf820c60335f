/* plain_url.h: the URLs that need no more than to be cut in pieces. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define PLAIN_HOST_BYTES 254u

struct plain_url {
	char host[PLAIN_HOST_BYTES]; /* without brackets */
	uint16_t port;
	bool tls;               /* https */
	struct slice authority; /* as it is said to the server: without its scheme's own port */
	struct slice target;    /* path and query; "": the path is / */
};

/* False: it is another's to read: neither http nor https, a user, a host of other characters than a
 * name's, a character that no URL has. Borrowed from `url`. */
MUST_USE bool plain_url_read(const char *url, struct plain_url *ret);
