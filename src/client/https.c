/* https.c: see https.h. */
#include "client/https.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/plain.h"

struct https_route {
	struct client_route base;           /* first */
	struct client_route *own, *libcurl; /* two ways to the same server */
};

struct https_inner {
	struct exchange exchange; /* first: the ops are handed it */
	struct https_exchange *https;
};

/* One block, with the headers that are sent behind it: libcurl's exchange is made of them, too. */
struct https_exchange {
	struct https_inner own, libcurl;
	struct exchange *inner; /* one of them, which is open; the other is not */
	struct exchange *of;
	const struct https_route *route;
	struct exchange_setup setup;
	struct exchange_request rq; /* of the start that is under way */
	char *url;
	struct header headers[];
};

static struct https_exchange *https_of(const struct exchange *of)
{
	return of->state;
}

/* ---- routes ---- */

struct client_route *https_route_new(struct client_route *own, struct client_route *libcurl)
{
	struct https_route *r = own != NULL && libcurl != NULL ? calloc(1, sizeof(*r)) : NULL;

	if (r == NULL) {
		client_route_free(own);
		client_route_free(libcurl);
		return NULL;
	}
	r->own = own;
	r->libcurl = libcurl;
	return &r->base;
}

static void https_route_free(struct client_route *base)
{
	struct https_route *r = (struct https_route *)base;

	client_route_free(r->own);
	client_route_free(r->libcurl);
	free(r);
}

/* ---- what the inner exchange tells ---- */

static struct https_exchange *https_around(struct exchange *inner)
{
	return ((struct https_inner *)inner)->https;
}

static void inner_sent(struct exchange *inner)
{
	bool goes = exchange_goes_out(https_around(inner)->of);

	assert(goes); /* the inner one is sent no more often */
	(void)goes;
}

static void inner_head(struct exchange *inner, const struct exchange_head *head)
{
	struct exchange *of = https_around(inner)->of;

	of->ops->head(of, head);
}

static enum exchange_taken inner_body(struct exchange *inner, struct slice piece)
{
	struct exchange *of = https_around(inner)->of;

	return of->ops->body(of, piece);
}

static bool hand_over(struct https_exchange *h);

/* What has gone out to a connection that was dead is not handed over: it would go out more often than
 * its owner may have said. */
static void inner_done(struct exchange *inner, const struct exchange_result *r)
{
	struct https_exchange *h = https_around(inner);
	struct exchange_result end = *r;

	if (plain_is_handed(inner) && h->of->sent == 0) {
		if (hand_over(h))
			return;
		end.said = "out of memory";
	} else if (plain_is_handed(inner)) {
		end.how = EXCHANGE_STALE;
	}
	exchange_over(h->of, &end);
}

static const struct exchange_ops inner_ops = {
	.sent = inner_sent,
	.body = inner_body,
	.done = inner_done,
};
static const struct exchange_ops inner_head_ops = {
	.sent = inner_sent,
	.head = inner_head,
	.body = inner_body,
	.done = inner_done,
};

/* False: no memory; what was open stays so, or what is open now is not under way. */
static bool hand_over(struct https_exchange *h)
{
	struct exchange_setup s = h->setup;
	struct exchange *next = &h->libcurl.exchange;

	s.route = h->route->libcurl;
	if (!exchange_open(next, &s))
		return false;
	if (!exchange_url(next, h->url)) {
		exchange_close(next);
		return false;
	}
	exchange_close(h->inner);
	h->inner = next;
	return exchange_start(next, &h->rq);
}

/* ---- exchanges ---- */

static size_t headers_bytes(const struct exchange_setup *s)
{
	size_t bytes = s->header_count * sizeof(struct header);

	for (size_t i = 0; i < s->header_count; i++)
		bytes += s->headers[i].name.n + s->headers[i].value.n;
	return bytes;
}

static struct slice text_put(char **to, struct slice text)
{
	struct slice copy = { *to, text.n };

	if (text.n > 0)
		*to = mempcpy(*to, text.p, text.n);
	return copy;
}

static void headers_copy(struct https_exchange *h, const struct exchange_setup *s)
{
	char *text = (char *)(h->headers + s->header_count);

	for (size_t i = 0; i < s->header_count; i++)
		h->headers[i] = (struct header){ text_put(&text, s->headers[i].name),
						 text_put(&text, s->headers[i].value) };
	h->setup.headers = h->headers;
}

static bool https_open(struct exchange *of, const struct exchange_setup *s)
{
	struct https_exchange *h = calloc(1, sizeof(*h) + headers_bytes(s));

	if (h == NULL)
		return false;
	h->of = of;
	h->route = (const struct https_route *)s->route;
	h->setup = *s;
	h->setup.route = h->route->own;
	h->setup.ops = s->ops->head != NULL ? &inner_head_ops : &inner_ops;
	headers_copy(h, s);
	h->own.https = h->libcurl.https = h;
	h->inner = &h->own.exchange;
	if (!exchange_open(h->inner, &h->setup)) {
		free(h);
		return false;
	}
	of->state = h;
	return true;
}

static void https_free(struct exchange *of)
{
	struct https_exchange *h = https_of(of);

	exchange_close(h->inner);
	free(h->url);
	free(h);
}

static bool https_url(struct exchange *of, const char *url)
{
	struct https_exchange *h = https_of(of);

	char *copy = strdup(url);
	if (copy == NULL)
		return false;
	free(h->url);
	h->url = copy;
	return exchange_url(h->inner, url);
}

static bool https_start(struct exchange *of, const struct exchange_request *rq)
{
	struct https_exchange *h = https_of(of);

	h->rq = *rq;
	return exchange_start(h->inner, rq);
}

static void https_stop(struct exchange *of)
{
	exchange_stop(https_of(of)->inner);
}

static void https_resume(struct exchange *of)
{
	exchange_resume(https_of(of)->inner);
}

static struct slice https_header(const struct exchange *of, const char *name)
{
	return exchange_header(https_of(of)->inner, name);
}

static uint64_t https_length(const struct exchange *of)
{
	return exchange_length(https_of(of)->inner);
}

const struct route_ops https_route_ops = {
	.close = https_route_free,
	.open = https_open,
	.free = https_free,
	.url = https_url,
	.start = https_start,
	.stop = https_stop,
	.resume = https_resume,
	.header = https_header,
	.length = https_length,
};
