/* client.c: from the calls of client.h to the implementation's, and what all implementations have
 * alike: when an exchange is under way, and how often its request has gone out. */
#include "client/client.h"

#include <assert.h>

void client_close(struct client *c)
{
	if (c != NULL)
		c->ops->close(c);
}

void client_wait(struct client *c, int timeout_ms, bool *ret_woken)
{
	c->ops->wait(c, timeout_ms, ret_woken);
}

void client_due(struct client *c)
{
	c->ops->due(c);
}

void client_deliver(struct client *c)
{
	c->ops->deliver(c);
}

void client_wake(struct client *c)
{
	c->ops->wake(c);
}

bool client_guest(struct client *c, const struct client_guest *guest)
{
	return c->ops->guest(c, guest);
}

void client_connections(struct client *c, unsigned most)
{
	c->ops->connections(c, most);
}

void client_guard(struct client *c, client_guard_fn guard)
{
	c->ops->guard(c, guard);
}

struct client_route *client_route_new(struct client *c, const char *url, const struct tls_pem *tls)
{
	return c->ops->route_new(c, url, tls);
}

void client_route_free(struct client_route *r)
{
	if (r != NULL)
		r->ops->close(r);
}

bool exchange_open(struct exchange *x, const struct exchange_setup *s)
{
	assert(x->client == NULL && s->ops->body != NULL && s->ops->done != NULL);
	*x = (struct exchange){
		.client = s->route->client,
		.route = s->route->ops,
		.ops = s->ops,
		.sends_max = s->sends_max,
	};
	if (x->route->open(x, s))
		return true;
	*x = (struct exchange){ 0 };
	return false;
}

void exchange_close(struct exchange *x)
{
	if (x->client == NULL)
		return;
	if (x->under_way)
		exchange_stop(x);
	x->route->free(x);
	*x = (struct exchange){ 0 };
}

bool exchange_is_open(const struct exchange *x)
{
	return x->client != NULL;
}

bool exchange_url(struct exchange *x, const char *url)
{
	assert(!x->under_way);
	return x->route->url(x, url);
}

bool exchange_start(struct exchange *x, const struct exchange_request *rq)
{
	assert(!x->under_way);
	x->sent = 0;
	x->under_way = x->route->start(x, rq);
	return x->under_way;
}

void exchange_stop(struct exchange *x)
{
	assert(x->under_way);
	x->route->stop(x);
	x->under_way = false;
}

void exchange_resume(struct exchange *x)
{
	assert(x->under_way);
	x->route->resume(x);
}

struct slice exchange_header(const struct exchange *x, const char *name)
{
	return x->route->header(x, name);
}

uint64_t exchange_length(const struct exchange *x)
{
	return x->route->length(x);
}

/* ---- for implementations ---- */

bool exchange_goes_out(struct exchange *x)
{
	assert(x->under_way);
	if ((x->sends_max > 0 && x->sent == x->sends_max) ||
	    (x->ops->may_go != NULL && !x->ops->may_go(x)))
		return false;
	x->sent++;
	if (x->ops->sent != NULL)
		x->ops->sent(x);
	return true;
}

void exchange_over(struct exchange *x, const struct exchange_result *r)
{
	assert(x->under_way);
	x->under_way = false;
	x->ops->done(x, r);
}
