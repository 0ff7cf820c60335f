/* online.c: clients' own requests on their way to an upstream and back, as they are (contract 13).
 *
 * They wait for nothing but `max_concurrency`; batch lines see them in limit/limit.h and make room.
 * A request that could not be sent at all is tried on every other upstream that serves its model;
 * one that was sent is the client's to repeat. (But for what every HTTP client does: where a
 * connection that was kept alive turns out to have been closed, the request is sent again on a new
 * one.) */
#include "dispatch/online.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/lane.h"
#include "dispatch/learn.h"
#include "dispatch/online_impl.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"
#include "dispatch/transfer.h"

#define ERROR_BODY_MAX 4096u

enum { ONLINE_ASK_START = 1, ONLINE_ASK_MORE = 2, ONLINE_ASK_RELEASE = 4 };

/* One attempt on one upstream. */
struct online_call {
	struct transfer transfer;
	struct online *online;
	uint64_t sent_us;
	unsigned units;        /* of its body, see weight.h */
	bool is_error;         /* its status is no 2xx */
	bool begins;           /* it is streamed, and nothing of its body came yet */
	struct buf error_body; /* the beginning of an answer that is an error */
};

/* ---- how far it is ---- */

static void online_link(struct dispatch *d, struct online *o)
{
	o->prev = NULL;
	o->next = d->online;
	if (o->next != NULL)
		o->next->prev = o;
	d->online = o;
	d->online_count++;
}

static void online_unlink(struct dispatch *d, struct online *o)
{
	assert(d->online_count > 0 && (o->prev == NULL ? d->online : o->prev->next) == o);
	if (o->prev != NULL)
		o->prev->next = o->next;
	else
		d->online = o->next;
	if (o->next != NULL)
		o->next->prev = o->prev;
	d->online_count--;
}

/* Whether it is in the list. */
static bool relay_is_listed(enum relay_state s)
{
	return s != RELAY_NEW && s != RELAY_ENDED;
}

/* The one door: the list, and the count of those that wait, follow the state. */
static void relay_move(struct dispatch *d, struct online *o, enum relay_state to)
{
	static const unsigned edges[] = {
		[RELAY_NEW] = 1u << RELAY_WAITS | 1u << RELAY_SENT | 1u << RELAY_ENDED,
		[RELAY_WAITS] = 1u << RELAY_SENT | 1u << RELAY_ENDED,
		/* again: it was not sent after all, and another upstream may take it */
		[RELAY_SENT] = 1u << RELAY_SENT | 1u << RELAY_WAITS | 1u << RELAY_ANSWERED |
			       1u << RELAY_ENDED,
		[RELAY_ANSWERED] = 1u << RELAY_ENDED,
		[RELAY_ENDED] = 0,
	};
	enum relay_state from = o->state;

	assert(on_dispatch_thread() && (edges[from] >> to & 1) != 0);
	o->state = to;
	if (!relay_is_listed(from) && relay_is_listed(to))
		online_link(d, o);
	if (relay_is_listed(from) && !relay_is_listed(to))
		online_unlink(d, o);
	assert(from != RELAY_WAITS || d->online_waiting > 0);
	d->online_waiting += (unsigned)(to == RELAY_WAITS) - (unsigned)(from == RELAY_WAITS);
}

static void online_end(struct dispatch *d, struct online *o, enum online_end how)
{
	relay_move(d, o, RELAY_ENDED);
	o->ops->end(o->ctx, how);
}

/* ---- the answer ---- */

static struct online_call *call_of(struct exchange *x)
{
	return container_of(transfer_of(x), struct online_call, transfer);
}

static struct lane *call_lane(const struct online_call *call)
{
	char name[256];

	(void)slice_copy(call->online->model, name, sizeof(name));
	const struct model *m = model_find(call->transfer.dispatch->models, name);
	return m != NULL ? lane_find(m, call->transfer.upstream) : NULL;
}

static bool is_stream(struct slice type)
{
	static const char stream[] = "text/event-stream";

	return type.n >= sizeof(stream) - 1 && strncasecmp(type.p, stream, sizeof(stream) - 1) == 0;
}

/* An answer that is streamed begins. */
static void call_began(struct online_call *call)
{
	const struct lane *lane = call_lane(call);

	call->begins = false;
	if (lane != NULL)
		limit_online_first(lane->limit, call->sent_us, sys.monotonic_us());
}

static void call_head(struct exchange *x, const struct exchange_head *h)
{
	struct online_call *call = call_of(x);

	const struct header *type = header_find(h->headers, h->header_count, "Content-Type");

	call->is_error = h->status >= 300;
	call->begins = !call->is_error && type != NULL && is_stream(type->value);
	relay_move(call->transfer.dispatch, call->online, RELAY_ANSWERED);
	call->online->ops->head(call->online->ctx, h);
}

static enum exchange_taken call_body(struct exchange *x, struct slice piece)
{
	struct online_call *call = call_of(x);
	size_t room = ERROR_BODY_MAX - call->error_body.n;

	if (call->begins && piece.n > 0)
		call_began(call);
	if (!call->online->ops->body(call->online->ctx, piece))
		return EXCHANGE_PAUSED;
	if (call->is_error && room > 0)
		buf_append(&call->error_body, piece.p, piece.n < room ? piece.n : room);
	return EXCHANGE_TAKEN;
}

/* ---- sending ---- */

static void call_done(struct exchange *x, const struct exchange_result *r);
static const struct exchange_ops call_ops = {
	.head = call_head,
	.body = call_body,
	.done = call_done,
};

/* Its headers are the client's, and the upstream's key. */
static bool call_open(struct online_call *call)
{
	const struct online *o = call->online;
	const struct upstream *u = call->transfer.upstream;
	size_t n = o->headers.n;

	AUTO(auto_free) struct header *headers = calloc(n + 1, sizeof(*headers));
	const struct header *key = header_find(target_of(u)->headers.list, target_of(u)->headers.n,
					       "Authorization");

	if (headers == NULL)
		return false;
	if (n > 0)
		memcpy(headers, o->headers.list, n * sizeof(*headers));
	if (key != NULL)
		headers[n++] = *key;
	return exchange_open(&call->transfer.exchange,
			     &(struct exchange_setup){
				     .route = call->transfer.route,
				     .ops = &call_ops,
				     .headers = headers,
				     .header_count = n,
				     .get = o->get,
				     .silence_ms = call->transfer.dispatch->config.line_timeout_ms,
			     });
}

static bool call_send(struct online_call *call)
{
	AUTO(buf_free) struct buf url = BUF(16384);
	const struct upstream *u = call->transfer.upstream;
	const struct exchange_request rq = {
		.body = call->online->body,
		.look_up = u->circuit.breaker.state == BREAKER_DOWN,
	};

	return call_open(call) && transfer_url(&call->transfer, call->online->endpoint, &url) &&
	       exchange_url(&call->transfer.exchange, url.p) &&
	       exchange_start(&call->transfer.exchange, &rq);
}

static void call_free(struct online_call *call)
{
	exchange_close(&call->transfer.exchange);
	buf_free(&call->error_body);
	free(call);
}

static struct online_call *call_start(struct dispatch *d, struct online *o, struct upstream *u)
{
	struct online_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->transfer =
		(struct transfer){ .dispatch = d, .upstream = u, .route = target_of(u)->route };
	call->online = o;
	call->error_body = BUF(ERROR_BODY_MAX);
	if (!call_send(call)) {
		call_free(call);
		return NULL;
	}
	call->sent_us = sys.monotonic_us();
	upstream_online_sent(u, o->body.n / 4, call->sent_us / 1000);
	call->units = o->units > 0 ? o->units : 1;
	lanes_online(u, +1, call->units);
	return call;
}

/* Takes the call off the request. One that has not ended has its connection closed: the upstream
 * sees that nothing waits for it. */
static void call_drop(struct online *o)
{
	call_free(TAKE(o->call));
}

/* Lets go of one that has not ended. */
static void call_stop(struct online *o)
{
	struct upstream *u = o->call->transfer.upstream;

	throttle_gone(&u->throttle, o->call->sent_us / 1000);
	lanes_online(u, -1, o->call->units);
	call_drop(o);
}

static bool answers(const struct model *m, const struct upstream *u)
{
	const struct lane *lane = m != NULL ? lane_find(m, u) : NULL;

	return !circuit_is_open(&u->circuit) && (lane == NULL || !circuit_is_open(&lane->circuit));
}

/* Where it goes: what is up before what is down, then the least load for the weight. *ret_any: some
 * upstream serves it, whether it has room or not. */
static struct upstream *online_upstream(const struct dispatch *d, const struct online *o,
					const char *model, bool *ret_any)
{
	struct upstream *best = NULL;
	double best_share = 0;
	const struct model *m = model_find(d->models, model);

	*ret_any = false;
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		if (u->config.drain || (o->tried >> u->number & 1) != 0 ||
		    !upstream_serves(d->upstreams, u, model))
			continue;
		*ret_any = true;
		if (slots_in_flight(&u->slots) >= u->config.max_concurrency)
			continue;
		double share = (u->slots.online + 1.0) / u->config.weight +
			       (answers(m, u) ? 0 : 1e6);
		if (best == NULL || share < best_share) {
			best = u;
			best_share = share;
		}
	}
	return best;
}

/* Sends it if there is room for it; false: it waits. */
static bool online_send(struct dispatch *d, struct online *o)
{
	char model[256];
	bool any;

	(void)slice_copy(o->model, model, sizeof(model)); /* too long for a model: none is named */
	struct upstream *u = online_upstream(d, o, model, &any);
	if (!any) {
		online_end(d, o, o->tried != 0 ? ONLINE_UNREACHABLE : ONLINE_NO_UPSTREAM);
		return true;
	}
	if (u == NULL)
		return false;
	o->call = call_start(d, o, u);
	if (o->call != NULL)
		relay_move(d, o, RELAY_SENT);
	else
		online_end(d, o, ONLINE_BROKEN);
	return true;
}

static void online_try(struct dispatch *d, struct online *o)
{
	unsigned most = d->config.online_waiting_max;

	if (online_send(d, o))
		return;
	if (most > 0 && d->online_waiting >= most)
		online_end(d, o, ONLINE_BUSY);
	else
		relay_move(d, o, RELAY_WAITS);
}

bool online_fill(struct dispatch *d)
{
	bool sent = false;

	assert(on_dispatch_thread());
	if (d->online_waiting == 0)
		return false;
	/* The list has the newest first; those that wait are few, and the oldest goes first. */
	struct online *last = d->online;
	while (last != NULL && last->next != NULL)
		last = last->next;
	for (struct online *o = last, *before; o != NULL; o = before) {
		before = o->prev;
		sent = (o->state == RELAY_WAITS && online_send(d, o)) || sent;
	}
	return sent;
}

/* ---- the end ---- */

/* The same table as for lines; the body of a 2xx, which streams through, is not read. */
static void online_learn(struct online_call *call, const struct attempt_end *end)
{
	struct upstream *u = call->transfer.upstream;
	struct lane *lane = call_lane(call);
	unsigned in_flight = lane != NULL ? lane->slots.sent : 0;
	enum blame blame =
		upstream_judge(u, lane != NULL ? &lane->circuit : NULL, in_flight, end).blame;
	/* A path that clients take and the upstream has not says nothing of the lines' own. */
	attempt_learn(
		u, blame == BLAME_PATH ? NULL : lane,
		&(struct lesson){
			.end = end, .blame = blame, .in_flight = in_flight, .now_s = sys.now_s() });
}

static enum online_end online_end_of(const struct online *o, enum exchange_end how)
{
	switch (how) {
	case EXCHANGE_WHOLE:
		return o->state == RELAY_ANSWERED ? ONLINE_WHOLE : ONLINE_BROKEN;
	case EXCHANGE_MALFORMED:
		return ONLINE_MALFORMED;
	case EXCHANGE_TIMEOUT:
		return ONLINE_TIMEOUT;
	default:
		return ONLINE_BROKEN;
	}
}

/* What the log has of an end that is no answer. */
static void call_log(const struct online_call *call, const struct exchange_result *r)
{
	const char *name = call->transfer.upstream->config.name;

	if (r->how == EXCHANGE_MALFORMED)
		log_warn("online.malformed_answer", kv_str("upstream", name),
			 kv_str("why", r->said));
	if (r->how != EXCHANGE_WHOLE)
		log_debug("online.broken", kv_str("upstream", name), kv_str("cause", r->said));
}

static void call_done(struct exchange *x, const struct exchange_result *r)
{
	struct online_call *call = call_of(x);
	struct dispatch *d = call->transfer.dispatch;
	struct online *o = call->online;
	struct upstream *u = call->transfer.upstream;
	bool sent = x->sent > 0;
	struct attempt_end end;

	transfer_end(&call->transfer, r, &end);
	end.sent_us = call->sent_us;
	end.body = buf_slice(&call->error_body);
	lanes_online(u, -1, call->units);
	online_learn(call, &end);
	call_log(call, r);
	enum exchange_end how = r->how;
	call_drop(o);
	if (!sent && o->state == RELAY_SENT) {
		o->tried |= UINT64_C(1) << u->number;
		online_try(d, o);
		return;
	}
	online_end(d, o, online_end_of(o, how));
}

void online_end_all(struct dispatch *d)
{
	assert(on_dispatch_thread());
	while (d->online != NULL) {
		struct online *o = d->online;
		if (o->call != NULL)
			call_stop(o);
		online_end(d, o, ONLINE_CLOSING);
	}
}

/* ---- what the API asks ---- */

static void online_mail(struct dispatch *d, struct mail *m, unsigned asked)
{
	struct online *o = container_of(m, struct online, mail);

	if ((asked & ONLINE_ASK_START) != 0 && (asked & ONLINE_ASK_RELEASE) == 0) {
		if (d->online_closed)
			online_end(d, o, ONLINE_CLOSING);
		else
			online_try(d, o);
	}
	if ((asked & ONLINE_ASK_MORE) != 0 && o->call != NULL)
		exchange_resume(&o->call->transfer.exchange);
	if ((asked & ONLINE_ASK_RELEASE) == 0)
		return;
	if (o->call != NULL)
		call_stop(o);
	if (o->state != RELAY_ENDED)
		relay_move(d, o, RELAY_ENDED);
	o->ops->released(o->ctx);
}

void dispatch_online(struct dispatch *d, struct online *o)
{
	mail_post(&d->mailbox, &o->mail, online_mail, ONLINE_ASK_START);
}

void dispatch_online_more(struct dispatch *d, struct online *o)
{
	mail_post(&d->mailbox, &o->mail, online_mail, ONLINE_ASK_MORE);
}

void dispatch_online_release(struct dispatch *d, struct online *o)
{
	mail_post(&d->mailbox, &o->mail, online_mail, ONLINE_ASK_RELEASE);
}
