/* client_fake.c: all exchanges in one list; those under way are looked through for what is due. */
#include "client_fake.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

struct fake_exchange {
	struct exchange *of;
	struct fake_exchange *next;
	struct headers headers;
	char *url;
	const char *method;
	uint64_t timeout_ms, silence_ms;

	struct fake_answer answer;
	struct slice rest; /* of its body */
	uint64_t due_ms, dead_ms;
	bool has_head, paused, over;
	bool connects; /* until due_ms: it has not gone out */
	struct exchange_result result;
};

struct client_fake {
	struct client base;
	fake_script script;
	void *ctx;
	struct fake_exchange *all;
	struct sys real;
	_Atomic bool woken;
	uint64_t until_ms;
};

/* ---- the clock ---- */

static uint64_t clock_us;

static uint64_t fake_ms(void)
{
	return clock_us / 1000;
}

static uint64_t fake_us(void)
{
	return clock_us;
}

static int64_t fake_s(void)
{
	return FAKE_START_S + (int64_t)(clock_us / 1000000) - 1000;
}

void client_fake_sleep(uint64_t ms)
{
	clock_us += ms * 1000;
}

uint64_t client_fake_now_ms(void)
{
	return fake_ms();
}

/* ---- an answer on its way ---- */

static void fake_end(struct fake_exchange *f, enum exchange_end how)
{
	f->over = true;
	f->result.how = how;
	if (how == EXCHANGE_WHOLE)
		f->result.said = "";
	else
		f->result.said = f->answer.said != NULL ? f->answer.said : "the script ends it";
}

static void fake_head(struct fake_exchange *f)
{
	struct exchange_head h = {
		.status = f->result.status,
		.headers = f->answer.headers,
		.length = f->rest.n,
	};

	f->has_head = true;
	while (h.header_count < ARRAY_LEN(f->answer.headers) &&
	       f->answer.headers[h.header_count].name.n > 0)
		h.header_count++;
	if (f->result.status > 0 && f->of->ops->head != NULL)
		f->of->ops->head(f->of, &h);
}

/* The next piece is due. */
static void fake_piece(struct fake_exchange *f)
{
	size_t n = f->answer.piece > 0 && f->answer.piece < f->rest.n ? f->answer.piece : f->rest.n;

	switch (f->of->ops->body(f->of, (struct slice){ f->rest.p, n })) {
	case EXCHANGE_TAKEN:
		f->rest = (struct slice){ f->rest.p + n, f->rest.n - n };
		f->due_ms += f->answer.gap_ms;
		break;
	case EXCHANGE_PAUSED:
		f->paused = true;
		break;
	case EXCHANGE_REFUSED:
		fake_end(f, EXCHANGE_TOO_LARGE);
		break;
	}
}

static bool fake_waits(const struct fake_exchange *f)
{
	return f->of->under_way && !f->over;
}

static bool fake_goes_out(struct fake_exchange *f)
{
	uint64_t after_ms = f->answer.after_ms;

	f->connects = false;
	f->due_ms = after_ms == FAKE_NEVER ? FAKE_NEVER : f->due_ms + after_ms;
	return exchange_goes_out(f->of);
}

/* One step, if it is due. */
static bool fake_step(struct fake_exchange *f)
{
	uint64_t now = fake_ms();

	if (!fake_waits(f))
		return false;
	if (now >= f->dead_ms) {
		fake_end(f, EXCHANGE_TIMEOUT);
		return true;
	}
	if (f->paused || now < f->due_ms)
		return false;
	if (f->connects) {
		if (!fake_goes_out(f))
			fake_end(f, EXCHANGE_STALE);
	} else if (!f->has_head)
		fake_head(f);
	else if (f->rest.n > 0)
		fake_piece(f);
	else
		fake_end(f, f->answer.how);
	return true;
}

/* ---- the loop ---- */

static struct client_fake *fake_of(struct client *c)
{
	return (struct client_fake *)c;
}

static void fake_due(struct client *c)
{
	for (struct fake_exchange *f = fake_of(c)->all; f != NULL; f = f->next)
		while (fake_step(f))
			;
}

static uint64_t fake_next_ms(const struct client_fake *w)
{
	uint64_t next = FAKE_NEVER;

	for (const struct fake_exchange *f = w->all; f != NULL; f = f->next) {
		if (f->of->under_way && f->over)
			return fake_ms();
		if (!fake_waits(f))
			continue;
		if (f->dead_ms < next)
			next = f->dead_ms;
		if (!f->paused && f->due_ms < next)
			next = f->due_ms;
	}
	return next;
}

/* A wait without end, for which nothing is due, would last for ever. */
static void fake_wait(struct client *c, int timeout_ms, bool *ret_woken)
{
	struct client_fake *w = fake_of(c);
	uint64_t until = timeout_ms < 0 ? FAKE_NEVER : fake_ms() + (uint64_t)timeout_ms;
	uint64_t next = fake_next_ms(w);

	until = next < until ? next : until;
	until = w->until_ms < until ? w->until_ms : until;
	*ret_woken = atomic_exchange(&w->woken, false);
	assert(*ret_woken || until != FAKE_NEVER);
	if (!*ret_woken && until > fake_ms())
		clock_us = until * 1000;
	fake_due(c);
}

static void fake_deliver(struct client *c)
{
	for (struct fake_exchange *f = fake_of(c)->all, *next; f != NULL; f = next) {
		next = f->next; /* `done` may close it, but none that is behind it */
		if (!f->of->under_way || !f->over)
			continue;
		struct exchange_result result = f->result;
		exchange_over(f->of, &result);
		next = fake_of(c)->all; /* the list may be another */
	}
}

static void fake_wake(struct client *c)
{
	fake_of(c)->woken = true;
}

static void fake_connections(struct client *c, unsigned most)
{
	(void)c;
	(void)most;
}

static void fake_guard(struct client *c, client_guard_fn guard)
{
	(void)c;
	(void)guard;
}

static void fake_close(struct client *c)
{
	struct client_fake *w = fake_of(c);

	assert(w->all == NULL);
	sys = w->real;
	free(w);
}

void client_fake_until(struct client *c, uint64_t ms)
{
	fake_of(c)->until_ms = ms;
}

void client_fake_break(struct client *c, const char *url)
{
	for (struct fake_exchange *f = fake_of(c)->all; f != NULL; f = f->next)
		if (fake_waits(f) && strncmp(f->url, url, strlen(url)) == 0)
			fake_end(f, EXCHANGE_BROKEN);
}

/* ---- routes and exchanges ---- */

static const struct route_ops fake_route_ops;

static struct client_route *fake_route_new(struct client *c, const char *url,
					   const struct tls_pem *tls)
{
	struct client_route *r = calloc(1, sizeof(*r));

	(void)url;
	(void)tls;
	if (r != NULL)
		*r = (struct client_route){ .client = c, .ops = &fake_route_ops };
	return r;
}

static void fake_route_free(struct client_route *r)
{
	free(r);
}

static bool fake_open(struct exchange *x, const struct exchange_setup *s)
{
	struct client_fake *w = fake_of(x->client);
	struct fake_exchange *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return false;
	f->of = x;
	f->method = s->verb != NULL ? s->verb : s->get ? "GET" : "POST";
	f->timeout_ms = s->timeout_ms;
	f->silence_ms = s->silence_ms;
	for (size_t i = 0; i < s->header_count; i++)
		if (!headers_add(&f->headers, s->headers[i].name, s->headers[i].value)) {
			headers_free(&f->headers);
			free(f);
			return false;
		}
	f->next = w->all;
	w->all = f;
	x->state = f;
	return true;
}

static void fake_free(struct exchange *x)
{
	struct fake_exchange *f = x->state, **link = &fake_of(x->client)->all;

	while (*link != f)
		link = &(*link)->next;
	*link = f->next;
	headers_free(&f->headers);
	free(f->url);
	free(f);
}

static bool fake_url(struct exchange *x, const char *url)
{
	struct fake_exchange *f = x->state;

	free(f->url);
	f->url = strdup(url);
	return f->url != NULL;
}

static bool is_of_connecting(enum exchange_end how)
{
	return how == EXCHANGE_UNREACHABLE || how == EXCHANGE_CERTIFICATE || how == EXCHANGE_PROXY;
}

static void fake_ask(struct fake_exchange *f, const struct exchange_request *rq)
{
	struct client_fake *w = fake_of(f->of->client);
	const struct fake_request request = {
		.method = f->method,
		.url = f->url,
		.headers = f->headers.list,
		.header_count = f->headers.n,
		.body = rq->body,
		.fresh = rq->fresh,
		.look_up = rq->look_up,
		.hasty = rq->hasty,
		.header = rq->header,
		.at_ms = fake_ms(),
	};

	f->answer = (struct fake_answer){ .how = EXCHANGE_WHOLE };
	w->script(w->ctx, &request, &f->answer);
}

static bool fake_start(struct exchange *x, const struct exchange_request *rq)
{
	struct fake_exchange *f = x->state;
	uint64_t now = fake_ms();

	fake_ask(f, rq);
	const struct fake_answer *a = &f->answer;
	f->rest = slice_of(a->body != NULL ? a->body : "");
	f->due_ms = a->after_ms == FAKE_NEVER ? FAKE_NEVER : now + a->after_ms;
	f->connects = a->connect_ms > 0;
	if (f->connects)
		f->due_ms = now + a->connect_ms;
	f->dead_ms = rq->timeout_ms > 0  ? now + rq->timeout_ms
		     : f->timeout_ms > 0 ? now + f->timeout_ms
		     : f->silence_ms > 0 ? now + f->silence_ms
					 : FAKE_NEVER;
	f->has_head = is_of_connecting(a->how);
	f->paused = false;
	f->over = false;
	f->result.status = a->status > 0 ? a->status : a->how == EXCHANGE_WHOLE ? 200 : 0;
	if (is_of_connecting(a->how) || f->connects)
		return true;
	x->under_way = true; /* exchange_start() is about to say so */
	return exchange_goes_out(x);
}

static void fake_stop(struct exchange *x)
{
	(void)x;
}

static void fake_resume(struct exchange *x)
{
	struct fake_exchange *f = x->state;

	f->paused = false;
	while (fake_step(f))
		;
}

static struct slice fake_header(const struct exchange *x, const char *name)
{
	const struct fake_exchange *f = x->state;
	const struct header *h = header_find(f->answer.headers, ARRAY_LEN(f->answer.headers), name);

	return h != NULL && f->has_head ? h->value : (struct slice){ NULL, 0 };
}

static uint64_t fake_length(const struct exchange *x)
{
	const struct fake_exchange *f = x->state;

	return f->answer.body != NULL ? strlen(f->answer.body) : 0;
}

static const struct client_ops fake_ops = {
	.close = fake_close,
	.wait = fake_wait,
	.due = fake_due,
	.deliver = fake_deliver,
	.wake = fake_wake,
	.connections = fake_connections,
	.guard = fake_guard,
	.route_new = fake_route_new,
};

static const struct route_ops fake_route_ops = {
	.close = fake_route_free,
	.open = fake_open,
	.free = fake_free,
	.url = fake_url,
	.start = fake_start,
	.stop = fake_stop,
	.resume = fake_resume,
	.header = fake_header,
	.length = fake_length,
};

struct client *client_fake_open(fake_script script, void *ctx)
{
	struct client_fake *w = calloc(1, sizeof(*w));

	assert(w != NULL);
	w->base.ops = &fake_ops;
	w->script = script;
	w->ctx = ctx;
	w->until_ms = FAKE_NEVER;
	w->real = sys;
	clock_us = UINT64_C(1000) * 1000000;
	sys.monotonic_ms = fake_ms;
	sys.monotonic_us = fake_us;
	sys.now_s = fake_s;
	return &w->base;
}
