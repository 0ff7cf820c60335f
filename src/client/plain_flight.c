/* plain_flight.c: a request on its way: an address, a connection, bytes out and in, if it is
 * HTTP/1.1's; and what comes between. What happens to the connection or to the clock comes in here. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "client/plain_impl.h"

#define CONNECT_TIMEOUT_MS 10000u
#define HASTY_TIMEOUT_MS 1000u
#define HASTY_TLS_TIMEOUT_MS 3000u /* likewise, where that takes more round trips */
#define OUTLIVES_MS 100u           /* who waits for a connection beside others: who makes it */

/* Once something has gone out the other side may have seen it. */
static enum exchange_end unreached(const struct plain_exchange *x)
{
	return x->of->sent > 0 ? EXCHANGE_BROKEN : EXCHANGE_UNREACHABLE;
}

static void conn_ready(struct loop_watch *watch, uint32_t events);

/* ---- to a connection ---- */

/* The guard's words count before those of addresses that did not answer. */
static void exchange_not_connected(struct plain_exchange *x, int sys)
{
	enum exchange_end how = unreached(x);

	if (x->kept_off != NULL)
		exchange_end(x, how, "%s", x->kept_off);
	else
		exchange_end(x, how, "Failed to connect to %s port %u after %lu ms: %s",
			     x->host->name, x->host->port,
			     (unsigned long)(x->plain->loop->now_ms - x->start_ms),
			     strerrordesc_np(sys));
}

/* Tries the next address of its host: half of the time that is left is an address's, all of it the last
 * one's. `sys`: the errno of the one before; 0: there was none. */
static void exchange_connect(struct plain_exchange *x, int sys)
{
	const struct plain_host *h = x->host;
	client_guard_fn guard = x->plain->guard;
	uint64_t now = x->plain->loop->now_ms;

	while (x->address < h->addresses.n && now < x->connect_ms) {
		unsigned at = (h->well + x->address++) % h->addresses.n;
		bool last = x->address == h->addresses.n;
		const char *why = guard != NULL ? guard(&h->addresses.list[at].any) : NULL;
		if (why != NULL) {
			x->kept_off = why;
			continue;
		}
		if (conn_open(x, &h->addresses.list[at], conn_ready)) {
			uint64_t left_ms = x->connect_ms - now;
			x->address_ms = now + (last ? left_ms : (left_ms + 1) / 2);
			timer_set(x, exchange_due_ms(x));
			return;
		}
		sys = errno;
	}
	exchange_not_connected(x, sys);
}

static void exchange_unknown(struct plain_exchange *x, const char *why)
{
	exchange_end(x, unreached(x), "Could not resolve host: %s (%s)", x->host->name, why);
}

static uint64_t connect_by_ms(const struct plain_exchange *x)
{
	uint64_t hasty_ms = x->host->tls != NULL ? HASTY_TLS_TIMEOUT_MS : HASTY_TIMEOUT_MS;

	return x->plain->loop->now_ms + (x->rq.hasty ? hasty_ms : CONNECT_TIMEOUT_MS);
}

/* A connection of its own, to any of the host's addresses. */
static void exchange_go_new(struct plain_exchange *x)
{
	struct plain_host *h = x->host;

	x->address = 0;
	x->connect_ms = connect_by_ms(x);
	if (host_is_known(h) && (h->known || !x->rq.look_up)) {
		exchange_connect(x, 0);
	} else if (!host_look_up(h)) {
		exchange_unknown(x, "no thread for it can be started");
	} else {
		x->state = PLAIN_LOOKUP;
		exchange_put(&h->waiting, x);
		timer_set(x, exchange_due_ms(x));
	}
}

/* A connection of its own, or, where one may carry many requests, one at a time for all. */
static void exchange_go(struct plain_exchange *x)
{
	struct tls_way *w = x->host->tls;

	if (w == NULL || w->speaks == HTTP_1_1) {
		exchange_go_new(x);
	} else if (w->opener == NULL) {
		w->opener = x;
		exchange_go_new(x);
	} else {
		x->state = PLAIN_WAITING;
		if (x->connect_ms <= x->plain->loop->now_ms) /* and no more while it waits on */
			x->connect_ms = connect_by_ms(x) + (w->speaks == HTTP_2 ? OUTLIVES_MS : 0);
		exchange_put(&w->waiting, x);
		timer_set(x, exchange_due_ms(x));
	}
}

static void host_settle(struct plain_host *h, const char *why)
{
	struct plain_exchange *x;

	while ((x = h->waiting.first) != NULL) {
		exchange_take_out(x);
		if (why != NULL)
			exchange_unknown(x, why);
		else
			exchange_connect(x, 0);
	}
}

void flights_looked_up(struct plain *p)
{
	const char *why;

	for (struct plain_host *h = p->hosts; h != NULL; h = h->next)
		if (host_looked_up(h, &why))
			host_settle(h, why);
}

/* ---- out and in ---- */

/* Where a connection was kept, and nothing has come of an answer, the other side had closed it
 * before it saw the request, as far as anybody can tell (RFC 9112, 9.3.1). */
static void exchange_broken(struct plain_exchange *x, int sys)
{
	const struct exchange *of = x->of;
	unsigned long fault = x->conn->fault;
	bool dead = x->conn->kept && parse_untouched(&x->parse);
	const char *what = x->write_errno != 0 ? "Send failure" : "Recv failure";

	if (tls_fault_certificate(fault)) {
		exchange_end(x, EXCHANGE_CERTIFICATE, "%s: %s", what, tls_fault_words(fault));
		return;
	}
	if (dead && (of->sends_max == 0 || of->sent < of->sends_max)) {
		conn_close(x->conn);
		exchange_go_new(x);
		return;
	}
	if (x->write_errno != 0)
		sys = x->write_errno;
	enum exchange_end how = dead ? EXCHANGE_STALE : EXCHANGE_BROKEN;
	if (sys == 0)
		exchange_end(x, how, "Empty reply from server");
	else
		exchange_end(x, how, "%s: %s", what,
			     fault != 0 ? tls_fault_words(fault) : strerrordesc_np(sys));
}

/* False: nothing has come. */
static bool exchange_read_once(struct plain_exchange *x, bool again)
{
	ssize_t n = conn_read(x->conn, again);

	if (n > 0)
		answer_take(x, (struct slice){ x->plain->in, (size_t)n });
	else if (n == 0 && !parse_untouched(&x->parse))
		answer_closed(x);
	else if (n == 0)
		exchange_broken(x, 0);
	else if (errno != EAGAIN && errno != EINTR)
		exchange_broken(x, errno);
	return n > 0;
}

/* What has been read ahead, of which the loop tells nothing more. */
static void exchange_read_held(struct plain_exchange *x)
{
	struct plain_conn *c = x->conn;

	while (x->conn == c && !x->paused && tls_holds(c) && exchange_read_once(x, true))
		;
	if (x->conn == c && !x->paused)
		conn_watch(c); /* in the midst of TLS it wants something else */
}

static void exchange_read(struct plain_exchange *x)
{
	const struct plain_conn *c = x->conn;

	exchange_read_once(x, false);
	if (c->ssl != NULL && x->conn == c)
		exchange_read_held(x);
}

void flight_resume(struct plain_exchange *x)
{
	if (x->state != PLAIN_SENT)
		return;
	if (x->stream != 0) {
		stream_resume(x);
		return;
	}
	if (x->conn->ssl != NULL)
		exchange_read_held(x);
	if (x->conn != NULL)
		conn_watch(x->conn);
}

/* Where it cannot be written on, the other side may have answered before it closed. */
static void exchange_write(struct plain_exchange *x)
{
	if (!conn_write(x->conn) && !x->paused)
		exchange_read(x);
}

static void exchange_send(struct plain_exchange *x, struct plain_conn *c)
{
	if (c->h2 == NULL)
		c->x = x;
	x->conn = c;
	x->state = PLAIN_SENT;
	x->stream = 0;
	x->out_n = 0;
	x->write_errno = 0;
	x->heard_ms = x->plain->loop->now_ms;
	answer_begin(x);
	timer_set(x, exchange_due_ms(x));
	if (!exchange_goes_out(x->of))
		exchange_end(x, EXCHANGE_STALE, "the connection that had been kept was dead");
	else if (c->h2 != NULL)
		stream_send(x);
	else
		exchange_write(x);
}

static void conn_shake(struct plain_conn *c)
{
	struct plain_exchange *x = c->x;
	struct tls_way *w = c->host->tls;
	enum exchange_end how;
	char why[sizeof(x->said)];

	switch (tls_shake(c, &how, why, sizeof(why))) {
	case TLS_SHAKES:
		conn_watch(c);
		return;
	case TLS_REFUSED:
		exchange_end(x,
			     x->of->sent > 0 && how == EXCHANGE_UNREACHABLE ? EXCHANGE_BROKEN : how,
			     "%s", why);
		return;
	case TLS_SHAKEN:
		break;
	}
	c->number = ++x->plain->stood;
	w->speaks = tls_is_http2(c) ? HTTP_2 : HTTP_1_1;
	if (w->speaks == HTTP_2 && !streams_begin(c)) {
		exchange_end(x, unreached(x), "there is no memory for HTTP/2");
		return;
	}
	if (w->speaks == HTTP_1_1) /* of HTTP/2: when it says how many requests it takes */
		exchange_opens_no_more(x, false);
	exchange_send(x, c);
}

static void conn_secure(struct plain_conn *c)
{
	struct plain_exchange *x = c->x;

	if (!tls_begin(c)) {
		exchange_end(x, unreached(x), "there is no memory for TLS");
		return;
	}
	x->state = PLAIN_SHAKING;
	timer_set(x, exchange_due_ms(x));
	conn_shake(c);
}

static void conn_connected(struct plain_conn *c)
{
	struct plain_exchange *x = c->x;
	struct plain_host *h = c->host;
	int fault = conn_fault(c);

	if (fault != 0) {
		conn_close(c);
		exchange_connect(x, fault);
		return;
	}
	if (h->addresses.n > 0) /* those of a look-up since then may be others, or none */
		h->well = (h->well + x->address - 1) % h->addresses.n;
	if (h->tls == NULL)
		exchange_send(x, c);
	else
		conn_secure(c);
}

static void conn_ready(struct loop_watch *watch, uint32_t events)
{
	struct plain_conn *c = (struct plain_conn *)watch;
	struct plain_exchange *x = c->x;

	if (c->fd < 0)
		return;
	if (c->h2 != NULL) {
		streams_ready(c, events);
		return;
	}
	if (x == NULL) { /* it has ended, or says what nobody has asked */
		if (c->ssl == NULL || !tls_is_quiet(c))
			conn_close(c);
		return;
	}
	if (x->state == PLAIN_CONNECTING) {
		conn_connected(c);
		return;
	}
	if (x->state == PLAIN_SHAKING) {
		conn_shake(c);
		return;
	}
	if ((events & c->out_wants) != 0 && x->out_n < x->whole_n)
		exchange_write(x);
	if (c->fd < 0 || c->x != x)
		return;
	if (x->paused)
		conn_watch(c);
	else if ((events & (c->in_wants | ~(uint32_t)EPOLLOUT)) != 0)
		exchange_read(x);
}

/* ---- the beginning ---- */

static char *digits_write(char *to, size_t value)
{
	char digits[20]; /* of 2^64 - 1 */
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	return mempcpy(to, digits + at, sizeof(digits) - at);
}

/* The end of the head. */
static void tail_write(struct plain_exchange *x)
{
	char *to = x->tail;

	if (x->has_body)
		to = stpcpy(digits_write(stpcpy(to, "Content-Length: "), x->rq.body.n), "\r\n");
	to = stpcpy(to, "\r\n");
	x->tail_n = (size_t)(to - x->tail);
	x->own_n = x->rq.header != NULL ? strlen(x->rq.header) : 0;
	x->whole_n = x->line_n + (x->own_n > 0 ? x->own_n + 2 : 0) + x->headers_n + x->tail_n +
		     (x->has_body ? x->rq.body.n : 0);
}

void flight_begin(struct plain_exchange *x)
{
	const struct tls_way *w = x->host->tls;
	uint64_t now = x->plain->loop->now_ms;
	uint64_t timeout_ms = x->rq.timeout_ms > 0 ? x->rq.timeout_ms : x->timeout_ms;

	x->start_ms = now;
	x->end_ms = timeout_ms > 0 ? now + timeout_ms : UINT64_MAX;
	x->kept_off = NULL;
	x->born = x->plain->stood;
	x->connect_ms = 0;
	tail_write(x);
	if (x->line == NULL) {
		exchange_end(x, EXCHANGE_UNREACHABLE, "the URL is malformed");
		return;
	}
	if (w != NULL && w->fault[0] != '\0') {
		exchange_end(x, EXCHANGE_CERTIFICATE, "%s", w->fault);
		return;
	}
	struct plain_conn *c = conn_take(x);
	if (c != NULL)
		exchange_send(x, c);
	else
		exchange_go(x);
}

/* Where the connection that was waited for has not come to stand, nobody waits for the next. */
void flight_go_on(struct plain_exchange *x)
{
	const struct tls_way *w = x->host->tls;
	struct plain_conn *c = conn_take(x);

	if (c != NULL)
		exchange_send(x, c);
	else if (w->speaks == HTTP_2)
		exchange_go(x);
	else
		exchange_go_new(x);
}

/* ---- late ---- */

static void late_in_all(struct plain_exchange *x)
{
	unsigned long after = (unsigned long)(x->plain->loop->now_ms - x->start_ms);
	const struct plain_conn *c = x->conn;

	if (c != NULL && c->h2 != NULL && c->h2->reads == x->reads)
		c->h2->leaves = true; /* it may be dead */
	if (x->of->sent > 0)
		exchange_end(x, EXCHANGE_TIMEOUT,
			     "Operation timed out after %lu milliseconds with %llu bytes received",
			     after, (unsigned long long)x->body_bytes);
	else
		exchange_end(x, EXCHANGE_UNREACHABLE, "Connection timed out after %lu milliseconds",
			     after);
}

static void exchange_late(struct plain_exchange *x)
{
	uint64_t now = x->plain->loop->now_ms;

	if (now >= x->end_ms || x->state == PLAIN_SENT) {
		late_in_all(x);
	} else if (x->state == PLAIN_LOOKUP) {
		exchange_end(x, unreached(x), "Resolving timed out after %lu milliseconds",
			     (unsigned long)(now - x->start_ms));
	} else if (x->state == PLAIN_WAITING || x->state == PLAIN_SHAKING) {
		exchange_end(x, unreached(x), "Connection timed out after %lu milliseconds%s",
			     (unsigned long)(now - x->start_ms),
			     x->state == PLAIN_SHAKING ? ", in the TLS handshake" : "");
	} else {
		conn_close(x->conn);
		exchange_connect(x, ETIMEDOUT);
	}
}

void flights_late(struct plain *p)
{
	struct plain_exchange *x;

	while ((x = timers_next(p)) != NULL) {
		if (exchange_due_ms(x) <= p->loop->now_ms)
			exchange_late(x);
		timer_set(x, exchange_due_ms(x));
	}
}
