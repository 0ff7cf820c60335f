/* plain_conn.c: nonblocking sockets. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/plain_impl.h"

#define PIECES 6        /* of a request */
#define PROBE_IDLE_S 60 /* of TCP's keep-alive, as libcurl has it */

/* ---- made ---- */

static socklen_t address_bytes(const union address *a)
{
	return a->any.sa_family == AF_INET6 ? sizeof(a->ipv6) : sizeof(a->ipv4);
}

static void option_set(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value)); /* it goes without */
}

/* A socket that is connecting; -1: errno. */
static int socket_connect(const union address *a)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	option_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	option_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_IDLE_S);
	option_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_IDLE_S);
	if (connect(fd, &a->any, address_bytes(a)) == 0 || errno == EINPROGRESS)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

bool conn_open(struct plain_exchange *x, const union address *a,
	       void (*ready)(struct loop_watch *watch, uint32_t events))
{
	struct plain_conn *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		errno = ENOMEM;
		return false;
	}
	c->watch.ready = ready;
	c->in_wants = EPOLLIN;
	c->out_wants = EPOLLOUT;
	c->host = x->host;
	c->host->users++;
	c->fd = socket_connect(a);
	if (c->fd < 0) {
		int saved = errno;
		host_give(c->host);
		free(c);
		errno = saved;
		return false;
	}
	c->x = x;
	x->conn = c;
	x->state = PLAIN_CONNECTING;
	conn_watch(c);
	return true;
}

int conn_fault(const struct plain_conn *c)
{
	int fault = 0;
	socklen_t size = sizeof(fault);

	return getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &fault, &size) == 0 ? fault : errno;
}

/* ---- waited for ---- */

static uint32_t conn_wants(const struct plain_conn *c)
{
	const struct plain_exchange *x = c->x;

	if (c->h2 != NULL)
		return c->in_wants | (c->h2->out.n > 0 ? c->out_wants : 0);
	if (x == NULL)
		return EPOLLIN;
	if (x->state == PLAIN_CONNECTING)
		return EPOLLOUT;
	if (x->state == PLAIN_SHAKING)
		return c->in_wants;
	bool writes = x->out_n < x->whole_n && x->write_errno == 0;
	return (x->paused ? 0 : c->in_wants) | (writes ? c->out_wants : 0);
}

void conn_watch(struct plain_conn *c)
{
	uint32_t wanted = conn_wants(c);
	const struct loop *loop = c->host->plain->loop;

	if (wanted == c->events)
		return;
	c->events = loop_watch(loop, c->fd, c->events, wanted, &c->watch) ? wanted : 0;
}

/* ---- written ---- */

static size_t pieces_of(const struct plain_exchange *x, struct iovec to[static PIECES])
{
	size_t n = 0;

	to[n++] = (struct iovec){ x->line, x->line_n };
	if (x->own_n > 0) {
		to[n++] = (struct iovec){ (char *)x->rq.header, x->own_n };
		to[n++] = (struct iovec){ (char *)"\r\n", 2 };
	}
	if (x->headers_n > 0)
		to[n++] = (struct iovec){ (char *)x->headers, x->headers_n };
	to[n++] = (struct iovec){ (char *)x->tail, x->tail_n };
	if (x->has_body && x->rq.body.n > 0)
		to[n++] = (struct iovec){ (char *)x->rq.body.p, x->rq.body.n };
	return n;
}

/* What of them has not gone out. */
static struct iovec *pieces_left(struct iovec *pieces, size_t *n, size_t gone)
{
	while (*n > 0 && gone >= pieces->iov_len) {
		gone -= pieces->iov_len;
		pieces++;
		(*n)--;
	}
	if (*n > 0) {
		pieces->iov_base = (char *)pieces->iov_base + gone;
		pieces->iov_len -= gone;
	}
	return pieces;
}

/* As much of them as a record takes: that is one write(), too. */
static ssize_t record_send(struct plain_conn *c, const struct iovec *pieces, size_t count)
{
	char *record = c->x->plain->record;
	size_t n = 0;

	for (size_t i = 0; i < count && n < PLAIN_RECORD_BYTES; i++) {
		size_t room = PLAIN_RECORD_BYTES - n;
		size_t most = pieces[i].iov_len < room ? pieces[i].iov_len : room;
		memcpy(record + n, pieces[i].iov_base, most);
		n += most;
	}
	return tls_write(c, record, n);
}

static ssize_t request_send(struct plain_conn *c)
{
	struct iovec pieces[PIECES];
	size_t n = pieces_of(c->x, pieces);
	struct iovec *left = pieces_left(pieces, &n, c->x->out_n);
	const struct msghdr m = { .msg_iov = left, .msg_iovlen = n };

	return c->ssl != NULL ? record_send(c, left, n) : sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

/* False: it cannot be sent on now. */
static bool request_send_on(struct plain_conn *c)
{
	struct plain_exchange *x = c->x;
	ssize_t n = request_send(c);

	if (n >= 0) {
		x->out_n += (size_t)n;
		x->heard_ms = x->plain->loop->now_ms;
	} else if (errno != EAGAIN && errno != EINTR) {
		x->write_errno = errno;
	}
	return n >= 0;
}

bool conn_write(struct plain_conn *c)
{
	struct plain_exchange *x = c->x;
	unsigned left = c->ssl != NULL ? PLAIN_RECORDS : 1;

	while (x->out_n < x->whole_n && left > 0 && request_send_on(c))
		left--;
	conn_watch(c);
	return x->write_errno == 0;
}

ssize_t conn_read(struct plain_conn *c, bool again)
{
	struct plain *p = c->host->plain;
	ssize_t n = c->ssl != NULL ? tls_read(c, p->in, PLAIN_IN_BYTES, again)
				   : read(c->fd, p->in, PLAIN_IN_BYTES);

	if (n > 0 && c->x != NULL)
		c->x->heard_ms = p->loop->now_ms;
	return n;
}

ssize_t conn_send(struct plain_conn *c, const char *from, size_t n)
{
	return c->ssl != NULL ? tls_write(c, from, n) : send(c->fd, from, n, MSG_NOSIGNAL);
}

/* ---- kept ---- */

static void host_list_put(struct plain_conn **newest, struct plain_conn *c)
{
	c->host_newer = NULL;
	c->host_older = *newest;
	if (c->host_older != NULL)
		c->host_older->host_newer = c;
	*newest = c;
}

static void host_list_take_out(struct plain_conn **newest, struct plain_conn *c)
{
	if (c->host_newer != NULL)
		c->host_newer->host_older = c->host_older;
	else
		*newest = c->host_older;
	if (c->host_older != NULL)
		c->host_older->host_newer = c->host_newer;
}

static void idle_put(struct plain *p, struct plain_conn *c)
{
	host_list_put(&c->host->idle, c);
	c->is_idle = true;
	c->newer = NULL;
	c->older = p->idle.newest;
	if (c->older != NULL)
		c->older->newer = c;
	else
		p->idle.oldest = c;
	p->idle.newest = c;
	p->idle.n++;
}

static void idle_take_out(struct plain *p, struct plain_conn *c)
{
	host_list_take_out(&c->host->idle, c);
	c->is_idle = false;
	if (c->newer != NULL)
		c->newer->older = c->older;
	else
		p->idle.newest = c->older;
	if (c->older != NULL)
		c->older->newer = c->newer;
	else
		p->idle.oldest = c->newer;
	p->idle.n--;
}

void conn_keep(struct plain_conn *c)
{
	struct plain *p = c->host->plain;

	if (c->h2 != NULL)
		host_list_take_out(&c->host->shared, c);
	c->x = NULL;
	c->kept = true;
	c->idle_ms = p->loop->now_ms;
	idle_put(p, c);
	conn_watch(c);
}

void conn_share(struct plain_conn *c)
{
	c->x = NULL;
	host_list_put(&c->host->shared, c);
}

/* One that stands only since the exchange has begun is fresh, too: others have made it. */
static bool conn_will_do(const struct plain_conn *c, const struct plain_exchange *x)
{
	return !x->rq.fresh || c->number > x->born;
}

struct plain_conn *conn_take(const struct plain_exchange *x)
{
	struct plain_conn *c = x->host->shared;

	while (c != NULL && (h2_room(c->h2) == 0 || !conn_will_do(c, x)))
		c = c->host_older;
	if (c != NULL)
		return c;
	c = x->host->idle;
	while (c != NULL && ((c->h2 != NULL && h2_room(c->h2) == 0) || !conn_will_do(c, x)))
		c = c->host_older;
	if (c != NULL)
		idle_take_out(x->plain, c);
	if (c != NULL && c->h2 != NULL)
		conn_share(c);
	return c;
}

void conn_close(struct plain_conn *c)
{
	struct plain_host *h = c->host;
	struct plain *p = h->plain;

	if (c->is_idle)
		idle_take_out(p, c);
	else if (c->h2 != NULL)
		host_list_take_out(&h->shared, c);
	else if (c->x != NULL)
		c->x->conn = NULL;
	h2_free(TAKE(c->h2));
	tls_end(c);
	close(c->fd);
	c->fd = -1;
	c->x = NULL;
	c->host_older = p->buried;
	p->buried = c;
	host_give(h);
}

void conns_bury(struct plain *p)
{
	while (p->buried != NULL) {
		struct plain_conn *c = p->buried;
		p->buried = c->host_older;
		free(c);
	}
}

void conns_trim(struct plain *p, unsigned most)
{
	while (p->idle.oldest != NULL &&
	       (p->idle.n > most || p->loop->now_ms >= p->idle.oldest->idle_ms + IDLE_MAX_MS))
		conn_close(p->idle.oldest);
}
