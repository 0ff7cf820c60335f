/* curl.c: the client that libcurl makes: its ops over the loop, the routes and the exchanges. */
#include <stdlib.h>

#include "client/curl_impl.h"

static struct curl_client *curl_client_of(struct client *c)
{
	return (struct curl_client *)c; /* its first member */
}

static void curl_client_close(struct client *c)
{
	struct curl_client *w = curl_client_of(c);

	curl_loop_close(w);
	tls_store_free(w->machine);
	free(w);
}

static void curl_client_wait(struct client *c, int timeout_ms, bool *ret_woken)
{
	curl_loop_wait(curl_client_of(c), timeout_ms, ret_woken);
}

static void curl_client_due(struct client *c)
{
	curl_loop_due(curl_client_of(c));
}

static void curl_client_deliver(struct client *c)
{
	struct curl_exchange *x;
	CURLcode code;

	while ((x = curl_loop_ended(curl_client_of(c), &code)) != NULL)
		curl_exchange_over(x, code);
}

static void curl_client_wake(struct client *c)
{
	curl_loop_wake(curl_client_of(c));
}

static void curl_client_connections(struct client *c, unsigned most)
{
	curl_multi_setopt(curl_client_of(c)->multi, CURLMOPT_MAXCONNECTS, (long)most);
}

static void curl_client_guard(struct client *c, client_guard_fn guard)
{
	curl_client_of(c)->guard = guard;
}

static const struct client_ops curl_ops = {
	.close = curl_client_close,
	.wait = curl_client_wait,
	.due = curl_client_due,
	.deliver = curl_client_deliver,
	.wake = curl_client_wake,
	.connections = curl_client_connections,
	.guard = curl_client_guard,
	.route_new = curl_route_new,
	.route_free = curl_route_free,
	.open = curl_exchange_open,
	.free = curl_exchange_free,
	.url = curl_exchange_url,
	.start = curl_exchange_start,
	.stop = curl_exchange_stop,
	.resume = curl_exchange_resume,
	.header = curl_exchange_header,
	.length = curl_exchange_length,
};

bool client_open(struct client **ret, struct error *err)
{
	if (!curl_route_has_openssl())
		return fail(err, ERR_INTERNAL, "libcurl is not the one with OpenSSL: libcurl4");
	struct curl_client *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return fail_memory(err);
	w->base.ops = &curl_ops;
	if (!curl_loop_open(w, err)) {
		free(w);
		return false;
	}
	*ret = &w->base;
	return true;
}
