/* webhook_test.c: the connection waits, no worker does. An object for each call; it goes when the
 * receiver's answer has come and the client's connection is over. */
#include "api/webhook_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/errors.h"
#include "api/layout.h"
#include "api/routes.h"
#include "api/webhook_members.h"
#include "webhook/event.h"

#define RETRY_S 5

struct test_call {
	struct api *api;
	const struct route *route;
	struct http_stream *stream;
	uint64_t began_ms;
	struct call_rate rate;
	char id[ID_SIZE], org[ID_SIZE];
	char path[256];
	char endpoint[ID_SIZE];
	const char *event_type; /* static */
	atomic_uint holders;    /* the receiver's side, the client's */
};

static void call_drop(struct test_call *c)
{
	if (atomic_fetch_sub(&c->holders, 1) > 1)
		return;
	http_stream_release(c->stream);
	free(c);
}

/* ---- the answer ---- */

struct test_result {
	const char *event_type, *endpoint;
	int64_t status;
};

static const struct json_member result_members[] = {
	{ "object", .literal = "\"webhook_endpoint.test\"" },
	{ "webhook_endpoint_id", COLUMN(struct test_result, endpoint) },
	{ "event_type", COLUMN(struct test_result, event_type) },
	{ "status_code", COLUMN(struct test_result, status) },
	{ "success", .literal = "true" },
};

static void answer_fill(const struct test_call *c, const struct webhook_test_end *end,
			struct http_response *r)
{
	const struct test_result result = { c->event_type, c->endpoint, end->status };
	struct error err;

	if (end->status != 0) {
		object_write(&r->body, result_members, ARRAY_LEN(result_members), &result);
		return;
	}
	if (!fail_param(&err, "url", "webhook_unreachable",
			"The test event could not be delivered. %s", end->error))
		error_response(r, &err, c->api->config.profile);
}

/* Empties `r`. */
static void answer_send(struct test_call *c, struct http_response *r)
{
	AUTO(buf_free) struct buf body = r->body;
	r->body = BUF(0);
	struct answered a = {
		.api = c->api,
		.route = c->route,
		.id = c->id,
		.method = c->route->method,
		.path = c->path,
		.org = c->org,
		.began_ms = c->began_ms,
		.rate = &c->rate,
	};
	answer_finish(&a, r);
	http_stream_begin(c->stream, r, body.n);
	http_stream_end(c->stream, !body.failed && http_stream_write(c->stream, buf_slice(&body)));
	call_drop(c);
}

/* The loop thread of the webhooks. */
static void on_ended(void *ctx, const struct webhook_test_end *end)
{
	struct test_call *c = ctx;
	struct http_response r;

	http_response_init(&r);
	answer_fill(c, end, &r);
	answer_send(c, &r);
}

/* It was never sent. */
static void answer_refused(struct test_call *c, const struct error *err)
{
	struct http_response r;

	http_response_init(&r);
	error_response(&r, err, c->api->config.profile);
	if (err->kind == ERR_RATE_LIMIT)
		http_header(&r, "Retry-After", "%d", RETRY_S);
	answer_send(c, &r);
}

/* ---- the client's side ---- */

static void on_room(void *ctx)
{
	(void)ctx; /* all of it was taken at once */
}

static void on_closed(void *ctx)
{
	call_drop(ctx);
}

static const struct http_stream_ops stream_ops = { .room = on_room, .closed = on_closed };

static struct test_call *call_new(struct request *rq, enum batch_status type)
{
	struct test_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->api = rq->api;
	c->route = rq->route;
	c->began_ms = rq->began_ms;
	c->rate = rq->rate;
	c->event_type = event_type_name(type);
	c->holders = 2;
	memcpy(c->id, rq->id, sizeof(c->id));
	memcpy(c->org, rq->key.org, sizeof(c->org));
	snprintf(c->path, sizeof(c->path), "%s", http_path(rq->http));
	c->stream = http_later(rq->http, &stream_ops, c);
	if (c->stream == NULL)
		free(TAKE(c));
	return c;
}

/* A type that the endpoint is sent. */
static enum batch_status type_of(const struct webhook_endpoint *e)
{
	return (enum batch_status)__builtin_ctz(e->event_types);
}

bool webhook_test(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(webhook_endpoint_done) struct webhook_endpoint e = { 0 };
	enum batch_status type;

	(void)r;
	if (!store_webhook_get(rq->api->store, rq->key.org, rq->object_id, &e, err) ||
	    !webhook_event_type_read(buf_slice(&rq->body), type_of(&e), &type, err))
		return false;
	struct test_call *c = call_new(rq, type);
	if (c == NULL)
		return fail_memory(err);
	memcpy(c->endpoint, e.id, sizeof(c->endpoint));
	rq->later = true;
	struct error why;
	if (webhooks_test(rq->api->config.webhooks, &e, type, on_ended, c, &why))
		return true;
	answer_refused(c, &why);
	return true;
}
