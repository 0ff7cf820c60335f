/* stream.c: answers that come later and in pieces.
 *
 *	http_later()
 *	     |
 *	     v       handle has returned             the reader finds nothing
 *	   HELD --------------------------> PARKED <-------------------------- RUNNING
 *	     |                                |                                 ^   |
 *	     |                                +--- begin, write, end, gone -----+   | on_completed
 *	     +--------- begun, ended or gone by then -----------------------------^ v
 *	                                                                           OVER
 *
 * HELD and PARKED: the connection is suspended. It is suspended in the loop alone, by the server
 * before `handle` or by the reader, and resumed by the thread that takes the stream from PARKED to
 * RUNNING, both under the stream's lock: so each suspending has exactly one resuming, and in that
 * order. In HELD the worker still uses the request, which a resumed connection could free.
 *
 * Locks: peers' -> the stream's -> libmicrohttpd's, or the answers' (answers.h). The operations
 * (room, closed) are called with none of them held. */
#include "http/stream.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "http/response.h"

#define BLOCK_BYTES (16u << 10) /* libmicrohttpd's copy of what it sends; each stream has one */
#define PIECE_MAX ((size_t)1 << 30)

enum stream_state { HELD, PARKED, RUNNING, OVER };

struct http_stream {
	pthread_mutex_t lock;
	const struct http_stream_ops *ops;
	void *ctx;
	struct answers *answers;      /* the server's */
	struct http_request *request; /* until OVER */
	unsigned refs;                /* the caller's, the request's, libmicrohttpd's response's */
	enum stream_state state;
	bool begun, ended, whole, gone;
	bool handling;   /* counted in answers->handling, */
	bool sending;    /* and then, ended but not OVER, in answers->sending */
	bool refused;    /* a piece found no room: `room` is due */
	uint64_t length; /* of the body; UINT64_MAX: not known */
	size_t bound;    /* bytes that it holds at most, but for one piece */
	struct buf held; /* from `sent` on not taken by libmicrohttpd yet */
	size_t sent;
	uint64_t taken; /* bytes, by libmicrohttpd */
	/* when the client was last seen to take some, and what was where then */
	uint64_t moved_ms, moved_taken;
	int moved_queued;
};

static size_t waiting_bytes(const struct http_stream *s)
{
	return s->held.n - s->sent;
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
	MHD_resume_connection(s->request->connection);
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

/* ---- the sweep's (peers.h): not after stream_over() has begun ---- */

/* Bytes that the socket holds and the other end has not acknowledged. */
static int queued_bytes(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

/* Asked of the socket too; by one thread now and then. Parked, all has been given to the socket. */
static uint64_t stream_unread_ms(void *cls, int fd, uint64_t now_ms)
{
	struct http_stream *s = cls;

	pthread_mutex_lock(&s->lock);
	int queued = queued_bytes(fd);
	bool pending = queued > 0 || (s->state == RUNNING && s->taken > 0);
	bool moved = s->taken != s->moved_taken || queued < s->moved_queued;
	if (!pending || moved || s->moved_ms == 0)
		s->moved_ms = now_ms;
	s->moved_taken = s->taken;
	s->moved_queued = queued;
	uint64_t unread_ms = now_ms - s->moved_ms;
	pthread_mutex_unlock(&s->lock);
	return unread_ms;
}

static void stream_gone(void *cls)
{
	struct http_stream *s = cls;

	pthread_mutex_lock(&s->lock);
	s->gone = true;
	wake(s);
	pthread_mutex_unlock(&s->lock);
}

static const struct peer_stream_ops peer_ops = { stream_gone, stream_unread_ms };

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
	peers_stream(q->server->peers, q->peer, &peer_ops, s);
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
	if (s->sent > 0) {
		if (waiting > 0)
			memmove(s->held.p, s->held.p + s->sent, waiting);
		s->held.n = waiting;
		s->sent = 0;
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

/* ---- libmicrohttpd's ---- */

/* With the lock: what of it fits goes to `to`; MHD's END values, or 0: parked. */
static ssize_t take(struct http_stream *s, char *to, size_t size)
{
	size_t n = waiting_bytes(s);

	if (s->gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0 && s->ended)
		return s->whole ? MHD_CONTENT_READER_END_OF_STREAM
				: MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0) {
		s->state = PARKED;
		MHD_suspend_connection(s->request->connection);
		return 0;
	}
	n = n < size ? n : size;
	memcpy(to, s->held.p + s->sent, n);
	s->sent += n;
	s->taken += n;
	if (s->sent < s->held.n)
		return (ssize_t)n;
	s->sent = 0;
	if (s->held.cap > STREAM_BYTES / 4)
		buf_free(&s->held); /* it was a large one, or a slow client's */
	else
		buf_clear(&s->held);
	return (ssize_t)n;
}

static ssize_t on_read(void *cls, uint64_t at, char *to, size_t size)
{
	struct http_stream *s = cls;

	(void)at;
	pthread_mutex_lock(&s->lock);
	ssize_t n = take(s, to, size);
	bool room = s->refused && waiting_bytes(s) <= s->bound / 2;
	if (room)
		s->refused = false;
	pthread_mutex_unlock(&s->lock);
	if (room)
		s->ops->room(s->ctx);
	return n;
}

static void on_response_freed(void *cls)
{
	stream_unref(cls);
}

void stream_handled(struct http_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->state = PARKED;
	wake(s);
	/* From here on `s` may be gone, but for the lock that is held. */
	if (s->ended)
		count_as_sending(s);
	pthread_mutex_unlock(&s->lock);
}

enum MHD_Result stream_send(struct http_request *q)
{
	struct http_stream *s = q->stream;

	pthread_mutex_lock(&s->lock);
	bool possible = s->begun && !s->gone;
	uint64_t length = s->length;
	if (length == UINT64_MAX && s->ended && s->whole)
		length = waiting_bytes(s); /* all of it is here by now */
	s->refs++;
	pthread_mutex_unlock(&s->lock);
	struct MHD_Response *made = NULL;
	if (possible)
		made = MHD_create_response_from_callback(
			length == UINT64_MAX ? MHD_SIZE_UNKNOWN : length, BLOCK_BYTES, on_read, s,
			on_response_freed);
	if (made == NULL)
		stream_unref(s);
	return response_queue(q, made);
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
