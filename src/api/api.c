/* api.c: a request's way through the API.
 *
 *	begin    the loop: framing, key, route, then what the body's kind asks for
 *	room     the loop: whether there is memory for a piece of the body
 *	body     JSON is collected in the loop; a piece of an upload goes to ingest in a worker
 *	handle   a worker: the route's function
 *
 * Each either goes on or fails with an error value; errors.c makes the answer of it, and every
 * answer leaves through request_answered(). */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "api/auth.h"
#include "api/errors.h"
#include "api/events.h"
#include "api/health.h"
#include "api/operator.h"
#include "api/part.h"
#include "api/routes.h"
#include "api/upload.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/sys.h"

#define RAW_BODY_MAX (1u << 30) /* of a body that is passed on, if the lines have no limit */
/* How long a body waits for memory before it is refused. An upload is much work to repeat. */
#define PATIENCE_MS 2000u
#define UPLOAD_PATIENCE_MS 20000u

/* ---- the answer ---- */

static void request_answered(struct request *rq, struct http_response *r)
{
	struct answered a = {
		.api = rq->api,
		.route = rq->route,
		.id = rq->id,
		.method = http_method(rq->http),
		.path = http_path(rq->http),
		.org = rq->key.org,
		.began_ms = rq->began_ms,
		.rate = &rq->rate,
	};

	operator_log(rq, r->status);
	answer_finish(&a, r);
}

/* ---- begin ---- */

static bool has_prefix(const char *text, const char *prefix)
{
	return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* Types that cannot be meant as JSON; anything else is read as such (contract 2.1). */
static bool type_is_refused(const char *type)
{
	static const char *const refused[] = { "multipart/", "image/", "audio/", "video/" };

	if (type == NULL)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (has_prefix(type, refused[i]))
			return true;
	size_t n = strcspn(type, "; ");
	return n >= 4 && strncasecmp(type + n - 4, "/xml", 4) == 0;
}

static void find_coding(void *ctx, const char *name, const char *value)
{
	const char **coding = ctx;

	if (strcasecmp(name, "Content-Encoding") == 0 && value[0] != '\0' &&
	    strcasecmp(value, "identity") != 0)
		*coding = value;
}

/* A body that is read here may have no content coding. (A body that is passed on may: the upstream
 * judges.) */
static bool check_coding(const struct request *rq, struct http_response *r, struct error *err)
{
	const char *coding = NULL;

	http_each_header(rq->http, find_coding, &coding);
	if (coding == NULL)
		return true;
	http_header(r, "Accept-Encoding", "identity"); /* RFC 9110, 15.5.16 */
	return fail(err, ERR_MEDIA_TYPE,
		    "Unsupported Content-Encoding '%.100s'. Please send the body as it is, without "
		    "a coding.",
		    coding);
}

static bool fail_too_large(const struct request *rq, struct error *err)
{
	return fail(err, ERR_TOO_LARGE, "The request body is larger than %zu bytes.", rq->body.max);
}

/* A body of more than `bytes_max` is refused, at once if its length was given. */
static bool body_begin(struct request *rq, uint64_t bytes_max, struct error *err)
{
	uint64_t length = http_content_length(rq->http);
	enum budget_kind kind = rq->route->online ? BUDGET_ONLINE : BUDGET_CALLS;

	rq->body = BUF_OF(bytes_max, budget_use(rq->api->budget, kind));
	return length == UINT64_MAX || length <= bytes_max || fail_too_large(rq, err);
}

static bool json_begin(struct request *rq, struct error *err)
{
	const char *type = http_request_header(rq->http, "Content-Type");

	if (type_is_refused(type))
		return fail(err, ERR_MEDIA_TYPE,
			    "Unsupported Content-Type '%s'. This endpoint reads application/json.",
			    type);
	return body_begin(rq, JSON_BODY_MAX, err);
}

/* The largest body that is passed on. */
static uint64_t raw_bytes_max(const struct api *api)
{
	uint64_t configured = api->config.limits.line_bytes;

	return configured > 0 && configured < RAW_BODY_MAX ? configured : RAW_BODY_MAX;
}

static bool request_admit(struct request *rq, struct http_response *r, struct error *err)
{
	if (route_needs_key(http_path(rq->http)) &&
	    (!auth_check(rq, err) || !limits_call(rq, r, err)))
		return false;
	if (!route_find(rq, r, err) ||
	    (rq->route->keys == KEYS_OPTIONAL && !auth_check_given(rq, err)) ||
	    !operator_admits(rq, err))
		return false;
	http_set_work(rq->http, rq->route->work);
	if ((rq->route->creates || rq->route->online) && !health_takes_work(rq, err))
		return false;
	if (rq->route->name != NULL && !repeat_begin(rq, rq->route->name, r, err))
		return false;
	if (rq->route->body != BODY_NONE && rq->route->body != BODY_RAW &&
	    !check_coding(rq, r, err))
		return false;
	switch (rq->route->body) {
	case BODY_JSON:
		return json_begin(rq, err);
	case BODY_RAW:
		return body_begin(rq, raw_bytes_max(rq->api), err);
	case BODY_FORM:
		return upload_begin(rq, r, err);
	case BODY_PART:
		return part_begin(rq, r, err);
	case BODY_NONE:
		break;
	}
	return true;
}

/* The answer where there is no memory even for a request: it needs none but its text. */
static void answer_no_memory(struct api *api, struct http_response *r)
{
	struct error err;

	r->status = 500;
	if (!fail_memory(&err))
		error_write(&r->body, &err, api->config.profile);
}

static bool on_begin(void *ctx, struct http_request *q, struct http_response *r)
{
	struct request *rq = calloc(1, sizeof(*rq));
	struct error err;

	if (rq == NULL) {
		answer_no_memory(ctx, r);
		return false;
	}
	rq->api = ctx;
	rq->http = q;
	rq->began_ms = sys.monotonic_ms();
	id_request(rq->id);
	http_set_data(q, rq);
	if (request_admit(rq, r, &err)) {
		if (rq->route->online) {
			rq->charged_bytes = HTTP_CONNECTION_BYTES;
			budget_charge(budget_use(rq->api->budget, BUDGET_STREAMS),
				      rq->charged_bytes);
		}
		return true;
	}
	repeat_end(rq);
	error_answer(rq, r, &err);
	request_answered(rq, r);
	return false;
}

/* A key is looked up, and of who sends a form the uploads are counted (limits_upload_begin). */
static bool on_waits(void *ctx, const struct http_request *q)
{
	const struct api *api = ctx;
	const char *type = http_request_header(q, "Content-Type");

	return auth_waits(api, q) || (store_waits(api->store) && type != NULL &&
				      strncasecmp(type, "multipart/", 10) == 0);
}

/* ---- memory for bodies ---- */

/* Memory for the whole body is taken at once, if its length was given: a body that is begun can
 * then end. */
static bool body_room(struct request *rq, size_t bytes)
{
	uint64_t length = http_content_length(rq->http);
	struct buf *b = &rq->body;

	if (b->cap == 0 && length != UINT64_MAX && length > bytes)
		bytes = (size_t)length;
	return buf_try_reserve(b, bytes);
}

static bool request_room(struct request *rq, size_t bytes)
{
	switch (rq->route->body) {
	case BODY_JSON:
	case BODY_RAW:
		return body_room(rq, bytes);
	case BODY_FORM:
		return upload_room(rq, bytes);
	case BODY_PART: /* it takes none beyond the piece */
	case BODY_NONE:
		break;
	}
	return true;
}

/* What it holds that other calls wait for: before the client can know, and call again. */
static void request_over(struct request *rq)
{
	repeat_end(rq);
	upload_free(TAKE(rq->upload));
	part_free(TAKE(rq->part));
}

/* The memory of the request is given back at once: others wait for it. */
static void request_refuse(struct request *rq, struct http_response *r)
{
	uint64_t others;
	struct error err;

	buf_free(&rq->body);
	request_over(rq);
	if (!fail(&err, ERR_UNAVAILABLE,
		  "The server has no memory for this request now. Please retry shortly."))
		error_answer(rq, r, &err);
	if (log_storm_pass(&rq->api->no_memory, sys.monotonic_ms(), &others))
		log_warn("http.no_memory", kv_str("request", rq->id),
			 kv_str("setting", "limits.memory"), kv_u64("others_before", others));
	request_answered(rq, r);
}

static enum http_room on_room(void *ctx, struct http_request *q, size_t bytes,
			      struct http_response *r)
{
	struct request *rq = http_data(q);
	uint64_t patience_ms = rq->route->body == BODY_FORM ? UPLOAD_PATIENCE_MS : PATIENCE_MS;

	(void)ctx;
	if (request_room(rq, bytes)) {
		rq->waits_since_ms = 0;
		return HTTP_ROOM;
	}
	uint64_t now_ms = sys.monotonic_ms();
	if (rq->waits_since_ms == 0)
		rq->waits_since_ms = now_ms;
	if (now_ms - rq->waits_since_ms < patience_ms)
		return HTTP_WAIT;
	request_refuse(rq, r);
	return HTTP_REFUSED;
}

/* ---- body, handle, end ---- */

static void on_body(void *ctx, struct http_request *q, struct slice piece)
{
	struct request *rq = http_data(q);

	(void)ctx;
	if (rq->route->body == BODY_JSON || rq->route->body == BODY_RAW)
		buf_add(&rq->body, piece);
	else if (rq->route->body == BODY_FORM)
		upload_body(rq, piece);
	else if (rq->route->body == BODY_PART)
		part_body(rq, piece);
}

static bool request_run(struct request *rq, struct http_response *r, struct error *err)
{
	if (rq->body.failed)
		return rq->body.no_memory ? fail_memory(err) : fail_too_large(rq, err);
	if (!operator_scope(rq, err) || !rq->route->handle(rq, r, err))
		return false;
	/* A route that answers later fills `r` in another thread, perhaps at this very moment. */
	return rq->later || !r->body.failed || fail_memory(err);
}

static void on_handle(void *ctx, struct http_request *q, struct http_response *r)
{
	struct request *rq = http_data(q);
	struct error err;

	(void)ctx;
	if (!request_run(rq, r, &err))
		error_answer(rq, r, &err);
	else if (rq->later) {
		operator_log(rq, 0);
		return;
	}
	request_over(rq);
	request_answered(rq, r);
}

static void on_busy(void *ctx, struct http_request *q, struct http_response *r)
{
	struct request *rq = http_data(q);
	struct error err;

	(void)ctx;
	(void)!fail(&err, ERR_UNAVAILABLE,
		    "Too many calls of this kind wait already. Please retry shortly.");
	error_answer(rq, r, &err);
	request_over(rq);
	request_answered(rq, r);
}

static void on_end(void *ctx, struct http_request *q)
{
	struct request *rq = http_data(q);

	(void)ctx;
	if (rq == NULL)
		return;
	request_over(rq);
	buf_free(&rq->body);
	budget_give(budget_use(rq->api->budget, BUDGET_STREAMS), rq->charged_bytes);
	free(rq);
}

/* Whose it was is not known, nor for which route. */
static void on_refuse(void *ctx, const char *why, struct http_response *r)
{
	struct api *api = ctx;
	struct answered a = { .api = api, .method = "", .path = "", .org = "" };
	char id[ID_SIZE];
	int status = r->status;
	struct error err;

	id_request(id);
	a.id = id;
	a.began_ms = sys.monotonic_ms();
	if (status == 500)
		(void)!fail_memory(&err);
	else if (status == 503)
		(void)!fail(&err, ERR_UNAVAILABLE, "The server is busy: %s. Please retry shortly.",
			    why);
	else
		(void)!fail(&err, ERR_INVALID, "%s: %s.",
			    status == 408 ? "The request was given up" : "Malformed request", why);
	error_response(r, &err, api->config.profile);
	r->status = status;
	answer_finish(&a, r);
}

struct http_app api_http_app(void)
{
	return (struct http_app){
		.begin = on_begin,
		.waits = on_waits,
		.room = on_room,
		.body = on_body,
		.handle = on_handle,
		.busy = on_busy,
		.end = on_end,
		.refuse = on_refuse,
	};
}

/* ---- open, close ---- */

#define HASHERS 4 /* as many as pieces of bodies are taken at once (http/server.c) */

bool api_open(const struct api_config *config, struct store *store, struct blobs *blobs,
	      struct pipeline *pipeline, struct api **ret, struct error *err)
{
	struct api *api = calloc(1, sizeof(*api));

	if (api == NULL)
		return fail_memory(err);
	api->config = *config;
	api->store = store;
	api->blobs = blobs;
	api->pipeline = pipeline;
	api->budget = pipeline_budget(pipeline);
	api->routes = routes_table(&api->route_count);
	pthread_mutex_init(&api->claims.lock, NULL);
	pthread_mutex_init(&api->upload_claims.lock, NULL);
	limits_open(&api->limits);
	skip_marks_open(&api->skip_marks);
	prices_open(&api->prices);
	if (!workers_open("ingest-hash", HASHERS, &api->config.limits.hashers, err) ||
	    !prices_set(&api->prices, config->prices, config->price_count, err) ||
	    !events_open(api, &api->events, err)) {
		api_close(api);
		return false;
	}
	*ret = api;
	return true;
}

void api_stop(struct api *api)
{
	if (api != NULL)
		events_close(TAKE(api->events));
}

void api_close(struct api *api)
{
	if (api == NULL)
		return;
	api_stop(api);
	workers_close(api->config.limits.hashers);
	prices_close(&api->prices);
	pthread_mutex_destroy(&api->claims.lock);
	pthread_mutex_destroy(&api->upload_claims.lock);
	limits_close(&api->limits);
	skip_marks_close(&api->skip_marks);
	free(api);
}

bool api_prices(struct api *api, const struct price *list, size_t n, struct error *err)
{
	return prices_set(&api->prices, list, n, err);
}

void api_drain(struct api *api)
{
	atomic_store(&api->draining, true);
	events_drain(api->events);
}
