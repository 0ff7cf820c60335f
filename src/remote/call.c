/* call.c: one call: attempts, each an exchange of its own on connections that are kept, and the
 * waits between them. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "remote/remote_impl.h"

#define TIMEOUT_MS 120000u /* of a call that sends little and waits for one answer */
#define SILENCE_MS 120000u /* of one that sends a lot */
#define FAULT_BYTES_MAX (1u << 20)
#define WAIT_FIRST_MS 250u
#define WAIT_DOUBLES 5u /* then it is 8 s */
#define WAIT_MOST_S 3600u

struct attempt {
	struct exchange exchange; /* first: the ops are handed it */
	struct remote *remote;
	const struct remote_sink *sink;
	struct buf *body; /* that collects what the sink does not take */
	struct error *err;
	uint64_t heard_ms;
	bool taken;             /* the sink has had some */
	bool full;              /* `body` */
	enum remote_taken last; /* what the sink said last */
	bool over;
	enum exchange_end how;
	char said[300];
};

static bool is_good(int status)
{
	return status >= 200 && status < 300;
}

/* ---- what the exchange tells ---- */

static void on_head(struct exchange *x, const struct exchange_head *h)
{
	struct attempt *a = (struct attempt *)x;
	struct remote *r = a->remote;

	a->heard_ms = sys.monotonic_ms();
	r->status = h->status;
	r->length = h->length;
	for (size_t i = 0; i < h->header_count; i++)
		if (!headers_add(&r->answer, h->headers[i].name, h->headers[i].value))
			break; /* a header that is not there: the call goes on */
}

static enum exchange_taken on_body(struct exchange *x, struct slice piece)
{
	struct attempt *a = (struct attempt *)x;

	a->heard_ms = sys.monotonic_ms();
	if (a->sink != NULL && is_good(a->remote->status)) {
		a->taken = true;
		a->last = a->sink->take(a->sink->ctx, piece, a->err);
		return a->last == REMOTE_MORE ? EXCHANGE_TAKEN : EXCHANGE_REFUSED;
	}
	buf_add(a->body, piece);
	if (!a->body->failed)
		return EXCHANGE_TAKEN;
	a->full = true;
	return EXCHANGE_REFUSED;
}

static void on_done(struct exchange *x, const struct exchange_result *r)
{
	struct attempt *a = (struct attempt *)x;

	a->over = true;
	a->how = r->how;
	slice_copy((struct slice){ r->said, strnlen(r->said, sizeof(a->said) - 1) }, a->said,
		   sizeof(a->said));
}

static const struct exchange_ops ops = { .head = on_head, .body = on_body, .done = on_done };

/* ---- an attempt ---- */

static bool headers_of(const struct remote *r, const struct remote_request *q, struct headers *to)
{
	const char *type = q->body != NULL ? "application/json" : q->content_type;

	return headers_add(to, SLICE("User-Agent"), SLICE("lowtide")) &&
	       (r->key == NULL || headers_add_bearer(to, r->key)) &&
	       (type == NULL || headers_add(to, SLICE("Content-Type"), slice_of(type))) &&
	       (q->idempotency_key == NULL ||
		headers_add(to, SLICE("Idempotency-Key"), slice_of(q->idempotency_key)));
}

static bool attempt_open(struct attempt *a, const struct remote_request *q, const char *url,
			 const struct headers *headers)
{
	bool large = q->bytes.n > 0;
	struct exchange_setup s = {
		.route = a->remote->route,
		.ops = &ops,
		.headers = headers->list,
		.header_count = headers->n,
		.get = strcmp(q->method, "POST") != 0,
		.verb = strcmp(q->method, "DELETE") == 0 ? "DELETE" : NULL,
		.decode = true,
		.timeout_ms = q->timeout_ms > 0          ? q->timeout_ms
			      : large || a->sink != NULL ? 0
							 : TIMEOUT_MS,
		.silence_ms = large ? SILENCE_MS : 0,
	};

	return exchange_open(&a->exchange, &s) && exchange_url(&a->exchange, url);
}

/* For how long the loop may wait; -1: until something happens. */
static int quiet_left(const struct attempt *a)
{
	uint64_t quiet_ms = a->sink != NULL ? a->sink->quiet_ms : 0;
	uint64_t now = sys.monotonic_ms();

	if (quiet_ms == 0)
		return -1;
	return now >= a->heard_ms + quiet_ms ? 0 : (int)(a->heard_ms + quiet_ms - now);
}

static void attempt_run(struct attempt *a)
{
	bool woken;

	a->heard_ms = sys.monotonic_ms();
	while (!a->over) {
		client_wait(a->remote->client, quiet_left(a), &woken);
		client_deliver(a->remote->client);
		if (a->over || quiet_left(a) != 0)
			continue;
		exchange_stop(&a->exchange);
		on_done(&a->exchange, &(struct exchange_result){ .how = EXCHANGE_TIMEOUT,
								 .said = "nothing more came" });
	}
}

/* False: no memory. */
static bool attempt_make(struct attempt *a, const struct remote_request *q, const char *url,
			 struct slice body)
{
	AUTO(headers_free) struct headers headers = { 0 };
	struct remote *r = a->remote;
	struct exchange_request rq = { .body = body, .header = q->header };

	r->status = 0;
	r->length = UINT64_MAX;
	headers_free(&r->answer);
	buf_clear(a->body);
	bool good = headers_of(r, q, &headers) && attempt_open(a, q, url, &headers) &&
		    exchange_start(&a->exchange, &rq);
	if (good)
		attempt_run(a);
	exchange_close(&a->exchange);
	return good;
}

/* ---- again, or not ---- */

static bool may_repeat(const struct remote_request *q)
{
	return q->again || q->idempotency_key != NULL || strcmp(q->method, "GET") == 0;
}

static bool status_may_pass(const struct remote *r, const struct remote_request *q)
{
	bool waits = remote_header(r, "Retry-After").n > 0;

	if (slice_is(remote_header(r, "x-should-retry"), "false"))
		return false;
	switch (r->status) {
	case 429:
	case 502:
	case 503:
	case 504:
		return true;
	case 409: /* the same call still runs */
		return waits && may_repeat(q);
	default:
		return false;
	}
}

static bool may_pass(const struct attempt *a, const struct remote_request *q)
{
	switch (a->how) {
	case EXCHANGE_WHOLE:
		return status_may_pass(a->remote, q);
	case EXCHANGE_UNREACHABLE:
		return a->remote->answered;
	case EXCHANGE_UNPROCESSED:
		return true;
	case EXCHANGE_BROKEN:
	case EXCHANGE_STALE:
	case EXCHANGE_TIMEOUT:
		return may_repeat(q);
	default:
		return false;
	}
}

/* What the server asks for, else longer each time. */
static uint64_t wait_ms(const struct remote *r, unsigned tries)
{
	char text[24];

	if (!slice_copy(remote_header(r, "Retry-After"), text, sizeof(text)) ||
	    !isdigit((unsigned char)text[0]))
		return (uint64_t)WAIT_FIRST_MS << (tries < WAIT_DOUBLES ? tries : WAIT_DOUBLES);
	unsigned long long s = strtoull(text, NULL, 10);
	return s == 0 ? WAIT_FIRST_MS : s < WAIT_MOST_S ? s * 1000 : WAIT_MOST_S * 1000;
}

struct patience {
	uint64_t most_ms;  /* that the caller has; 0: as the remote */
	uint64_t until_ms; /* 0: nothing has failed */
	unsigned tries;
};

static void patience_begin(const struct remote *r, struct patience *p, uint64_t now)
{
	p->until_ms = now + (uint64_t)r->patience_s * 1000;
	if (p->most_ms > 0 && p->most_ms < p->until_ms)
		p->until_ms = p->most_ms;
}

/* Waits before the next attempt. False: it is to be the last; a caller's time is up then. */
static bool patience_wait(struct remote *r, struct patience *p, const char *why)
{
	uint64_t now = sys.monotonic_ms(), wait = wait_ms(r, p->tries);

	if (p->until_ms == 0) {
		patience_begin(r, p, now);
		if (r->note != NULL && now + wait <= p->until_ms)
			r->note(r->note_ctx, why);
	}
	if (now + wait > p->until_ms) {
		if (p->until_ms == p->most_ms && p->until_ms > now)
			remote_wait(r, p->until_ms - now);
		return false;
	}
	p->tries++;
	remote_wait(r, wait);
	return true;
}

/* ---- the call ---- */

static bool attempt_good(const struct attempt *a)
{
	return (a->how == EXCHANGE_WHOLE && is_good(a->remote->status)) ||
	       (a->taken && a->last == REMOTE_ENOUGH);
}

static bool call_run(struct remote *r, const struct remote_request *q, const char *url,
		     struct slice body, const struct remote_sink *sink, struct buf *collect,
		     struct error *err)
{
	struct patience patience = { .most_ms = q->until_ms };

	for (;;) {
		struct attempt a = { .remote = r, .sink = sink, .body = collect, .err = err };
		if (!attempt_make(&a, q, url, body))
			return fail_memory(err);
		r->answered = r->answered || r->status > 0;
		r->path_unknown = false;
		r->may_pass = false;
		if (attempt_good(&a))
			return true;
		if (a.taken && a.last == REMOTE_FAULT)
			return false;
		r->may_pass = may_pass(&a, q) && !a.full;
		struct remote_end end = { a.how, r->status, a.said, buf_slice(collect) };
		remote_say(r, q, &end, err);
		if (!r->may_pass || a.taken || !patience_wait(r, &patience, err->message))
			return false;
	}
}

bool remote_call(struct remote *r, const struct remote_request *q, const struct remote_sink *sink,
		 struct buf *body, struct error *err)
{
	AUTO(buf_free) struct buf url = BUF(64u << 10), fault = BUF(FAULT_BYTES_MAX);
	AUTO(auto_free) char *json = NULL;
	struct slice sent = q->bytes;

	buf_printf(&url, "%s%s", r->url, q->path);
	buf_char(&url, '\0');
	if (url.failed)
		return fail(err, ERR_INVALID, "what is asked for is too long for a URL");
	if (q->body != NULL) {
		json = json_dumps(q->body, JSON_COMPACT);
		if (json == NULL)
			return fail_memory(err);
		sent = slice_of(json);
	}
	return call_run(r, q, url.p, sent, sink, body != NULL ? body : &fault, err);
}

bool remote_bytes(struct remote *r, const struct remote_request *q, remote_take_fn each, void *ctx,
		  struct error *err)
{
	struct remote_sink sink = { each, ctx, SILENCE_MS };

	return remote_call(r, q, &sink, NULL, err);
}
