/* curl.c: libcurl's part of the client: over its loop, its routes and its exchanges. */
#include "client/curl_impl.h"

bool curl_client_open(struct curl_client *w, struct loop *loop, struct trust *trust,
		      struct error *err)
{
	if (!curl_route_has_openssl())
		return fail(err, ERR_INTERNAL, "libcurl is not the one with OpenSSL: libcurl4");
	w->loop = loop;
	w->trust = trust;
	if (curl_loop_open(w))
		return true;
	curl_loop_close(w);
	return fail_memory(err);
}

void curl_client_close(struct curl_client *w)
{
	curl_loop_close(w);
}

void curl_client_deliver(struct curl_client *w)
{
	struct curl_exchange *x;
	CURLcode code;

	while ((x = curl_loop_ended(w, &code)) != NULL)
		curl_exchange_over(x, code);
}

void curl_client_connections(struct curl_client *w, unsigned most)
{
	curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)most);
}

const struct route_ops curl_route_ops = {
	.close = curl_route_free,
	.open = curl_exchange_open,
	.free = curl_exchange_free,
	.url = curl_exchange_url,
	.start = curl_exchange_start,
	.stop = curl_exchange_stop,
	.resume = curl_exchange_resume,
	.header = curl_exchange_header,
	.length = curl_exchange_length,
};
