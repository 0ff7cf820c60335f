/* curl_streams.c: how many connections carry the requests of a server that speaks HTTP/2.
 *
 * libcurl lets requests wait for a server's first connection (CURLOPT_PIPEWAIT). Once that one
 * carries as many streams as it may, libcurl 7.88 opens a connection for each further request that
 * comes before the second one stands: 158 for 256 requests. So we let it open one at a time: who
 * comes to open another meanwhile is taken back, and started again, its time-out too, when the
 * first one stands or has failed.
 *
 *	start -> on_socket_open(): may it? -- yes --> opener ---- on_request(), over, stop: none ----.
 *	  ^                            '--- no ---> held: over, in silence                           |
 *	  '--------------------------------------------------------------- curl_streams_next() <-----'
 */
#include <openssl/ssl.h>
#include <string.h>

#include "client/curl_impl.h"

/* Whether the connection that a request is about to go out on was agreed to be HTTP/2. */
static bool is_http2(CURL *easy)
{
	const struct curl_tlssessioninfo *tls = NULL;
	const unsigned char *name = NULL;
	unsigned n = 0;

	if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK || tls == NULL ||
	    tls->backend != CURLSSLBACKEND_OPENSSL || tls->internals == NULL)
		return false;
	SSL_get0_alpn_selected(tls->internals, &name, &n);
	return n == 2 && memcmp(name, "h2", 2) == 0;
}

bool curl_streams_may_open(struct curl_exchange *c)
{
	struct curl_route *r = c->route;

	c->held = r->http2 && !c->fresh && r->opener != NULL && r->opener != c;
	if (r->http2 && r->opener == NULL)
		r->opener = c;
	return !c->held;
}

void curl_streams_stands(struct curl_exchange *c)
{
	long made = 0;

	if (c->route->https &&
	    curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &made) == CURLE_OK && made > 0)
		c->route->http2 = is_http2(c->easy);
	curl_streams_left(c);
}

void curl_streams_left(struct curl_exchange *c)
{
	if (c->route->opener == c)
		c->route->opener = NULL;
}

void curl_streams_failed(struct curl_exchange *c)
{
	if (c->route->opener == c)
		c->route->http2 = false; /* nobody waits for the next until one has stood */
}

void curl_streams_hold(struct curl_client *w, struct curl_exchange *c)
{
	c->next_held = w->held;
	w->held = c;
}

bool curl_streams_forget(struct curl_client *w, const struct curl_exchange *c)
{
	for (struct curl_exchange **at = &w->held; *at != NULL; at = &(*at)->next_held) {
		if (*at == c) {
			*at = c->next_held;
			return true;
		}
	}
	return false;
}

struct curl_exchange *curl_streams_next(struct curl_client *w)
{
	struct curl_exchange **at = &w->held;

	while (*at != NULL && (*at)->route->opener != NULL)
		at = &(*at)->next_held;
	struct curl_exchange *c = *at;
	if (c != NULL)
		*at = c->next_held;
	return c;
}
