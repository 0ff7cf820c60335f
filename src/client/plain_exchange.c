/* plain_exchange.c: what client.h has of an exchange. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/plain_impl.h"

static struct plain_exchange *plain_of(const struct exchange *x)
{
	return x->state;
}

/* ---- opening ---- */

static size_t headers_bytes(const struct exchange_setup *s)
{
	size_t bytes = 0;

	for (size_t i = 0; i < s->header_count; i++)
		bytes += s->headers[i].name.n + s->headers[i].value.n + sizeof(": \r\n");
	return bytes;
}

static void headers_write(struct plain_exchange *x, const struct exchange_setup *s)
{
	char *to = x->headers;

	for (size_t i = 0; i < s->header_count; i++) {
		const struct header *h = &s->headers[i];
		to = mempcpy(to, h->name.p, h->name.n);
		to = stpcpy(to, h->value.n > 0 ? ": " : ":");
		if (h->value.n > 0)
			to = mempcpy(to, h->value.p, h->value.n);
		to = stpcpy(to, "\r\n");
	}
	x->headers_n = (size_t)(to - x->headers);
}

bool plain_exchange_open(struct exchange *of, const struct exchange_setup *s)
{
	const struct plain_route *r = (const struct plain_route *)s->route;
	struct plain_exchange *x = calloc(1, sizeof(*x) + headers_bytes(s));

	if (x == NULL || !fields_reserve(r->host->plain, s->header_count) ||
	    !timers_reserve(r->host->plain)) {
		free(x);
		return false;
	}
	x->of = of;
	x->plain = r->host->plain;
	x->host = r->host;
	x->timeout_ms = s->timeout_ms;
	x->silence_ms = s->silence_ms;
	x->method = s->verb != NULL ? s->verb : s->get ? "GET" : "POST";
	x->has_body = !s->get;
	x->decode = s->decode;
	x->asks_identity = s->decode &&
			   header_find(s->headers, s->header_count, "Accept-Encoding") == NULL;
	headers_write(x, s);
	of->state = x;
	return true;
}

void plain_exchange_free(struct exchange *of)
{
	struct plain_exchange *x = plain_of(of);

	timers_remove(x);
	parse_done(&x->parse);
	decoder_done(&x->decoder);
	buf_free(&x->held);
	free(x->line);
	free(x);
}

/* "POST /v1 HTTP/1.1\r\nHost: model.test\r\n" */
static void line_cut(struct plain_exchange *x, size_t target_n, size_t authority_n)
{
	const char *target = x->line + strlen(x->method) + 1;

	x->target = (struct slice){ target, target_n };
	x->authority = (struct slice){ target + target_n + strlen(" HTTP/1.1\r\nHost: "),
				       authority_n };
}

bool plain_exchange_url(struct exchange *of, const char *text)
{
	struct plain_exchange *x = plain_of(of);
	struct plain_url url;
	char *line;

	free(TAKE(x->line));
	if (!plain_url_read(text, &url) || url.port != x->host->port ||
	    url.tls != (x->host->tls != NULL) || strcasecmp(url.host, x->host->name) != 0)
		return true; /* exchange_begin() */
	const char *slash = url.target.n == 0 || *url.target.p != '/' ? "/" : "";
	int n = asprintf(&line, "%s %s%.*s HTTP/1.1\r\nHost: %.*s\r\n%s", x->method, slash,
			 SLICE_ARG(url.target), SLICE_ARG(url.authority),
			 x->asks_identity ? "Accept-Encoding: identity\r\n" : "");
	if (n < 0)
		return false;
	x->line = line;
	x->line_n = (size_t)n;
	line_cut(x, strlen(slash) + url.target.n, url.authority.n);
	return true;
}

bool plain_exchange_start(struct exchange *of, const struct exchange_request *rq)
{
	struct plain_exchange *x = plain_of(of);

	x->rq = *rq;
	x->state = PLAIN_STARTED;
	x->has_head = false;
	exchange_put(&x->plain->started, x);
	return true;
}

void plain_exchange_stop(struct exchange *of)
{
	struct plain_exchange *x = plain_of(of);

	exchange_take_out(x);
	exchange_opens_no_more(x, false);
	if (x->conn != NULL && x->conn->h2 != NULL)
		h2_leave(TAKE(x->conn)->h2, x);
	else if (x->conn != NULL)
		conn_close(x->conn);
	x->state = PLAIN_IDLE;
}

struct slice plain_exchange_header(const struct exchange *of, const char *name)
{
	const struct plain_exchange *x = plain_of(of);

	return x->has_head ? parse_header(&x->parse, name) : (struct slice){ NULL, 0 };
}

uint64_t plain_exchange_length(const struct exchange *of)
{
	const struct plain_exchange *x = plain_of(of);

	return x->has_head ? x->parse.length : UINT64_MAX;
}

void plain_exchange_resume(struct exchange *of)
{
	struct plain_exchange *x = plain_of(of);

	if (x->state != PLAIN_SENT || !x->paused)
		return;
	x->paused = false;
	loop_look(x->plain->loop);
	x->heard_ms = x->plain->loop->now_ms;
	answer_take(x, buf_slice(&x->held));
	flight_resume(x);
	if (x->state == PLAIN_SENT)
		timer_set(x, exchange_due_ms(x));
}
