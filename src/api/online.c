/* online.c: one object for each request that is passed on.
 *
 *	handle (worker) -> dispatch_online() -> head, body, end (dispatch thread) -> the stream
 *	the stream: closed (loop) -> dispatch_online_release() -> released (dispatch thread): freed
 *
 * The HTTP request is the worker's only until online_handle() returns: what is needed of it later
 * is copied. `closed` comes once, in any case, so it alone asks for the release; it comes when the
 * client goes away too, and then the release cancels the request to the upstream. */
#include "api/online.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "api/errors.h"
#include "api/members.h"
#include "api/models.h"
#include "api/online_tokens.h"
#include "api/routes.h"
#include "base/json.h"
#include "base/sys.h"
#include "batch/weight.h"
#include "dispatch/online.h"
#include "history/history.h"
#include "http/fields.h"
#include "trace/tracer.h"

struct passed_call {
	struct online online;
	struct api *api;
	struct dispatch *dispatch;
	const struct route *route;
	struct http_stream *stream;
	struct buf body;
	char *model, *endpoint;
	struct span *span; /* NULL: it is not traced; else: */
	uint64_t left;     /* of the answer's body; UINT64_MAX: its length is not known */
	bool has_head;
	bool waits_for_first; /* piece of an answer that streams */
	uint64_t began_ms;
	struct call_rate rate;
	bool takes_tokens;  /* and they are to be counted */
	atomic_bool seated; /* it is counted as one of its organization's */
	struct answer_tail tail;
	char id[ID_SIZE], org[ID_SIZE];
};

/* One that has not ended by now has lost its client, which may have taken all of the answer before;
 * without a stream it has not begun. */
static void call_free(struct passed_call *c)
{
	if (c->span != NULL && c->stream != NULL) {
		if (!c->has_head || c->left > 0)
			span_fail(c->span, "client_gone");
		span_end(c->api->config.tracer, TAKE(c->span));
	}
	span_drop(c->span);
	headers_free(&c->online.headers);
	buf_free(&c->body);
	free(c->model);
	free(c->endpoint);
	free(c);
}

/* ---- headers ---- */

/* Between the client and lowtide, or the upstream's client library's own. */
static const char *const not_sent[] = {
	"Authorization",  "api-key",         "x-api-key", "Host",
	"Content-Length", "Cookie",          "Expect",    "OpenAI-Organization",
	"OpenAI-Project", "Idempotency-Key", NULL,
};

/* Not passed back where the organization has a limit of its own here. */
static const char *const rate_fields[] = {
	"x-ratelimit-limit-requests",
	"x-ratelimit-remaining-requests",
	"x-ratelimit-reset-requests",
	NULL,
};
static const char *const token_fields[] = {
	"x-ratelimit-limit-tokens",
	"x-ratelimit-remaining-tokens",
	"x-ratelimit-reset-tokens",
	NULL,
};

/* Headers of an answer that are not passed back, beside those of one connection (http/fields.h). */
static const char *const not_passed_back[] = {
	/* lowtide says it itself */
	"Content-Length",
	"Date",
	"Server",
	"openai-processing-ms",
	"openai-version",
	/* a session with the client that asked: the upstream takes all clients, of every
	 * organization, for one (and clients' own Cookie is not sent) */
	"Set-Cookie",
	"Set-Cookie2",
	/* about the key and the account of lowtide with the upstream, which are no client's
	 * business */
	"WWW-Authenticate",
	"Authentication-Info",
	"OpenAI-Organization",
	"OpenAI-Project",
	/* commands to a browser about an origin: the client's is lowtide's, not the upstream's */
	"Alt-Svc",
	"Clear-Site-Data",
	"Expect-CT",
	"NEL",
	"Public-Key-Pins",
	"Public-Key-Pins-Report-Only",
	"Report-To",
	"Reporting-Endpoints",
	"Service-Worker-Allowed",
	"Strict-Transport-Security",
	NULL,
};

/* All headers of a request, borrowed. */
struct received {
	struct header *list;
	size_t n, cap;
	bool failed;
};

static void receive_header(void *ctx, const char *name, const char *value)
{
	struct received *r = ctx;

	if (r->n == r->cap) {
		size_t cap = r->cap == 0 ? 16 : 2 * r->cap;
		struct header *list = reallocarray(r->list, cap, sizeof(*list));
		r->failed = r->failed || list == NULL;
		if (list == NULL)
			return;
		r->list = list;
		r->cap = cap;
	}
	r->list[r->n++] = (struct header){ slice_of(name), slice_of(value) };
}

/* A request that is traced has our span before the upstream's, and that below the client's. */
static bool is_replaced(const struct passed_call *c, struct slice name)
{
	return c->span != NULL && field_is(name, "traceparent");
}

static bool trace_header_add(struct passed_call *c)
{
	char value[TRACEPARENT_BYTES + 1];

	if (c->span == NULL)
		return true;
	trace_context_write(span_context(c->span), value);
	return headers_add(&c->online.headers, SLICE("traceparent"), slice_of(value));
}

static bool forward_headers(struct passed_call *c, const struct received *r)
{
	struct headers *to = &c->online.headers;

	for (size_t i = 0; i < r->n; i++) {
		const struct header *h = &r->list[i];
		if (!header_is_end_to_end(r->list, r->n, h->name) ||
		    field_is_one_of(h->name, not_sent) || is_replaced(c, h->name))
			continue;
		if (!headers_add(to, h->name, h->value))
			return false;
	}
	return trace_header_add(c);
}

static bool copy_headers(struct passed_call *c, const struct http_request *http, struct error *err)
{
	struct headers *to = &c->online.headers;
	struct received r = { 0 };

	http_each_header(http, receive_header, &r);
	bool ok = !r.failed && forward_headers(c, &r);
	free(r.list);
	if (ok && !c->online.get && header_find(to->list, to->n, "Content-Type") == NULL)
		ok = headers_add(to, SLICE("Content-Type"), SLICE("application/json"));
	return ok || fail_memory(err);
}

/* ---- the request ---- */

/* The route's path with the client's query. Bytes that have no place in a URL go in %XX. */
static bool copy_endpoint(struct passed_call *c, const struct http_request *http, struct error *err)
{
	const char *query = http_query_text(http);
	struct buf to = BUF(1u << 20);

	buf_text(&to, c->route->path);
	if (query != NULL)
		buf_char(&to, '?');
	for (const char *p = query; p != NULL && *p != '\0'; p++) {
		unsigned char byte = (unsigned char)*p;
		if (byte > ' ' && byte < 0x7f && byte != '#')
			buf_char(&to, *p);
		else
			buf_printf(&to, "%%%02X", byte);
	}
	buf_char(&to, '\0');
	if (to.failed) {
		buf_free(&to);
		return fail_memory(err);
	}
	c->endpoint = to.p;
	c->online.endpoint = to.p;
	return true;
}

/* A body that is no JSON object, or names no model, is the upstream's to judge. */
static bool find_model(struct passed_call *c, struct error *err)
{
	struct member model = { .name = "model" };
	size_t n;

	if (!members_find(buf_slice(&c->body), &model, 1) || model.type != JSON_STRING)
		return true;
	if (!member_text(&model, &c->model, &n, err))
		return false;
	c->online.model = (struct slice){ c->model, n };
	return true;
}

/* ---- its span, with tracing alone ---- */

/* Below the client's, which may say that this trace is not recorded. */
static void span_begin(struct passed_call *c, const struct request *rq)
{
	const char *given = http_request_header(rq->http, "traceparent");
	struct trace_context parent = { 0 };
	char name[128];

	if (given != NULL)
		(void)trace_context_read(slice_of(given), &parent);
	const struct trace_context own = trace_context_new(&parent);
	snprintf(name, sizeof(name), "%s %s", rq->route->method, rq->route->path);
	c->span = span_start(name, SPAN_SERVER, &own, &parent);
	span_text(c->span, ATTR_METHOD, slice_of(rq->route->method));
	span_text(c->span, ATTR_ROUTE, slice_of(rq->route->path));
	span_text(c->span, ATTR_OPERATION, slice_of(trace_operation(rq->route->path)));
	span_text(c->span, ATTR_ORG, slice_of(rq->key.org));
	span_text(c->span, ATTR_REQUEST, slice_of(rq->id));
}

static void span_head(struct span *s, int status)
{
	char text[12];

	span_event(s, "answer_begins");
	span_number(s, ATTR_STATUS, status);
	if (status < 500)
		return;
	snprintf(text, sizeof(text), "%d", status);
	span_fail(s, text);
}

static void span_over(struct passed_call *c, enum online_end how)
{
	if (c->has_head && how != ONLINE_WHOLE)
		span_fail(c->span, "broken");
	span_end(c->api->config.tracer, TAKE(c->span));
}

/* ---- the answer ---- */

static void finish_head(struct passed_call *c, struct http_response *r, uint64_t length)
{
	c->left = length;
	if (c->span != NULL)
		span_head(c->span, r->status);
	struct answered a = {
		.api = c->api,
		.route = c->route,
		.id = c->id,
		.method = c->route->method,
		.path = c->route->path,
		.org = c->org,
		.began_ms = c->began_ms,
		.rate = &c->rate,
	};

	answer_finish(&a, r);
	c->has_head = true;
	http_stream_begin(c->stream, r, length);
}

static bool is_stream(const struct exchange_head *h)
{
	const struct slice events = SLICE("text/event-stream");
	const struct header *type = header_find(h->headers, h->header_count, "Content-Type");

	return type != NULL && type->value.n >= events.n &&
	       strncasecmp(type->value.p, events.p, events.n) == 0;
}

static void on_head(void *ctx, const struct exchange_head *h)
{
	struct passed_call *c = ctx;
	struct http_response r;

	http_response_init(&r);
	r.status = h->status;
	c->takes_tokens = c->takes_tokens && h->status < 300;
	c->waits_for_first = h->status < 300 && is_stream(h);
	r.content_type = ""; /* the upstream's, if it gives one */
	for (size_t i = 0; i < h->header_count; i++) {
		struct slice name = h->headers[i].name;
		if (c->rate.limit > 0 && field_is_one_of(name, rate_fields))
			continue; /* those of this server stand there */
		if (c->rate.tokens_limit > 0 && field_is_one_of(name, token_fields))
			continue;
		if (!header_is_end_to_end(h->headers, h->header_count, name) ||
		    field_is_one_of(name, not_passed_back))
			continue;
		if (field_is(name, "x-request-id"))
			name = SLICE("x-upstream-request-id");
		http_pass_header(&r, name, h->headers[i].value);
	}
	finish_head(c, &r, h->length);
}

/* Once, of an answer that is a 2xx. */
static void tokens_count(struct passed_call *c)
{
	if (!c->has_head || !c->takes_tokens)
		return;
	c->takes_tokens = false;
	pipeline_tokens_add(c->api->pipeline, c->org,
			    answer_tail_tokens(&c->tail, c->online.body.n));
}

/* Any thread, any number of times; first before the client can know that its answer is whole, and
 * ask again. */
static void seat_give(struct passed_call *c)
{
	if (atomic_exchange(&c->seated, false))
		limits_online_end(&c->api->limits, c->org);
}

static bool on_body(void *ctx, struct slice piece)
{
	struct passed_call *c = ctx;

	if (piece.n >= c->left)
		seat_give(c);
	bool taken = http_stream_write(c->stream, piece);
	if (taken && c->waits_for_first) {
		c->waits_for_first = false;
		history_first_token(c->api->config.history, c->org,
				    sys.monotonic_ms() - c->began_ms);
	}
	if (taken && c->takes_tokens)
		answer_tail_add(&c->tail, piece);
	if (taken && c->left != UINT64_MAX)
		c->left -= piece.n < c->left ? piece.n : c->left;
	return taken;
}

/* Contract 2.3. */
static void fail_end(const struct passed_call *c, enum online_end how, struct error *err)
{
	switch (how) {
	case ONLINE_WHOLE:
	case ONLINE_BROKEN:
		(void)!fail(err, ERR_UPSTREAM,
			    "The upstream closed the connection before it had answered.");
		return;
	case ONLINE_MALFORMED:
		(void)!fail(err, ERR_UPSTREAM, "The upstream's answer is malformed HTTP.");
		return;
	case ONLINE_TIMEOUT:
		(void)!fail(err, ERR_TIMEOUT, "The upstream did not answer in time.");
		return;
	case ONLINE_UNREACHABLE:
		(void)!fail(err, ERR_UNAVAILABLE,
			    "No upstream can be reached at the moment. Please retry shortly.");
		return;
	case ONLINE_BUSY:
		(void)!fail(err, ERR_UNAVAILABLE,
			    "Too many requests wait for the upstream already. Please retry "
			    "shortly.");
		return;
	case ONLINE_NO_UPSTREAM:
		(void)!fail_no_model(err, c->online.model);
		return;
	case ONLINE_CLOSING:
		(void)!fail(err, ERR_UNAVAILABLE,
			    "The server is shutting down. Please retry shortly.");
		return;
	}
}

static void on_end(void *ctx, enum online_end how)
{
	struct passed_call *c = ctx;
	struct error err;

	seat_give(c);
	if (c->has_head) {
		tokens_count(c);
		if (c->span != NULL)
			span_over(c, how);
		http_stream_end(c->stream, how == ONLINE_WHOLE);
		return;
	}
	struct http_response r;
	http_response_init(&r);
	fail_end(c, how, &err);
	error_response(&r, &err, c->api->config.profile);
	AUTO(buf_free) struct buf body = r.body;
	r.body = BUF(0);
	finish_head(c, &r, body.n);
	if (c->span != NULL)
		span_over(c, ONLINE_WHOLE);
	bool written = !body.failed && http_stream_write(c->stream, buf_slice(&body));
	http_stream_end(c->stream, written);
}

static void on_released(void *ctx)
{
	struct passed_call *c = ctx;

	http_stream_release(c->stream);
	tokens_count(c); /* its client has gone: what it took is its own */
	call_free(c);
}

static const struct online_ops online_ops = {
	.head = on_head,
	.body = on_body,
	.end = on_end,
	.released = on_released,
};

/* ---- the client's side ---- */

static void on_room(void *ctx)
{
	struct passed_call *c = ctx;

	dispatch_online_more(c->dispatch, &c->online);
}

static void on_closed(void *ctx)
{
	struct passed_call *c = ctx;

	seat_give(c);
	dispatch_online_release(c->dispatch, &c->online);
}

static const struct http_stream_ops stream_ops = { .room = on_room, .closed = on_closed };

/* ---- begin ---- */

static bool call_fill(struct passed_call *c, struct request *rq, struct error *err)
{
	c->api = rq->api;
	c->dispatch = pipeline_dispatch(rq->api->pipeline);
	c->route = rq->route;
	c->began_ms = rq->began_ms;
	c->rate = rq->rate;
	c->takes_tokens = !rq->route->kimi;
	snprintf(c->id, sizeof(c->id), "%s", rq->id);
	snprintf(c->org, sizeof(c->org), "%s", rq->key.org);
	c->body = rq->body;
	rq->body = BUF(0);
	c->online.ops = &online_ops;
	c->online.ctx = c;
	c->online.get = rq->route->body == BODY_NONE;
	c->online.body = buf_slice(&c->body);
	c->online.units = body_units(c->online.body, c->route->path, 0);
	if (rq->api->config.tracer != NULL)
		span_begin(c, rq);
	if (!copy_endpoint(c, rq->http, err) || !copy_headers(c, rq->http, err) ||
	    !find_model(c, err))
		return false;
	span_text(c->span, ATTR_MODEL, c->online.model);
	return true;
}

bool online_handle(struct request *rq, struct http_response *r, struct error *err)
{
	struct passed_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return fail_memory(err);
	if ((!rq->route->kimi && !limits_tokens(rq, r, err)) || !call_fill(c, rq, err) ||
	    !limits_online_begin(rq, r, err)) {
		call_free(c);
		return false;
	}
	c->seated = true;
	c->stream = http_later(rq->http, &stream_ops, c);
	if (c->stream == NULL) {
		seat_give(c);
		call_free(c);
		return fail_memory(err);
	}
	rq->later = true;
	dispatch_online(c->dispatch, &c->online); /* it may have ended by the time this returns */
	return true;
}
