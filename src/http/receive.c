/* receive.c: what a connection reads, given to framing.h: a head begins a request, data goes to the
 * application or a worker, the end hands the request over. */
#include "http/receive.h"

#include <errno.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/sys.h"
#include "http/connection.h"
#include "http/handover.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"

/* ---- requests ---- */

/* The socket has nothing left to send: so short a text fits. */
static void expectation_meet(const struct connection *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *expect = http_request_header(c->request, "Expect");

	if (expect != NULL && c->request->has_body && c->request->http_1_1 &&
	    strcasecmp(expect, "100-continue") == 0 &&
	    send(c->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("http.not_told_to_go_on", kv_int("errno", errno));
}

/* Connections follow their work (server.h). */
static struct http_loop *loop_of(const struct http_request *q)
{
	struct http_server *s = q->server;
	struct http_loop *now = q->connection->loop;
	bool passes = handover_is_short(q);

	if (s->guest == NULL || passes == (now == s->guest))
		return now;
	return passes ? s->guest : s->loops[(unsigned)q->connection->fd % s->loop_count];
}

static void request_begun(struct connection *c, bool goes_on)
{
	struct http_request *q = c->request;

	c->state = CONNECTION_READS;
	q->state = goes_on ? READING : ANSWERED;
	if (q->state == READING && !q->more_came)
		expectation_meet(c);
	if (q->state == ANSWERED && q->has_body && http_request_header(q, "Expect") != NULL) {
		q->keeps = false; /* it has sent no body yet, and need not */
		connection_answer(c, reply_begin(q));
	} else if (q->state == READING && loop_of(q) != c->loop) {
		c->moves_to = loop_of(q);
		c->state = CONNECTION_LEAVES;
		http_loop_leave(c);
	}
}

void receive_begun(struct connection *c)
{
	request_begun(c, c->request->goes_on);
}

/* `more`: bytes have come behind the head. */
static void request_begin(struct connection *c, struct slice head, bool more)
{
	static const struct framing_fault busy = { 503, "too many requests wait already" };
	struct http_server *s = c->server;
	struct http_request *q = request_new(c, head);

	c->request = q;
	if (q == NULL) {
		connection_close(c);
		return;
	}
	q->more_came = more;
	http_loop_list(c, &c->loop->busy);
	switch (handover_begin(q)) {
	case BEGIN_NOW:
		request_begun(c, s->app.begin(s->ctx, q, &q->response));
		return;
	case BEGIN_TO_WORKER:
		c->state = CONNECTION_HANDED;
		return;
	case BEGIN_BUSY:
		connection_refuse(c, &busy);
		return;
	case BEGIN_LOST:
		connection_close(c);
		return;
	}
}

static void request_whole(struct connection *c)
{
	struct http_request *q = c->request;

	if (q->state == READING && handover_whole(q))
		c->state = CONNECTION_HANDED;
	else
		connection_answer(c, q->state == ANSWERED && reply_begin(q));
}

/* `piece` of the body may lie in c->piece. */
static void piece_offer(struct connection *c, struct slice piece)
{
	switch (handover_body(c->request, piece)) {
	case BODY_TAKEN:
		return;
	case BODY_TO_WORKER:
		c->state = CONNECTION_HANDED;
		return;
	case BODY_LATER:
		c->state = CONNECTION_WAITS;
		c->piece_due_ms = sys.monotonic_ms() + HTTP_ROOM_MS;
		http_loop_list(c, &c->loop->waiting);
		if (piece.p != c->piece.p)
			buf_add(&c->piece, piece);
		if (c->piece.failed)
			break;
		return;
	case BODY_LOST:
		break;
	}
	connection_close(c);
}

/* Once more, after a while. A client that has gone meanwhile is not waited for: other requests
 * need the memory that this one holds. */
bool receive_again(struct connection *c)
{
	if (c->ended) {
		connection_close(c);
		return false;
	}
	if (sys.monotonic_ms() < c->piece_due_ms)
		return false;
	c->state = CONNECTION_READS;
	http_loop_list(c, &c->loop->busy);
	piece_offer(c, buf_slice(&c->piece));
	if (c->state == CONNECTION_WAITS)
		return false;
	buf_free(&c->piece);
	return true;
}

/* ---- reading ---- */

/* The head's last bytes; those before are in c->head. */
static void head_whole(struct connection *c, struct slice bytes, bool more)
{
	if (c->head.n == 0) {
		request_begin(c, bytes, more);
		return;
	}
	struct buf head = c->head;
	c->head = BUF(head.max);
	buf_add(&head, bytes);
	if (head.failed)
		connection_close(c);
	else
		request_begin(c, buf_slice(&head), more);
	buf_free(&head);
}

/* All bytes are read, and the request is not whole. */
static void more_awaited(struct connection *c, struct slice bytes)
{
	if (framing_is_idle(&c->framing))
		return;
	http_loop_list(c, &c->loop->busy);
	/* empty lines before the first are nothing to keep */
	if (c->request == NULL && (c->framing.state != FRAMING_START || c->framing.line.n > 0))
		buf_add(&c->head, bytes);
	if (c->head.failed)
		connection_close(c);
}

/* Bytes that were not looked at stay for the next turn. Where there is no memory for them the
 * connection closes, be it once the worker has given its request back (turn.c). */
static void rest_keep(struct connection *c, struct slice rest)
{
	if (c->state == CONNECTION_CLOSED)
		return;
	if (rest.n > 0 && c->in.n > 0) {
		c->in_at = c->in.n - rest.n;
		return;
	}
	buf_free(&c->in);
	c->in_at = 0;
	buf_add(&c->in, rest);
	if (c->in.failed && c->state != CONNECTION_HANDED)
		connection_close(c);
}

static void bytes_read(struct connection *c, struct slice bytes)
{
	struct slice rest = bytes, data;
	struct framing_fault fault;

	while (c->state == CONNECTION_READS) {
		const char *from = rest.p;
		enum framing_event event = framing_next(&c->framing, &rest, &data, &fault);
		struct slice taken = { from, (size_t)(rest.p - from) };
		switch (event) {
		case FRAMING_MORE:
			more_awaited(c, taken);
			rest_keep(c, rest);
			return;
		case FRAMING_HEAD:
			head_whole(c, taken, rest.n > 0);
			break;
		case FRAMING_DATA:
			piece_offer(c, data);
			break;
		case FRAMING_END:
			request_whole(c);
			break;
		case FRAMING_FAULT:
			connection_refuse(c, &fault);
			break;
		}
	}
	rest_keep(c, rest);
}

/* A body that goes to a worker in pieces is read into place. NULL: there is none. */
static char *body_place(const struct connection *c, size_t *ret_bytes)
{
	struct http_request *q = c->request;
	uint64_t left = framing_data_left(&c->framing);
	size_t room = q != NULL && q->begun ? handover_piece_bytes(q) : 0;

	if (room <= LOOP_SCRATCH_BYTES / 4 || left == 0 || q->state != READING)
		return NULL;
	if (!buf_reserve(&q->collected, room))
		return NULL;
	*ret_bytes = left < room ? (size_t)left : room;
	return q->collected.p + q->collected.n;
}

/* False: the connection is closed. */
static bool nothing_came(struct connection *c, ssize_t n)
{
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN) {
		c->readable = false;
		return true;
	}
	connection_close(c); /* its end, or a fault of the network */
	return false;
}

static void note_bytes(struct connection *c, size_t n, size_t asked)
{
	c->bytes += n;
	c->moved_ms = sys.monotonic_ms();
	if (n < asked && !c->ended)
		c->readable = false; /* what comes later, and the end, are told as changes */
}

static bool bytes_recv(struct connection *c)
{
	size_t size = LOOP_SCRATCH_BYTES;
	char *place = body_place(c, &size);
	char *to = place != NULL ? place : c->loop->scratch;
	ssize_t n = recv(c->fd, to, size, MSG_DONTWAIT);

	if (n <= 0)
		return nothing_came(c, n);
	note_bytes(c, (size_t)n, size);
	if (place == NULL) {
		bytes_read(c, (struct slice){ to, (size_t)n });
		return true;
	}
	framing_data_taken(&c->framing, (uint64_t)n);
	piece_offer(c, (struct slice){ to, (size_t)n });
	return true;
}

bool receive_turn(struct connection *c)
{
	if (c->in.n > 0 || c->framing.ended) {
		struct slice in = { c->in.p, c->in.n };
		bytes_read(c, in.n > 0 ? (struct slice){ in.p + c->in_at, in.n - c->in_at } : in);
		return true;
	}
	return c->readable && bytes_recv(c);
}

bool receive_drain(struct connection *c)
{
	if (!c->readable)
		return false;
	ssize_t n = recv(c->fd, c->loop->scratch, LOOP_SCRATCH_BYTES, MSG_DONTWAIT);
	if (n <= 0)
		return nothing_came(c, n);
	c->bytes += (uint64_t)n;
	return true;
}
