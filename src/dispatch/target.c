/* target.c: an upstream as dispatch sends to it: the headers, addresses and the route that are made once. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

static bool headers_make(struct target *t)
{
	struct headers *h = &t->headers;
	const char *key = t->upstream.config.api_key;

	return (key == NULL || headers_add_bearer(h, key)) &&
	       headers_add(h, SLICE("Content-Type"), SLICE("application/json")) &&
	       headers_add(h, SLICE("Accept"), SLICE("application/json")) &&
	       headers_add(h, SLICE("User-Agent"), SLICE("lowtide"));
}

/* Metrics and health stand beside the API, not in it: without the version at the end of the base
 * URL. NULL: no memory. */
static char *url_beside(const struct upstream *u, const char *path)
{
	struct buf url = BUF(4096);
	const char *base = u->config.base_url;
	size_t n = strlen(base);
	if (n > 3 && strcmp(base + n - 3, "/v1") == 0)
		n -= 3;
	buf_append(&url, base, n);
	buf_text(&url, path);
	buf_char(&url, '\0');
	if (url.failed)
		buf_free(&url);
	return url.p;
}

static bool urls_make(struct target *t)
{
	struct buf models = BUF(4096);

	(void)upstream_url(&t->upstream, "/v1/models", &models);
	t->metrics_url = url_beside(&t->upstream, "/metrics");
	t->health_url = url_beside(&t->upstream, "/health");
	t->models_url = models.p;
	return t->metrics_url != NULL && t->health_url != NULL && !models.failed;
}

void target_free(struct target *t)
{
	assert(t->lanes == NULL);
	watches_close(&t->upstream);
	for (struct line_transfer *one = t->free_transfers, *next; one != NULL; one = next) {
		next = one->next_free;
		line_transfer_free(one);
	}
	client_route_free(t->route);
	headers_free(&t->headers);
	free(t->metrics_url);
	free(t->models_url);
	free(t->health_url);
	upstream_done(&t->upstream);
	free(t);
}

struct target *target_new(struct dispatch *d, const struct upstream_config *config)
{
	struct target *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	watches_init(d, &t->upstream);
	t->route = client_route_new(d->client, config->base_url, &config->tls);
	if (upstream_init(&t->upstream, &d->slots, config, sys.monotonic_ms()) &&
	    t->route != NULL && headers_make(t) && urls_make(t))
		return t;
	target_free(t);
	return NULL;
}
