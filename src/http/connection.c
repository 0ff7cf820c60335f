/* connection.c: see connection.h. */
#include "http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "http/handover.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/send.h"
#include "http/stream.h"

#define EVICTED_MS 5000 /* a client that was idle for longer is hardly sending just now */

/* ---- beginning and end ---- */

void connection_new(struct http_server *s, struct http_loop *l, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return;
	}
	atomic_fetch_add(&s->connections, 1);
	c->server = s;
	c->loop = l;
	c->fd = fd;
	c->in = BUF(LOOP_SCRATCH_BYTES);
	c->head = BUF(2 * FRAMING_HEAD_MAX);
	c->piece = BUF(HTTP_PIECE_MAX + LOOP_SCRATCH_BYTES);
	framing_init(&c->framing);
	out_init(&c->out);
	http_loop_post(c);
}

void connection_request_over(struct connection *c)
{
	struct http_request *q = TAKE(c->request);

	out_done(&c->out);
	buf_free(&c->piece);
	if (q == NULL)
		return;
	if (q->stream != NULL)
		stream_over(q->stream);
	handover_end(q);
}

void connection_close(struct connection *c)
{
	connection_request_over(c);
	close(c->fd);
	framing_done(&c->framing);
	buf_free(&c->in);
	buf_free(&c->head);
	c->state = CONNECTION_CLOSED;
	atomic_fetch_sub(&c->server->connections, 1);
	http_loop_drop(c);
}

/* The connection is one too many: the one that has been idle longest makes room. False: none has
 * been idle for long. */
static bool room_make(const struct connection *c)
{
	struct connection *oldest = c->loop->idle.first;

	if (oldest == NULL || sys.monotonic_ms() - oldest->moved_ms < EVICTED_MS)
		return false;
	connection_close(oldest);
	return true;
}

static bool has_room(const struct connection *c)
{
	return atomic_load(&c->server->connections) <= c->server->connections_max || room_make(c);
}

/* Who is idle only its own loop knows: so the new one goes from loop to loop. False: it has been in
 * all of them. */
static bool room_elsewhere(struct connection *c)
{
	struct http_server *s = c->server;
	unsigned n = c->loops_asked++;

	c->moves_to = n < s->loop_count ? s->loops[n] : n == s->loop_count ? s->guest : NULL;
	if (c->moves_to == NULL)
		return false;
	c->state = CONNECTION_LEAVES;
	http_loop_leave(c);
	return true;
}

void connection_begin(struct connection *c)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 .data.ptr = c };
	int one = 1;

	c->moved_ms = sys.monotonic_ms();
	c->readable = c->writable = true;
	if (c->request == NULL && !has_room(c)) {
		if (!room_elsewhere(c))
			connection_close(c);
		return;
	}
	http_loop_list(c, c->request != NULL ? &c->loop->busy : &c->loop->idle);
	/* without it answers would only be slower */
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(c->loop->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0)
		connection_close(c);
}

/* ---- answers ---- */

void connection_answer(struct connection *c, bool made)
{
	if (!made) {
		connection_close(c); /* no memory, or no answer */
		return;
	}
	c->state = CONNECTION_SENDS;
	http_loop_list(c, &c->loop->busy);
}

void connection_refuse(struct connection *c, const struct framing_fault *fault)
{
	struct http_response r;

	http_response_init(&r);
	r.status = fault->status;
	c->server->app.refuse(c->server->ctx, fault->why, &r);
	connection_request_over(c);
	connection_answer(c, reply_refuse(c, &r));
	http_response_done(&r);
}
