/* proxy.h: which proxy an upstream is reached through, as the environment says it.
 *
 * Decided here and not by libcurl, because a message about a proxy has to name it, and because an
 * answer of a proxy is not one of the upstream. The variables are those of other programs:
 * https_proxy (for https, also in capitals), http_proxy (for http; not in capitals, which a web
 * server may set from a request's header), else all_proxy; no_proxy names what is reached
 * without. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The proxy for `url`, borrowed from the environment; NULL: none. Loopback never has one. */
const char *proxy_of(const char *url);
/* Whether the list of hosts has `host`: "*" is all; a name is itself and what is below it, with or
 * without a dot before it; an address may have a length behind it, 10.0.0.0/8. */
bool proxy_spared(const char *list, const char *host);
/* The proxy as messages name it: without user and password. */
void proxy_name(const char *proxy, char *to, size_t size);
