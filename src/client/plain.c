/* plain.c: the turn of the loop. */
#include "client/plain.h"

#include <stdlib.h>
#include <string.h>

#include "client/plain_impl.h"

#define IDLE_MOST 64u /* until it is told */

struct plain *plain_open(struct loop *loop, struct trust *trust)
{
	struct plain *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->loop = loop;
	p->trust = trust;
	p->idle.most = IDLE_MOST;
	p->in = malloc(PLAIN_IN_BYTES);
	p->record = malloc(PLAIN_RECORD_BYTES);
	if (p->in != NULL && p->record != NULL)
		return p;
	plain_close(p);
	return NULL;
}

void plain_close(struct plain *p)
{
	if (p == NULL)
		return;
	streams_flush(p);
	conns_trim(p, 0);
	conns_bury(p);
	free(p->timers.list);
	free(p->fields);
	free(p->in);
	free(p->record);
	free(p);
}

void plain_run(struct plain *p)
{
	struct plain_exchange *x;

	if (p == NULL)
		return;
	loop_look(p->loop);
	conns_bury(p);
	conns_trim(p, p->idle.most);
	while ((x = p->started.first) != NULL) {
		exchange_take_out(x);
		flight_begin(x);
	}
	while ((x = p->released.first) != NULL) {
		exchange_take_out(x);
		flight_go_on(x);
	}
	flights_late(p);
	streams_flush(p);
}

uint64_t plain_due_ms(const struct plain *p)
{
	if (p == NULL)
		return UINT64_MAX;
	if (p->started.first != NULL || p->released.first != NULL || p->ended.first != NULL ||
	    p->touched != NULL)
		return 0;
	uint64_t timer_ms = timers_due_ms(p);
	uint64_t idle_ms = p->idle.oldest != NULL ? p->idle.oldest->idle_ms + IDLE_MAX_MS
						  : UINT64_MAX;
	return timer_ms < idle_ms ? timer_ms : idle_ms;
}

void plain_looked_up(struct plain *p)
{
	if (p != NULL)
		flights_looked_up(p);
}

void plain_deliver(struct plain *p)
{
	struct plain_exchange *x;

	while (p != NULL && (x = p->ended.first) != NULL) {
		struct exchange_result r = x->result;
		exchange_take_out(x);
		x->state = PLAIN_IDLE;
		exchange_over(x->of, &r);
	}
}

void plain_connections(struct plain *p, unsigned most)
{
	if (p != NULL)
		p->idle.most = most;
}

void plain_guard(struct plain *p, client_guard_fn guard)
{
	if (p != NULL)
		p->guard = guard;
}

/* ---- routes ---- */

/* libcurl makes "/v1" of "/x/../v1". */
bool plain_takes(const char *url)
{
	struct plain_url cut;

	return plain_url_read(url, &cut) &&
	       (cut.target.n == 0 || memmem(cut.target.p, cut.target.n, "/.", 2) == NULL);
}

struct client_route *plain_route_new(struct plain *p, const char *url, const struct tls_pem *tls)
{
	struct plain_route *r = calloc(1, sizeof(*r));
	struct plain_url cut;

	if (r == NULL || !plain_url_read(url, &cut) ||
	    (r->host = host_take(p, &cut, tls)) == NULL) {
		free(r);
		return NULL;
	}
	return &r->base;
}

static void plain_route_free(struct client_route *base)
{
	struct plain_route *r = (struct plain_route *)base;

	host_give(r->host);
	free(r);
}

const struct route_ops plain_route_ops = {
	.close = plain_route_free,
	.open = plain_exchange_open,
	.free = plain_exchange_free,
	.url = plain_exchange_url,
	.start = plain_exchange_start,
	.stop = plain_exchange_stop,
	.resume = plain_exchange_resume,
	.header = plain_exchange_header,
	.length = plain_exchange_length,
};
