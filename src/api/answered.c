/* answered.c: the end of every answer, also of those that come after their request is over. */
#include <stdio.h>

#include "api/routes.h"
#include "base/log.h"
#include "base/sys.h"

#define OPENAI_VERSION "2020-10-01" /* what OpenAI's own answers carry */

/* Its row of the figures. */
static size_t route_number(const struct answered *a)
{
	return a->route != NULL ? (size_t)(a->route - a->api->routes) : ROUTES_MAX;
}

void answer_finish(const struct answered *a, struct http_response *r)
{
	uint64_t took_ms = sys.monotonic_ms() - a->began_ms;
	unsigned digit = r->status >= 100 && r->status < 600 ? (unsigned)r->status / 100 : 0;

	http_header(r, "x-request-id", "%s", a->id);
	http_header(r, "openai-processing-ms", "%llu", (unsigned long long)took_ms);
	http_header(r, "openai-version", "%s", OPENAI_VERSION);
	if (a->rate != NULL)
		rate_headers(a->rate, r);
	a->api->answers[route_number(a)][digit]++;
	log_debug("http.request", kv_str("request", a->id), kv_str("method", a->method),
		  kv_str("path", a->path), kv_int("status", r->status), kv_u64("took_ms", took_ms),
		  kv_str("org", a->org));
}
