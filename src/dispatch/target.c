/* target.c: see target.h. */
#include "dispatch/target.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "limit/limit.h"

static bool headers_make(struct target *t)
{
	struct headers *h = &t->headers;
	const char *key = t->upstream.config.api_key;

	return (key == NULL || headers_add_bearer(h, key)) &&
	       headers_add(h, SLICE("Content-Type"), SLICE("application/json")) &&
	       headers_add(h, SLICE("Accept"), SLICE("application/json")) &&
	       headers_add(h, SLICE("User-Agent"), SLICE("lowtide"));
}

void target_free(struct target *t)
{
	assert(t->lanes == NULL && t->free_transfers == NULL);
	limit_free(t->limit);
	watches_close(&t->watches);
	client_route_free(t->route);
	headers_free(&t->headers);
	upstream_done(&t->upstream);
	free(t);
}

struct target *target_new(struct dispatch *d, const struct upstream_config *config)
{
	struct target *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->route = client_route_new(d->client, config->base_url, &config->tls);
	const struct transfer as = { .dispatch = d, .upstream = &t->upstream, .route = t->route };
	if (upstream_init(&t->upstream, &d->slots, config, sys.monotonic_ms()) &&
	    t->route != NULL && headers_make(t) &&
	    watches_open(&t->watches, d->polls, &as, &t->headers))
		return t;
	target_free(t);
	return NULL;
}
