/* handover.c: collects bodies, waits for memory, and hands requests to the workers. */
#include "http/handover.h"

#include <stdlib.h>

#include "http/response.h"
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
		stream_handled(q->stream); /* resumes it, and counts it out, when it is time */
		return;
	}
	MHD_resume_connection(q->connection);
	/* From here on `q` may be gone. */
	answers_ended(&s->answers);
}

static bool request_to_worker(struct http_request *q, enum http_work kind, worker_fn fn)
{
	struct http_server *s = q->server;

	if (!answers_begin(&s->answers))
		return false;
	MHD_suspend_connection(q->connection); /* first: the worker may be done at once */
	workers_post(s->workers[kind], &q->work, fn, q);
	return true;
}

enum MHD_Result handover_answer(struct http_request *q)
{
	if (q->stream != NULL)
		return stream_send(q);
	return response_queue(q, response_make(q));
}

enum MHD_Result handover_whole(struct http_request *q)
{
	struct http_server *s = q->server;

	if (workers_waiting(s->workers[q->kind]) < s->waiting_max[q->kind]) {
		q->state = HANDLING;
		return request_to_worker(q, q->kind, request_handle) ? MHD_YES : MHD_NO;
	}
	q->state = ANSWERED;
	q->response.status = 503;
	if (s->app.busy != NULL)
		s->app.busy(s->ctx, q, &q->response);
	return handover_answer(q);
}

/* ---- bodies that go to a worker ---- */

static void piece_write(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	collected_take(q);
	MHD_resume_connection(q->connection);
	/* From here on `q` may be gone. */
	answers_ended(&s->answers);
}

static size_t piece_bytes(const struct http_server *s)
{
	size_t share = HTTP_COLLECTED_BYTES / (s->collecting > 0 ? s->collecting : 1);

	return share > HTTP_PIECE_MAX ? HTTP_PIECE_MAX
				      : (share < HTTP_PIECE_MIN ? HTTP_PIECE_MIN : share);
}

bool handover_is_suspended(const struct http_request *q)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		q->connection, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);

	return info != NULL && info->suspended == MHD_YES;
}

/* What libmicrohttpd has read is HTTP_CONNECTION_BYTES at most, and so is what goes beyond a piece.
 * The first piece goes at once, so that the application hears of the body as soon as it begins. */
static enum MHD_Result request_collect(struct http_request *q, struct slice piece)
{
	buf_add(&q->collected, piece);
	if (q->collected.failed)
		return MHD_NO;
	if (q->begun && q->collected.n < piece_bytes(q->server))
		return MHD_YES;
	q->begun = true;
	return request_to_worker(q, HTTP_PIECES, piece_write) ? MHD_YES : MHD_NO;
}

/* ---- memory for bodies ---- */

static void request_look_again(void *arg)
{
	struct http_request *q = arg;
	struct http_server *s = q->server;

	MHD_resume_connection(q->connection);
	/* From here on `q` may be gone. */
	answers_ended(&s->answers);
}

/* The piece stays with libmicrohttpd, which offers it again after the resume. False: the server
 * closes, or the client has gone, which libmicrohttpd would see too late: other requests need the
 * memory that this one holds. */
static bool request_wait(struct http_request *q)
{
	if ((q->peer != NULL && peer_has_ended(q->peer)) || !answers_begin(&q->server->answers))
		return false;
	MHD_suspend_connection(q->connection);
	workers_post_after(q->server->workers[HTTP_PIECES], &q->work, request_look_again, q,
			   HTTP_ROOM_MS);
	return true;
}

enum MHD_Result handover_body(struct http_request *q, const char *piece, size_t *bytes)
{
	struct http_server *s = q->server;
	struct slice given = { piece, *bytes };
	enum http_room room = HTTP_ROOM;

	if (q->state == READING && s->app.room != NULL)
		room = s->app.room(s->ctx, q, *bytes + q->collected.n, &q->response);
	if (room == HTTP_WAIT)
		return request_wait(q) ? MHD_YES : MHD_NO;
	if (room == HTTP_REFUSED)
		q->state = ANSWERED;
	*bytes = 0;
	if (q->state == READING && q->to_worker)
		return request_collect(q, given);
	if (q->state == READING)
		s->app.body(s->ctx, q, given);
	return MHD_YES;
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
	free(q->query);
	free(q);
}

void handover_end(struct http_request *q)
{
	if (q->to_worker) /* no more than a node of a queue: the connection may go */
		workers_post(q->server->workers[HTTP_PIECES], &q->work, request_end, q);
	else
		request_end(q);
}
