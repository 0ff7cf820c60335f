/* network.c: the program's client: one loop for both kinds of routes, lowtide's own and libcurl's. */
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/sys.h"
#include "client/curl_impl.h"
#include "client/plain.h"
#include "client/proxy.h"

struct network_client {
	struct curl_client curl; /* first: its `base` is the client */
	struct plain *plain;     /* NULL: libcurl speaks to all */
	struct loop loop;
	struct trust trust;
	struct client_guest guest; /* turn NULL: there is none */
	struct loop_watch guest_watch;
	bool guest_ready;
};

static struct network_client *network_of(struct client *c)
{
	return (struct network_client *)c;
}

static void network_close(struct client *c)
{
	struct network_client *n = network_of(c);

	plain_close(n->plain);
	curl_client_close(&n->curl);
	trust_done(&n->trust);
	loop_close(&n->loop);
	free(n);
}

/* ---- the guest ---- */

static void on_guest(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	container_of(watch, struct network_client, guest_watch)->guest_ready = true;
}

static bool network_guest(struct client *c, const struct client_guest *guest)
{
	struct network_client *n = network_of(c);

	if (n->guest.turn != NULL)
		(void)loop_watch(&n->loop, n->guest.fd, EPOLLIN, 0, NULL);
	n->guest_ready = false;
	n->guest_watch.ready = on_guest;
	n->guest = (struct client_guest){ 0 };
	if (guest == NULL)
		return true;
	if (!loop_watch(&n->loop, guest->fd, 0, EPOLLIN, &n->guest_watch))
		return false;
	n->guest = *guest;
	return true;
}

static uint64_t guest_due_ms(const struct network_client *n)
{
	return n->guest.turn != NULL ? n->guest.due_ms(n->guest.ctx) : UINT64_MAX;
}

/* By now answers that have come are in what it sends. */
static void guest_run(struct network_client *n)
{
	if (!n->guest_ready && guest_due_ms(n) > sys.monotonic_ms())
		return;
	n->guest_ready = false;
	if (n->guest.turn != NULL)
		n->guest.turn(n->guest.ctx);
}

/* ---- the turn ---- */

/* How long to wait where the caller wants no longer than `timeout_ms`; -1: for ever. */
static int shorter(const struct network_client *n, int timeout_ms)
{
	const uint64_t due_ms[] = { curl_loop_due_ms(&n->curl), plain_due_ms(n->plain),
				    guest_due_ms(n) };
	uint64_t first_ms = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_LEN(due_ms); i++)
		first_ms = due_ms[i] < first_ms ? due_ms[i] : first_ms;
	int left_ms = clock_wait_ms(first_ms, sys.monotonic_ms());

	if (left_ms < 0 || (timeout_ms >= 0 && timeout_ms < left_ms))
		return timeout_ms;
	return left_ms;
}

static void network_due(struct client *c)
{
	struct network_client *n = network_of(c);

	curl_loop_due(&n->curl);
	plain_run(n->plain);
}

static void network_wait(struct client *c, int timeout_ms, bool *ret_woken)
{
	struct network_client *n = network_of(c);

	curl_loop_resume(&n->curl);
	struct loop_woken woken = loop_wait(&n->loop, shorter(n, timeout_ms));
	*ret_woken = woken.woken;
	if (woken.told)
		plain_looked_up(n->plain);
	network_due(c);
	guest_run(n);
}

static void network_deliver(struct client *c)
{
	struct network_client *n = network_of(c);

	curl_client_deliver(&n->curl);
	plain_deliver(n->plain);
}

static void network_wake(struct client *c)
{
	loop_wake(&network_of(c)->loop);
}

static void network_connections(struct client *c, unsigned most)
{
	curl_client_connections(&network_of(c)->curl, most);
	plain_connections(network_of(c)->plain, most);
}

static void network_guard(struct client *c, client_guard_fn guard)
{
	network_of(c)->curl.guard = guard;
	plain_guard(network_of(c)->plain, guard);
}

/* A guarded client uses no proxy (client.h). */
static bool is_own(const struct network_client *n, const char *url)
{
	return n->plain != NULL && (n->curl.guard != NULL || proxy_of(url) == NULL) &&
	       plain_takes(url);
}

/* NULL stays NULL. */
static struct client_route *route_of(struct client *c, struct client_route *r,
				     const struct route_ops *ops)
{
	if (r != NULL) {
		r->client = c;
		r->ops = ops;
	}
	return r;
}

static struct client_route *network_route_new(struct client *c, const char *url,
					      const struct tls_pem *tls)
{
	struct network_client *n = network_of(c);

	if (is_own(n, url))
		return route_of(c, plain_route_new(n->plain, url, tls), &plain_route_ops);
	return route_of(c, curl_route_new(c, url, tls), &curl_route_ops);
}

static const struct client_ops network_ops = {
	.close = network_close,
	.wait = network_wait,
	.due = network_due,
	.deliver = network_deliver,
	.wake = network_wake,
	.connections = network_connections,
	.guard = network_guard,
	.guest = network_guest,
	.route_new = network_route_new,
};

static bool network_open(struct network_client *n, bool plain, struct error *err)
{
	n->curl.base.ops = &network_ops;
	/* OpenSSL writes to connections that are gone; libcurl, which may use no signals here
	 * (CURLOPT_NOSIGNAL), leaves that to us. */
	signal(SIGPIPE, SIG_IGN);
	if (!loop_open(&n->loop, err))
		return false;
	if (plain)
		n->plain = plain_open(&n->loop, &n->trust);
	bool ok = !plain || n->plain != NULL || fail_memory(err);
	if (ok && curl_client_open(&n->curl, &n->loop, &n->trust, err))
		return true;
	plain_close(n->plain);
	loop_close(&n->loop);
	return false;
}

static bool open_client(bool plain, struct client **ret, struct error *err)
{
	struct network_client *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return fail_memory(err);
	if (!network_open(n, plain, err)) {
		free(n);
		return false;
	}
	*ret = &n->curl.base;
	return true;
}

bool client_open(struct client **ret, struct error *err)
{
	return open_client(true, ret, err);
}

bool client_open_libcurl(struct client **ret, struct error *err)
{
	return open_client(false, ret, err);
}
