/* listener.c: see listener.h. */
#include "api/listener.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/auth.h"
#include "api/errors.h"
#include "api/routes.h"

bool listener_new(struct request *rq, struct events *of, enum listener_kind kind,
		  struct http_response *r, struct event_listener **ret, struct error *err)
{
	struct event_listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return fail_memory(err);
	l->of = of;
	l->api = rq->api;
	l->route = rq->route;
	l->kind = kind;
	l->began_ms = rq->began_ms;
	l->rate = rq->rate;
	memcpy(l->request_id, rq->id, sizeof(l->request_id));
	auth_key_hash(rq->http, l->key_hash);
	memcpy(l->org, rq->key.org, sizeof(l->org));
	if (!limits_listener_begin(rq, r, err)) {
		free(l);
		return false;
	}
	*ret = l;
	return true;
}

void listener_free(struct event_listener *l)
{
	limits_listener_end(&l->api->limits, l->org);
	event_text_unref(l->text);
	if (l->stream != NULL)
		http_stream_release(l->stream);
	free(l);
}

/* ---- the HTTP loop's ---- */

static void on_room(void *ctx)
{
	struct event_listener *l = ctx;

	l->tell(l->of, l, false);
}

static void on_closed(void *ctx)
{
	struct event_listener *l = ctx;

	l->tell(l->of, l, true);
}

bool listener_begin(struct event_listener *l, struct request *rq, struct error *err)
{
	static const struct http_stream_ops ops = { .room = on_room, .closed = on_closed };

	l->stream = http_later(rq->http, &ops, l);
	if (l->stream == NULL)
		return fail_memory(err);
	http_stream_bound(l->stream, LISTENER_BYTES);
	rq->later = true;
	return true;
}

/* ---- lists ---- */

void listener_link(struct event_listener *l, struct event_listener **list)
{
	l->next = *list;
	l->at = list;
	if (l->next != NULL)
		l->next->at = &l->next;
	*list = l;
}

void listener_unlink(struct event_listener *l)
{
	if (l->at == NULL)
		return;
	*l->at = l->next;
	if (l->next != NULL)
		l->next->at = l->at;
	l->at = NULL;
	l->next = NULL;
}

/* ---- the answer ---- */

static void head(struct event_listener *l, struct http_response *r, uint64_t length)
{
	struct answered a = {
		.api = l->api,
		.route = l->route,
		.id = l->request_id,
		.method = l->route->method,
		.path = l->route->path,
		.org = l->org,
		.began_ms = l->began_ms,
		.rate = &l->rate,
	};

	answer_finish(&a, r);
	l->headed = true;
	http_stream_begin(l->stream, r, length);
}

/* Proxies are told not to hold events back. */
static void head_of_events(struct event_listener *l)
{
	struct http_response r;

	http_response_init(&r);
	r.content_type = "text/event-stream; charset=utf-8";
	http_header(&r, "Cache-Control", "no-cache");
	http_header(&r, "X-Accel-Buffering", "no");
	head(l, &r, UINT64_MAX);
}

static void head_of_object(struct event_listener *l, uint64_t length)
{
	struct http_response r;

	http_response_init(&r);
	head(l, &r, length);
}

/* What of the text it gets: a long poll the object alone. */
static struct slice wanted(const struct event_listener *l)
{
	struct slice all = buf_slice(&l->text->bytes);

	if (l->kind == LISTENER_WAIT)
		all = (struct slice){ all.p + l->text->json_at, l->text->json_n };
	return (struct slice){ all.p + l->sent, all.n - l->sent };
}

static void text_send(struct event_listener *l)
{
	while (l->text != NULL && !l->full) {
		struct slice rest = wanted(l);
		if (rest.n > LISTENER_BYTES)
			rest.n = LISTENER_BYTES;
		if (rest.n == 0) {
			event_text_unref(l->text);
			l->text = NULL;
		} else if (http_stream_write(l->stream, rest)) {
			l->sent += rest.n;
		} else {
			l->full = true;
		}
	}
	if (l->text == NULL && l->kind == LISTENER_WAIT && l->headed)
		listener_end(l);
}

bool listener_is_free(const struct event_listener *l)
{
	return l->text == NULL && !l->full && !l->ended;
}

void listener_give(struct event_listener *l, struct event_text *t)
{
	assert(listener_is_free(l));
	if (!l->headed && l->kind == LISTENER_WAIT)
		head_of_object(l, t->json_n);
	else if (!l->headed)
		head_of_events(l);
	l->text = event_text_ref(t);
	l->sent = 0;
	text_send(l);
}

void listener_go_on(struct event_listener *l)
{
	l->full = false;
	if (!l->ended)
		text_send(l);
}

void listener_comment(struct event_listener *l)
{
	if (l->kind == LISTENER_WAIT || !listener_is_free(l))
		return;
	if (!l->headed)
		head_of_events(l);
	l->full = !http_stream_write(l->stream, SLICE(": still here\n\n"));
}

void listener_end(struct event_listener *l)
{
	if (l->ended)
		return;
	if (!l->headed)
		head_of_events(l);
	l->ended = true;
	http_stream_end(l->stream, l->text == NULL || l->kind != LISTENER_WAIT);
}

void listener_fail(struct event_listener *l, const struct error *err)
{
	struct http_response r;

	if (l->ended)
		return;
	l->ended = true;
	if (l->headed) {
		http_stream_end(l->stream, false);
		return;
	}
	http_response_init(&r);
	error_response(&r, err, l->api->config.profile);
	AUTO(buf_free) struct buf body = r.body;
	r.body = BUF(0);
	head(l, &r, body.n);
	bool written = !body.failed && http_stream_write(l->stream, buf_slice(&body));
	http_stream_end(l->stream, written);
}
