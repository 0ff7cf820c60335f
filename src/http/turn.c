/* turn.c: reads and writes by turns.
 *
 *	         +------------- the answer was sent ----------------+
 *	         v                                                  |
 *	READS (head, body) --whole--> HANDED --it is answered--> SENDS <--> PARKED (a stream)
 *	  |  ^                          ^                          |
 *	  |  +--- a piece is written, --+ <-- a piece is collected,|  and its connection ends
 *	  |       or it has begun             or its begin waits   |
 *	  |  |                                                     v
 *	  +--+--- no memory ---> WAITS                           DRAINS --> CLOSED
 *	  |  |
 *	  +--+--- LEAVES for the loop that its request belongs to
 *
 * Bytes that are malformed, or come too late, are answered from READS. Whoever closes with bytes
 * unread sends a reset, which can cost the client the answer: so a connection that ends with its
 * answer DRAINS, for DEADLINE_CLOSE_MS at most. */
#include "http/turn.h"

#include <sys/socket.h>

#include "base/sys.h"
#include "http/connection.h"
#include "http/loop.h"
#include "http/receive.h"
#include "http/reply.h"
#include "http/send.h"
#include "http/stream.h"

/* What one connection reads before others have their turn. A short request, answered at once, is as
 * much work as many bytes are. */
#define TURN_BYTES (1u << 20)
#define TURN_REQUESTS 16

/* ---- the worker, the stream, the socket ---- */

static bool handed_turn(struct connection *c)
{
	struct http_request *q = c->request;

	if (!c->back)
		return false;
	c->back = false;
	if (c->in.failed) { /* what came behind the request could not be kept */
		connection_close(c);
		return false;
	}
	if (c->out.begun)
		c->state = CONNECTION_SENDS; /* a piece of its file was read */
	else if (q->state == BEGINNING)
		receive_begun(c);
	else if (q->state == READING)
		c->state = CONNECTION_READS; /* a piece of its body was written */
	else if (q->stream != NULL)
		c->state = CONNECTION_PARKED;
	else
		connection_answer(c, reply_begin(q));
	return true;
}

/* A client that waits for a stream and closes its sending side has gone. */
static bool parked_turn(struct connection *c)
{
	if (c->ended) {
		connection_close(c);
		return false;
	}
	if (!stream_is_awake(c->request->stream))
		return false;
	connection_answer(c, c->out.begun || reply_begin(c->request));
	return true;
}

static void answer_sent(struct connection *c)
{
	bool closes = c->out.closes;

	connection_request_over(c);
	c->state = closes ? CONNECTION_DRAINS : CONNECTION_READS;
	http_loop_list(c, closes ? &c->loop->busy : &c->loop->idle);
	if (!closes)
		return;
	shutdown(c->fd, SHUT_WR);
	buf_free(&c->in);
	c->readable = true;
}

static bool sending_turn(struct connection *c)
{
	bool streams = c->request != NULL && c->request->stream != NULL;

	if (streams && c->ended) {
		connection_close(c);
		return false;
	}
	switch (send_some(c)) {
	case SEND_AGAIN:
		http_loop_again(c);
		return false;
	case SEND_FULL:
		return false;
	case SEND_WAITS:
		c->state = streams ? CONNECTION_PARKED : CONNECTION_HANDED;
		return false;
	case SEND_DONE:
		answer_sent(c);
		return true;
	case SEND_BROKEN:
		connection_close(c);
		return false;
	}
	return false;
}

/* ---- the turn ---- */

/* True: there may be more to do. */
static bool step(struct connection *c)
{
	switch (c->state) {
	case CONNECTION_READS:
		return receive_turn(c);
	case CONNECTION_HANDED:
		return handed_turn(c);
	case CONNECTION_WAITS:
		return receive_again(c);
	case CONNECTION_SENDS:
		return sending_turn(c);
	case CONNECTION_PARKED:
		return parked_turn(c);
	case CONNECTION_DRAINS:
		return receive_drain(c);
	case CONNECTION_LEAVES:
	case CONNECTION_CLOSED:
		break;
	}
	return false;
}

static void connection_turn(struct connection *c)
{
	uint64_t bytes = c->bytes + TURN_BYTES, requests = c->framing.requests + TURN_REQUESTS;

	if (c->state == CONNECTION_CLOSED)
		return;
	if (c->list == NULL)
		connection_begin(c);
	while (step(c)) {
		if (c->state == CONNECTION_CLOSED)
			return;
		if (c->bytes >= bytes || c->framing.requests >= requests) {
			http_loop_again(c);
			return;
		}
	}
}

/* ---- the clock ---- */

static enum awaited awaited(const struct connection *c)
{
	if (c->state == CONNECTION_DRAINS)
		return AWAITS_CLOSE;
	if (c->state != CONNECTION_READS || framing_is_idle(&c->framing))
		return AWAITS_NOTHING;
	return framing_is_in_body(&c->framing) ? AWAITS_BODY : AWAITS_HEAD;
}

static void deadline_check(struct connection *c, uint64_t now_ms)
{
	const struct deadline_seen seen = { awaited(c), c->framing.requests, c->bytes };
	const struct framing_fault late = { 408, seen.awaited == AWAITS_BODY
							 ? "its body comes too slowly"
							 : "its head comes too slowly" };
	uint64_t others;

	if (!deadline_passed(&c->deadline, &c->server->deadlines, seen, now_ms))
		return;
	if (seen.awaited == AWAITS_CLOSE) {
		connection_close(c);
		return;
	}
	if (c->readable || c->in.n > 0) {
		deadline_renew(&c->deadline, now_ms); /* there is more: the server is slow */
		return;
	}
	if (log_storm_pass(&c->server->slow, now_ms, &others))
		log_info("http.slow_client_cut", kv_u64("others_before", others));
	connection_refuse(c, &late);
	http_loop_again(c);
}

/* A stream whose client takes nothing. */
static bool is_unread(struct connection *c, uint64_t now_ms)
{
	uint64_t for_ms = c->server->stream_idle_ms, others;

	if (for_ms == 0 || stream_unread_ms(c->request->stream, c->fd, now_ms) < for_ms)
		return false;
	if (log_storm_pass(&c->server->unread, now_ms, &others))
		log_info("online.client_reads_nothing", kv_u64("for_ms", for_ms),
			 kv_u64("others_before", others));
	return true;
}

static void connection_tick(struct connection *c, uint64_t now_ms)
{
	bool streams = c->state != CONNECTION_HANDED && c->request != NULL &&
		       c->request->stream != NULL;
	bool moves = c->state == CONNECTION_READS || c->state == CONNECTION_SENDS;

	if ((streams && is_unread(c, now_ms)) ||
	    (moves && now_ms >= c->moved_ms + c->server->idle_ms))
		connection_close(c);
	else
		deadline_check(c, now_ms);
}

const struct http_loop_ops connection_ops = {
	.turn = connection_turn,
	.tick = connection_tick,
	.close = connection_close,
};
