/* routes.c: the table, and the look-up in it. */
#include "api/routes.h"

#include <stdio.h>

#include "api/batches.h"
#include "api/console.h"
#include "api/content.h"
#include "api/estimate.h"
#include "api/events.h"
#include "api/files.h"
#include "api/health.h"
#include "api/history.h"
#include "api/limits_list.h"
#include "api/lines.h"
#include "api/metrics.h"
#include "api/models.h"
#include "api/nodes.h"
#include "api/online.h"
#include "api/operator.h"
#include "api/part.h"
#include "api/results.h"
#include "api/retry.h"
#include "api/scheduling.h"
#include "api/upload.h"
#include "api/upload_complete.h"
#include "api/uploads.h"
#include "api/webhook_endpoints.h"
#include "api/webhook_test.h"

static const struct route routes[] = {
	{ "GET", "/", .work = HTTP_INSTANT, .handle = health_about },
	{ "GET", "/console", .work = HTTP_INSTANT, .handle = console_enter },
	{ "GET", "/console/", .work = HTTP_INSTANT, .handle = console_get },
	{ "GET", "/console/{rest}", .work = HTTP_INSTANT, .handle = console_get },
	{ "GET", "/healthz", .work = HTTP_INSTANT, .handle = health_alive },
	{ "GET", "/readyz", .handle = health_ready },
	{ "POST", "/v1/files", BODY_FORM, .creates = true, .name = "POST /v1/files",
	  .work = HTTP_WRITE, .handle = upload_handle },
	{ "GET", "/v1/files", .work = HTTP_LIST, .handle = files_list },
	{ "GET", "/v1/files/{id}", .handle = files_get },
	{ "DELETE", "/v1/files/{id}", .work = HTTP_WRITE, .handle = files_delete },
	{ "GET", "/v1/files/{id}/content", .handle = content_get },
	{ "POST", "/v1/uploads", BODY_JSON, .creates = true, .name = "POST /v1/uploads",
	  .work = HTTP_WRITE, .handle = uploads_create },
	{ "POST", "/v1/uploads/{id}/parts", BODY_PART, .creates = true, .work = HTTP_WRITE,
	  .handle = part_handle },
	{ "POST", "/v1/uploads/{id}/complete", BODY_JSON, .creates = true, .work = HTTP_LONG,
	  .handle = upload_complete },
	{ "POST", "/v1/uploads/{id}/cancel", .work = HTTP_WRITE, .handle = uploads_cancel },
	{ "POST", "/v1/batches", BODY_JSON, .creates = true, .name = "POST /v1/batches",
	  .work = HTTP_WRITE, .handle = batches_create },
	{ "POST", "/v1/batches/estimate", BODY_JSON, .work = HTTP_LONG, .handle = estimate_get },
	{ "GET", "/v1/batches", .work = HTTP_LIST, .keys = KEYS_FOR_AN_ORG,
	  .handle = batches_list },
	{ "GET", "/v1/batches/{id}", .keys = KEYS_FOR_AN_ORG, .handle = batches_get },
	{ "POST", "/v1/batches/{id}/retry", BODY_JSON, .creates = true,
	  .name = "POST /v1/batches/{id}/retry", .work = HTTP_LONG, .handle = batches_retry },
	{ "GET", "/v1/batches/{id}/results", .handle = results_get },
	{ "GET", "/v1/batches/{id}/lines", .handle = lines_get },
	{ "GET", "/v1/batches/{id}/events", .keys = KEYS_FOR_AN_ORG, .handle = events_batch },
	{ "POST", "/v1/batches/{id}/cancel", BODY_JSON, .work = HTTP_WRITE, .keys = KEYS_FOR_AN_ORG,
	  .handle = batches_cancel },
	{ "POST", "/v1/batches/{id}/hold", BODY_JSON, .work = HTTP_WRITE, .keys = KEYS_FOR_AN_ORG,
	  .handle = batches_hold },
	{ "POST", "/v1/batches/{id}/resume", BODY_JSON, .work = HTTP_WRITE, .keys = KEYS_FOR_AN_ORG,
	  .handle = batches_resume },
	/* passed on, whatever the profile */
	{ "POST", "/v1/chat/completions", BODY_RAW, .online = true, .work = HTTP_PASS,
	  .handle = online_handle },
	{ "POST", "/v1/completions", BODY_RAW, .online = true, .work = HTTP_PASS,
	  .handle = online_handle },
	{ "POST", "/v1/embeddings", BODY_RAW, .online = true, .work = HTTP_PASS,
	  .handle = online_handle },
	{ "POST", "/v1/responses", BODY_RAW, .online = true, .work = HTTP_PASS,
	  .handle = online_handle },
	{ "POST", "/v1/moderations", BODY_RAW, .online = true, .work = HTTP_PASS,
	  .handle = online_handle },
	{ "POST", "/v1/rerank", BODY_RAW, .online = true, .work = HTTP_PASS,
	  .handle = online_handle },
	{ "POST", "/v1/score", BODY_RAW, .online = true, .work = HTTP_PASS,
	  .handle = online_handle },
	{ "POST", "/v1/messages", BODY_RAW, .online = true, .work = HTTP_PASS,
	  .handle = online_handle },
	{ "POST", "/v1/tokenizers/estimate-token-count", BODY_RAW, .online = true, .kimi = true,
	  .work = HTTP_PASS, .handle = online_handle },
	{ "GET", "/v1/users/me/balance", .online = true, .kimi = true, .work = HTTP_PASS,
	  .handle = online_handle },
	{ "GET", "/v1/models", .work = HTTP_INSTANT, .keys = KEYS_OF_ALL, .handle = models_list },
	{ "GET", "/v1/models/{rest}", .work = HTTP_INSTANT, .keys = KEYS_OF_ALL,
	  .handle = models_get },
	{ "POST", "/v1/webhook_endpoints", BODY_JSON, .work = HTTP_WRITE,
	  .handle = webhooks_create },
	{ "GET", "/v1/webhook_endpoints", .work = HTTP_LIST, .handle = webhooks_list },
	{ "GET", "/v1/webhook_endpoints/{id}", .handle = webhooks_get },
	{ "POST", "/v1/webhook_endpoints/{id}", BODY_JSON, .work = HTTP_WRITE,
	  .handle = webhooks_update },
	{ "DELETE", "/v1/webhook_endpoints/{id}", .work = HTTP_WRITE, .handle = webhooks_delete },
	{ "POST", "/v1/webhook_endpoints/{id}/rotate_secret", BODY_JSON, .work = HTTP_WRITE,
	  .handle = webhooks_rotate_secret },
	{ "POST", "/v1/webhook_endpoints/{id}/test", BODY_JSON, .handle = webhook_test },
	{ "GET", "/v1/webhook_endpoints/{id}/deliveries", .work = HTTP_LIST,
	  .handle = webhooks_deliveries },
	{ "POST", "/v1/webhook_endpoints/{id}/deliveries/{id}/replay", BODY_JSON,
	  .work = HTTP_WRITE, .handle = webhooks_replay },
	{ "GET", "/metrics", .work = HTTP_INSTANT, .keys = KEYS_OPTIONAL, .handle = metrics_get },
	{ "GET", "/v1/lowtide/events", .keys = KEYS_FOR_AN_ORG, .handle = events_org },
	{ "GET", "/v1/lowtide/scheduling", .work = HTTP_INSTANT, .keys = KEYS_OF_ALL,
	  .handle = scheduling_get },
	{ "GET", "/v1/lowtide/nodes", .work = HTTP_INSTANT, .keys = KEYS_OF_OPERATOR,
	  .handle = nodes_get },
	{ "GET", "/v1/lowtide/history", .keys = KEYS_OF_ALL, .handle = history_get },
	{ "GET", "/v1/lowtide/limits", .keys = KEYS_FOR_AN_ORG, .handle = limits_get },
	{ "GET", "/v1/lowtide/orgs", .work = HTTP_LIST, .keys = KEYS_OF_OPERATOR,
	  .handle = operator_orgs },
	{ "GET", "/v1/lowtide/orgs/{id}", .keys = KEYS_OF_OPERATOR, .handle = operator_org },
	{ "POST", "/v1/lowtide/orgs/{id}", BODY_JSON, .work = HTTP_WRITE, .keys = KEYS_OF_OPERATOR,
	  .handle = operator_org_set },
	{ "POST", "/v1/lowtide/orgs/{id}/suspend", BODY_JSON, .work = HTTP_WRITE,
	  .keys = KEYS_OF_OPERATOR, .handle = operator_suspend },
	{ "POST", "/v1/lowtide/orgs/{id}/resume", BODY_JSON, .work = HTTP_WRITE,
	  .keys = KEYS_OF_OPERATOR, .handle = operator_resume },
	{ "GET", "/v1/lowtide/keys", .work = HTTP_LIST, .keys = KEYS_OF_OPERATOR,
	  .handle = operator_keys },
	{ "POST", "/v1/lowtide/keys", BODY_JSON, .work = HTTP_WRITE, .keys = KEYS_OF_OPERATOR,
	  .handle = operator_key_create },
	{ "DELETE", "/v1/lowtide/keys/{id}", .work = HTTP_WRITE, .keys = KEYS_OF_OPERATOR,
	  .handle = operator_key_delete },
};
_Static_assert(ARRAY_LEN(routes) <= ROUTES_MAX, "the figures have a row for each route");

const struct route *routes_table(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(routes);
	return routes;
}

bool route_needs_key(const char *path)
{
	return strcmp(path, "/v1") == 0 || strncmp(path, "/v1/", 4) == 0;
}

/* The segment that `*path` stands at, behind its slash; steps to the next slash or the end. */
static struct slice take_segment(const char **path)
{
	size_t slash = **path == '/', n = strcspn(*path + slash, "/");
	struct slice segment = { *path + slash, n };

	*path += slash + n;
	return segment;
}

/* An id is one segment that is not empty; its form is not checked here (2.2). */
static bool path_matches(const char *pattern, const char *path, struct slice ids[static 2])
{
	unsigned n = 0;

	ids[0] = ids[1] = SLICE("");
	while (*pattern == '/' && *path == '/') {
		if (strcmp(pattern, "/{rest}") == 0) {
			ids[n] = slice_of(path + 1); /* a model's name may hold slashes */
			return ids[n].n > 0;
		}
		struct slice want = take_segment(&pattern);
		struct slice given = take_segment(&path);
		if (slice_is(want, "{id}") && given.n > 0)
			ids[n++] = given;
		else if (!slice_eq(want, given))
			return false;
	}
	return *pattern == '\0' && *path == '\0';
}

static bool is_method(const struct route *route, const char *method)
{
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	return strcmp(route->method, method) == 0;
}

/* What a path allows, as the header "GET, HEAD, POST" and the message "GET and POST". */
struct allowed {
	struct buf header, message;
};

static void allow(struct allowed *a, const char *method)
{
	bool first = a->header.n == 0;

	buf_printf(&a->header, "%s%s", first ? "" : ", ", method);
	buf_printf(&a->message, "%s%s", first ? "" : " and ", method);
	if (strcmp(method, "GET") == 0)
		buf_text(&a->header, ", HEAD");
}

static void allowed_done(struct allowed *a)
{
	buf_free(&a->header);
	buf_free(&a->message);
}

bool route_find(struct request *rq, struct http_response *r, struct error *err)
{
	const char *method = http_method(rq->http), *path = http_path(rq->http);
	AUTO(allowed_done) struct allowed allowed = { BUF(64), BUF(64) };
	struct slice ids[2];

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const struct route *route = &routes[i];
		if ((route->kimi && !rq->api->config.kimi_calls) ||
		    !path_matches(route->path, path, ids))
			continue;
		if (is_method(route, method)) {
			rq->route = route;
			snprintf(rq->object_id, sizeof(rq->object_id), "%.*s", SLICE_ARG(ids[0]));
			snprintf(rq->part_id, sizeof(rq->part_id), "%.*s", SLICE_ARG(ids[1]));
			return true;
		}
		allow(&allowed, route->method);
	}
	if (allowed.header.n == 0)
		return fail(err, ERR_NOT_FOUND, "Invalid URL (%s %s)", method, path);
	http_header(r, "Allow", "%.*s", SLICE_ARG(buf_slice(&allowed.header)));
	return fail(err, ERR_METHOD, "Only %.*s requests are accepted.",
		    SLICE_ARG(buf_slice(&allowed.message)));
}
