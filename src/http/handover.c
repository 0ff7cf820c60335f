/* handover.c: collects bodies, asks for memory, and hands requests to the workers. */
#include "http/handover.h"

#include <stdlib.h>

#include "base/worker.h"
#include "http/loop.h"
#include "http/stream.h"

/* Hands the collected piece of the body to the application. Worker. */
static void collected_take(struct http_request *q)
{
	struct http_server *s = q->server;

	if (q->collected.n > 0)
		s->app.body(s->ctx, q, buf_slice(&q->collected));
	buf_clear(&q->collected);
}

static void request_handle(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	collected_take(q);
	buf_free(&q->collected);
	s->app.handle(s->ctx, q, &q->response);
	q->state = ANSWERED;
	if (q->stream != NULL) {
		stream_handled(q->stream); /* gives it back, and counts it out when it is time */
		return;
	}
	http_loop_give_back(q->connection);
	answers_ended(&s->answers);
}

static bool request_to_worker(struct http_request *q, enum http_work kind, worker_fn fn)
{
	struct http_server *s = q->server;

	if (!answers_begin(&s->answers))
		return false;
	workers_post(s->workers[kind], &q->work, fn, q);
	return true;
}

/* ---- `begin`, where it waits ---- */

static void request_begin(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	q->goes_on = s->app.begin(s->ctx, q, &q->response);
	http_loop_give_back(q->connection);
	answers_ended(&s->answers);
}

enum begin_taken handover_begin(struct http_request *q)
{
	struct http_server *s = q->server;

	if (s->app.waits == NULL || !s->app.waits(s->ctx, q))
		return BEGIN_NOW;
	if (workers_waiting(s->workers[HTTP_READ]) >= s->waiting_max[HTTP_READ])
		return BEGIN_BUSY;
	q->state = BEGINNING;
	if (request_to_worker(q, HTTP_READ, request_begin))
		return BEGIN_TO_WORKER;
	q->state = NEW;
	return BEGIN_LOST;
}

/* ---- the whole request ---- */

bool handover_is_short(const struct http_request *q)
{
	return q->kind == HTTP_PASS && !q->to_worker &&
	       (!q->has_body || q->content_length <= HTTP_SHORT_BYTES);
}

bool handover_whole(struct http_request *q)
{
	struct http_server *s = q->server;
	bool at_once = handover_is_short(q);

	if (at_once || workers_waiting(s->workers[q->kind]) < s->waiting_max[q->kind]) {
		q->state = HANDLING;
		if (!at_once)
			return request_to_worker(q, q->kind, request_handle);
		if (!answers_begin(&s->answers))
			return false;
		request_handle(q);
		return true;
	}
	q->state = ANSWERED;
	q->response.status = 503;
	if (s->app.busy != NULL)
		s->app.busy(s->ctx, q, &q->response);
	return false;
}

/* ---- bodies that go to a worker ---- */

static void piece_write(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	collected_take(q);
	http_loop_give_back(q->connection);
	answers_ended(&s->answers);
}

static size_t piece_max(struct http_server *s)
{
	unsigned collecting = atomic_load(&s->collecting);
	size_t share = HTTP_COLLECTED_BYTES / (collecting > 0 ? collecting : 1);

	return share > HTTP_PIECE_MAX ? HTTP_PIECE_MAX
				      : (share < HTTP_PIECE_MIN ? HTTP_PIECE_MIN : share);
}

size_t handover_piece_bytes(const struct http_request *q)
{
	size_t max = piece_max(q->server);

	return q->to_worker && q->begun && q->collected.n < max ? max - q->collected.n : 0;
}

/* The first piece goes at once, so that the application hears of the body as soon as it begins. */
static enum body_taken request_collect(struct http_request *q, struct slice piece)
{
	struct buf *to = &q->collected;

	if (to->p != NULL && piece.p == to->p + to->n)
		to->n += piece.n; /* it was read into place */
	else
		buf_add(to, piece);
	if (to->failed)
		return BODY_LOST;
	if (q->begun && to->n < piece_max(q->server))
		return BODY_TAKEN;
	q->begun = true;
	return request_to_worker(q, HTTP_PIECES, piece_write) ? BODY_TO_WORKER : BODY_LOST;
}

enum body_taken handover_body(struct http_request *q, struct slice piece)
{
	struct http_server *s = q->server;
	enum http_room room = HTTP_ROOM;

	if (q->state != READING)
		return BODY_TAKEN; /* dropped: it is answered already */
	if (s->app.room != NULL)
		room = s->app.room(s->ctx, q, piece.n + q->collected.n, &q->response);
	if (room == HTTP_WAIT)
		return BODY_LATER;
	if (room == HTTP_REFUSED) {
		q->state = ANSWERED;
		return BODY_TAKEN;
	}
	if (q->to_worker)
		return request_collect(q, piece);
	s->app.body(s->ctx, q, piece);
	return BODY_TAKEN;
}

/* Its end may have a file to remove. */
static void request_end(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	if (q->state != NEW)
		s->app.end(s->ctx, q);
	s->collecting -= q->to_worker;
	http_response_done(&q->response);
	buf_free(&q->collected);
	free(q);
}

void handover_end(struct http_request *q)
{
	if (q->to_worker)
		workers_post(q->server->workers[HTTP_PIECES], &q->work, request_end, q);
	else
		request_end(q);
}
