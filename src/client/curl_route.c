/* curl_route.c: the way to a server: CA certificates and lowtide's own, and the proxy between. */
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/curl_impl.h"
#include "client/proxy.h"

/* ---- TLS ---- */

/* One of the process, for the loops of all clients. */
static int index_made;

static void index_make(void)
{
	index_made = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static int client_index(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, index_make);
	return index_made;
}

static void on_tls_event(const SSL *ssl, int where, int what)
{
	struct curl_client *w = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), client_index());

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
	    (what & 0xff) == SSL_AD_CLOSE_NOTIFY && w != NULL)
		w->farewells++;
}

/* Every connection has a context of its own; the CA certificates in it are the route's, parsed
 * once. */
static CURLcode on_tls(CURL *easy, void *context, void *arg)
{
	const struct curl_route *r = arg;
	SSL_CTX *ctx = context;

	(void)easy;
	if (r->store != NULL)
		SSL_CTX_set1_cert_store(ctx, r->store);
	SSL_CTX_set_info_callback(ctx, on_tls_event);
	return SSL_CTX_set_ex_data(ctx, client_index(), r->base.client) == 1 ? CURLE_OK
									     : CURLE_OUT_OF_MEMORY;
}

bool curl_route_has_openssl(void)
{
	CURL *easy = curl_easy_init();
	bool has = easy != NULL &&
		   curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK;

	curl_easy_cleanup(easy);
	return has;
}

/* ---- routes ---- */

static bool route_proxy(struct curl_route *r, const char *proxy)
{
	char name[192];

	if (proxy == NULL)
		return true;
	proxy_name(proxy, name, sizeof(name));
	snprintf(r->base.by_way, sizeof(r->base.by_way), "by way of the proxy %s: ", name);
	r->proxy = strdup(proxy);
	return r->proxy != NULL;
}

static bool route_make(struct curl_client *w, const char *url, const struct tls_pem *tls,
		       struct curl_route *r)
{
	const struct tls_pem own = { .cert = tls->cert, .key = tls->key };
	const char *proxy = w->guard == NULL ? proxy_of(url) : NULL;

	r->base.client = &w->base;
	r->https = strncasecmp(url, "https:", 6) == 0;
	if (!route_proxy(r, proxy))
		return false;
	if (tls->ca != NULL && (r->ca_mark = trust_mark(w->trust, tls->ca)) == NULL)
		return false;
	bool speaks_tls = r->https || (proxy != NULL && strncasecmp(proxy, "https:", 6) == 0);
	if (speaks_tls)
		r->store = trust_store(w->trust, tls->ca);
	return (r->store != NULL || !speaks_tls) && tls_pem_copy(&own, &r->tls);
}

struct client_route *curl_route_new(struct client *c, const char *url, const struct tls_pem *tls)
{
	struct curl_route *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	if (route_make((struct curl_client *)c, url, tls, r))
		return &r->base;
	curl_route_free(&r->base);
	return NULL;
}

void curl_route_free(struct client_route *base)
{
	struct curl_route *r = (struct curl_route *)base;

	tls_store_free(r->store);
	tls_pem_done(&r->tls);
	free(r->ca_mark);
	free(r->proxy);
	free(r);
}

/* ---- a handle on a route ---- */

/* NULL: as libcurl has it without. */
static bool blob_set(CURL *easy, CURLoption option, char *text)
{
	struct curl_blob blob = { text, text != NULL ? strlen(text) : 0, CURL_BLOB_NOCOPY };

	return text == NULL || curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

/* libcurl loads no CA certificates by itself: in each new connection that would take it tens of
 * milliseconds. What it gets of them tells it connections of one trust from those of another. */
static bool tls_set(CURL *easy, const struct curl_route *r)
{
	char *key = r->tls.key != NULL ? r->tls.key : r->tls.cert;

	return curl_easy_setopt(easy, CURLOPT_CAINFO, (char *)NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CAPATH, (char *)NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, (char *)NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, (char *)NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, r) == CURLE_OK &&
	       blob_set(easy, CURLOPT_CAINFO_BLOB, r->ca_mark) &&
	       blob_set(easy, CURLOPT_SSLCERT_BLOB, r->tls.cert) &&
	       blob_set(easy, CURLOPT_SSLKEY_BLOB, key);
}

bool curl_route_set(CURL *easy, const struct curl_route *r)
{
	/* Without TLS no peer could say HTTP/2, and nothing is to wait to hear it
	 * (curl_loop_start()). */
	long version = r->https ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;

	return curl_easy_setopt(easy, CURLOPT_PROXY, r->proxy != NULL ? r->proxy : "") ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version) == CURLE_OK &&
	       tls_set(easy, r);
}
