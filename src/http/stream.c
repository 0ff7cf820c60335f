/* stream.c: answers that come later and in pieces.
 *
 *	http_later()
 *	     |
 *	     v       handle has returned             the loop finds nothing
 *	   HELD --------------------------> PARKED <-------------------------- RUNNING
 *	     |                                |                                 ^   |
 *	     |                                +------ begin, write, end --------+   | stream_over()
 *	     +--------- begun or ended by then -----------------------------------^ v
 *	                                                                           OVER
 *
 * The thread that takes the stream from PARKED to RUNNING posts its connection, under the stream's
 * lock, so that the connection is there still. In HELD a worker has the request.
 *
 * Pieces gather in `held`. The loop takes all of them at once, and leaves the memory of those that
 * it has sent: nothing is copied or sent under the lock.
 *
 * Locks: the stream's -> the loop's, or the answers' (answers.h). The operations (room, closed) are
 * called with none of them held. */
#include "http/stream.h"

#include <assert.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "http/loop.h"

#define PIECE_MAX ((size_t)1 << 30)

enum stream_state { HELD, PARKED, RUNNING, OVER };

struct http_stream {
	pthread_mutex_t lock;
	const struct http_stream_ops *ops;
	void *ctx;
	struct answers *answers;      /* the server's */
	struct http_request *request; /* until OVER */
	unsigned refs;                /* the caller's, the request's */
	enum stream_state state;
	bool begun, ended, whole, gone;
	bool handling;   /* counted in answers->handling, */
	bool sending;    /* and then, ended but not OVER, in answers->sending */
	bool refused;    /* a piece found no room: `room` is due */
	uint64_t length; /* of the body; UINT64_MAX: not known */
	size_t bound;    /* bytes that it holds at most, but for one piece */
	struct buf held; /* that the loop has not got yet */
	size_t given;    /* bytes that the loop has got, and the socket not yet */
	uint64_t taken;  /* bytes, by the socket */
	/* when the client was last seen to take some, and what was where then */
	uint64_t moved_ms, moved_taken;
	int moved_queued;
};

static size_t waiting_bytes(const struct http_stream *s)
{
	return s->held.n + s->given;
}

static void stream_unref(struct http_stream *s)
{
	pthread_mutex_lock(&s->lock);
	bool last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	buf_free(&s->held);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* With the lock. */
static void wake(struct http_stream *s)
{
	if (s->state != PARKED || (!s->begun && !s->ended && !s->gone))
		return;
	s->state = RUNNING;
	http_loop_post(s->request->connection);
}

/* With the lock, once the stream has ended: its connection is not suspended any more, so the server
 * may close, but gives the client some time to take the rest. */
static void count_as_sending(struct http_stream *s)
{
	if (!s->handling)
		return;
	s->handling = false;
	s->sending = true;
	answers_to_client(s->answers);
}

/* ---- for how long a client has taken nothing ---- */

/* Bytes that the socket holds and the other end has not acknowledged. */
static int queued_bytes(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

/* A socket that was found empty is asked again once something was given to it. */
uint64_t stream_unread_ms(struct http_stream *s, int fd, uint64_t now_ms)
{
	pthread_mutex_lock(&s->lock);
	bool given = s->taken != s->moved_taken;
	int queued = given || s->moved_queued > 0 ? queued_bytes(fd) : 0;
	bool pending = queued > 0 || s->given > 0;
	if (!pending || given || queued < s->moved_queued || s->moved_ms == 0)
		s->moved_ms = now_ms;
	s->moved_taken = s->taken;
	s->moved_queued = queued;
	uint64_t unread_ms = now_ms - s->moved_ms;
	pthread_mutex_unlock(&s->lock);
	return unread_ms;
}

/* ---- the caller's ---- */

struct http_stream *http_later(struct http_request *q, const struct http_stream_ops *ops, void *ctx)
{
	struct http_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->ops = ops;
	s->ctx = ctx;
	s->answers = &q->server->answers;
	s->request = q;
	s->refs = 2;
	s->handling = true;
	s->bound = STREAM_BYTES;
	s->held = BUF_OF(PIECE_MAX, q->server->streams);
	q->stream = s;
	return s;
}

void http_stream_bound(struct http_stream *s, size_t bytes)
{
	pthread_mutex_lock(&s->lock);
	s->bound = bytes;
	pthread_mutex_unlock(&s->lock);
}

void http_stream_begin(struct http_stream *s, struct http_response *r, uint64_t length)
{
	struct http_response taken = *r;

	http_response_init(r);
	pthread_mutex_lock(&s->lock);
	bool used = s->state != OVER && !s->begun;
	if (used) {
		s->begun = true;
		s->length = length;
		http_response_done(&s->request->response);
		s->request->response = taken;
		wake(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (!used)
		http_response_done(&taken);
}

/* With the lock. */
static bool hold(struct http_stream *s, struct slice piece)
{
	size_t waiting = waiting_bytes(s);

	if (s->state == OVER || s->gone || s->ended)
		return false;
	if (waiting > 0 && (waiting + piece.n > s->bound || !budget_has(s->held.use, piece.n, 0))) {
		s->refused = true;
		return false;
	}
	buf_add(&s->held, piece);
	if (s->held.failed) { /* no memory: the answer breaks off */
		buf_free(&s->held);
		s->gone = true;
		return false;
	}
	return true;
}

bool http_stream_write(struct http_stream *s, struct slice piece)
{
	pthread_mutex_lock(&s->lock);
	bool held = hold(s, piece);
	wake(s);
	pthread_mutex_unlock(&s->lock);
	return held;
}

void http_stream_end(struct http_stream *s, bool whole)
{
	pthread_mutex_lock(&s->lock);
	if (!s->ended) {
		s->ended = true;
		s->whole = whole;
		wake(s);
	}
	/* Before `handle` has returned the request is not out of the worker's hands. */
	if (s->state != HELD)
		count_as_sending(s);
	pthread_mutex_unlock(&s->lock);
}

void http_stream_release(struct http_stream *s)
{
	stream_unref(s);
}

/* ---- the loop's ---- */

bool stream_is_awake(struct http_stream *s)
{
	pthread_mutex_lock(&s->lock);
	bool awake = s->state == RUNNING;
	pthread_mutex_unlock(&s->lock);
	return awake;
}

bool stream_has_answer(struct http_stream *s)
{
	pthread_mutex_lock(&s->lock);
	bool has = s->begun && !s->gone;
	pthread_mutex_unlock(&s->lock);
	return has;
}

uint64_t stream_length(struct http_stream *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t length = s->length;
	if (length == UINT64_MAX && s->ended && s->whole)
		length = s->held.n; /* all of it is here by now */
	pthread_mutex_unlock(&s->lock);
	return length;
}

/* With the lock: what is held goes to `out`, whose memory, sent by now, takes what comes next. */
static void hand_over(struct http_stream *s, struct out *out)
{
	struct buf sent = out->held;

	if (sent.cap == 0 || sent.cap > STREAM_BYTES / 4) { /* a large one, or a slow client's */
		buf_free(&sent);
		sent = BUF_OF(PIECE_MAX, s->held.use);
	}
	buf_clear(&sent);
	out->held = s->held;
	s->held = sent;
	out->piece = buf_slice(&out->held);
	out->last = out->chunked && s->ended && s->whole;
	s->given = out->piece.n;
}

enum out_next stream_next(struct http_stream *s, struct out *out)
{
	enum out_next next = OUT_PIECE;

	pthread_mutex_lock(&s->lock);
	if (s->gone) {
		next = OUT_BROKEN;
	} else if (s->held.n > 0) {
		hand_over(s, out);
	} else if (s->ended) {
		next = s->whole ? OUT_END : OUT_BROKEN;
	} else {
		s->state = PARKED;
		next = OUT_WAIT;
	}
	pthread_mutex_unlock(&s->lock);
	return next;
}

void stream_sent(struct http_stream *s, size_t bytes)
{
	pthread_mutex_lock(&s->lock);
	assert(bytes <= s->given);
	s->given -= bytes;
	s->taken += bytes;
	bool room = s->refused && waiting_bytes(s) <= s->bound / 2;
	if (room)
		s->refused = false;
	pthread_mutex_unlock(&s->lock);
	if (room)
		s->ops->room(s->ctx);
}

void stream_handled(struct http_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->state = PARKED;
	wake(s);
	if (s->ended)
		count_as_sending(s);
	http_loop_give_back(s->request->connection);
	/* From here on `s` may be gone, but for the lock that is held. */
	pthread_mutex_unlock(&s->lock);
}

void stream_over(struct http_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->state = OVER;
	s->request = NULL;
	bool handling = s->handling, sending = s->sending;
	s->handling = s->sending = false;
	pthread_mutex_unlock(&s->lock);
	s->ops->closed(s->ctx);
	if (handling)
		answers_ended(s->answers);
	else if (sending)
		answers_sent(s->answers);
	stream_unref(s);
}
