/* plain_streams.c: the requests on a connection of HTTP/2, by libnghttp2. What comes is told to them as
 * a head in lines and a body in pieces, so an answer is taken apart as one of HTTP/1.1 is. In nghttp2's
 * callbacks nothing is sent, and no connection ends: streams_flush() does both, at the end of a turn.
 *
 *	loop -> streams_ready() -> callbacks -> answer_line(), answer_take(), exchange_end()
 *	end of a turn -> streams_flush() -> a record; kept, closed */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "client/plain_impl.h"
#include "http/fields.h"

/* Who has no room holds up its own stream: a connection has room for all of them. */
#define CONN_WINDOW_BYTES (100 * (int32_t)STREAM_WINDOW_BYTES)
#define SENDS_MAX 2u /* of a request that says nothing else (sends_max) */

/* ---- how they end ---- */

static bool may_go_again(const struct plain_exchange *x)
{
	const struct exchange *of = x->of;

	return of->sent < (of->sends_max > 0 ? of->sends_max : SENDS_MAX);
}

/* The next turn sends it, on another connection, or on this one. */
static void stream_again(struct plain_h2 *h2, struct plain_exchange *x)
{
	x->conn = NULL;
	exchange_opens_no_more(x, true);
	h2_leave(h2, x);
	x->state = PLAIN_STARTED;
	exchange_release(x);
}

/* The server has not looked at it. */
static void stream_unprocessed(struct plain_h2 *h2, struct plain_exchange *x, const char *why)
{
	if (may_go_again(x))
		stream_again(h2, x);
	else
		exchange_end(x, EXCHANGE_UNPROCESSED, "%s", why);
}

/* Its connection has broken: `sys` as errno, 0: the server has ended it, in good order. One that was
 * kept, and of which nothing has come since the request went out, was dead before. */
static void stream_broken(const struct plain_conn *c, struct plain_exchange *x, int sys,
			  const char *what)
{
	unsigned long fault = c->fault;
	bool untouched = parse_untouched(&x->parse);
	bool dead = untouched && c->kept && c->h2->reads == x->reads;

	if (tls_fault_certificate(fault))
		exchange_end(x, EXCHANGE_CERTIFICATE, "%s: %s", what, tls_fault_words(fault));
	else if (sys == 0 && untouched)
		stream_unprocessed(c->h2, x, "the server has ended the HTTP/2 connection");
	else if (dead && may_go_again(x))
		stream_again(c->h2, x);
	else if (sys == 0)
		exchange_end(x, EXCHANGE_BROKEN,
			     "the connection was closed before the answer was whole");
	else
		exchange_end(x, dead ? EXCHANGE_STALE : EXCHANGE_BROKEN, "%s: %s", what,
			     fault != 0 ? tls_fault_words(fault) : strerrordesc_np(sys));
}

/* Its answer is there, and its owner has no room: it needs the connection no more. */
static void stream_part(struct plain_h2 *h2, struct plain_exchange *x)
{
	exchange_take_out(x);
	x->conn = NULL;
	h2->n--;
	h2_touch(h2);
}

static void streams_broken(struct plain_conn *c, int sys, const char *what)
{
	struct plain_exchange *x;

	c->h2->gone = true;
	while ((x = c->h2->streams.first) != NULL)
		if (x->all_in)
			stream_part(c->h2, x);
		else
			stream_broken(c, x, sys, what);
	conn_close(c);
}

/* What has come on it is no HTTP/2. */
static void streams_wrong(struct plain_conn *c, const char *why)
{
	struct plain_exchange *x;

	c->h2->gone = true;
	while ((x = c->h2->streams.first) != NULL)
		if (x->all_in)
			stream_part(c->h2, x);
		else
			exchange_end(x, EXCHANGE_BROKEN, "the answer is no HTTP/2: %s", why);
	conn_close(c);
}

/* The answer has. */
static void stream_over(struct plain_exchange *x)
{
	x->all_in = true;
	x->conn->kept = true;
	if (!x->paused)
		answer_closed(x);
}

/* ---- what nghttp2 calls ---- */

static struct plain_exchange *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static void heard(struct plain_exchange *x)
{
	x->heard_ms = x->plain->loop->now_ms;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
	struct plain_exchange *x = stream_of(session, frame->hd.stream_id);
	struct slice field = { (const char *)name, name_n };

	(void)flags;
	(void)arg;
	if (x == NULL || x->has_head) /* of trailers */
		return 0;
	if (*field.p == ':') /* the status alone, and first: nghttp2 sees to that */
		field.n = 0;
	answer_line(x, field, (struct slice){ (const char *)value, value_n });
	return 0;
}

/* Of a name or value that must not be: who reads the head judges. */
static int on_odd_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
			 size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags,
			 void *arg)
{
	struct plain_exchange *x = stream_of(session, frame->hd.stream_id);

	(void)flags;
	(void)arg;
	if (x == NULL || x->has_head)
		return 0;
	const char *why = field_fault((struct slice){ (const char *)name, name_n },
				      (struct slice){ (const char *)value, value_n });
	x->parse.odd = why != NULL ? why : "a header is none of HTTP/2";
	return 0;
}

static int on_body(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
		   size_t n, void *arg)
{
	struct plain_exchange *x = stream_of(session, id);
	struct slice piece = { (const char *)bytes, n };

	(void)flags;
	(void)arg;
	(void)nghttp2_session_consume_connection(session, n);
	if (x == NULL)
		return 0;
	heard(x);
	if (x->paused)
		answer_hold(x, piece);
	else
		answer_take(x, piece);
	return 0;
}

/* The window of its stream is as large again as was taken of the body. */
static void stream_consume(struct plain_exchange *x)
{
	uint64_t n = x->body_bytes - x->consumed;

	x->consumed = x->body_bytes;
	if (n > 0)
		(void)nghttp2_session_consume_stream(x->conn->h2->session, x->stream, (size_t)n);
}

static void on_settings(struct plain_h2 *h2)
{
	struct plain_exchange *opener = h2->conn->host->tls->opener;

	h2->settled = true;
	if (opener != NULL && opener->conn == h2->conn)
		exchange_opens_no_more(opener, false);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct plain_h2 *h2 = arg;
	struct plain_exchange *x = stream_of(session, frame->hd.stream_id);
	bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	switch (frame->hd.type) {
	case NGHTTP2_SETTINGS:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
			on_settings(h2);
		break;
	case NGHTTP2_GOAWAY:
		h2->leaves = true;
		break;
	case NGHTTP2_HEADERS:
		if (x != NULL && !x->has_head)
			answer_line(x, SLICE(""), SLICE(""));
		break;
	default:
		break;
	}
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	x = stream_of(session, frame->hd.stream_id);
	if (x == NULL)
		return 0;
	heard(x);
	stream_consume(x);
	if (last)
		stream_over(x);
	return 0;
}

/* One whose answer is whole is over already, or waits for its owner. */
static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct plain_h2 *h2 = arg;
	struct plain_exchange *x = stream_of(session, id);

	if (x == NULL)
		return 0;
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	if (x->all_in) {
		stream_part(h2, x);
		return 0;
	}
	h2->n--;
	x->stream = 0;
	if (code == NGHTTP2_REFUSED_STREAM && parse_untouched(&x->parse)) {
		stream_unprocessed(h2, x,
				   h2->leaves ? "the server leaves: GOAWAY"
					      : "the server has refused the stream");
	} else {
		exchange_end(x, EXCHANGE_BROKEN, "the HTTP/2 stream was ended: %s",
			     nghttp2_http2_strerror(code));
	}
	return 0;
}

/* It was to go out when the server had said that it leaves; nghttp2 knows it no more. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int why, void *arg)
{
	struct plain_h2 *h2 = arg;
	struct plain_exchange *x = h2->streams.first;

	while (x != NULL && x->stream != frame->hd.stream_id)
		x = x->next;
	if (frame->hd.type != NGHTTP2_HEADERS || x == NULL)
		return 0;
	(void)nghttp2_session_set_stream_user_data(session, x->stream, NULL);
	h2->n--;
	x->stream = 0;
	h2->leaves = true;
	stream_unprocessed(h2, x, nghttp2_strerror(why));
	return 0;
}

/* ---- what is sent ---- */

static ssize_t body_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
			 uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct plain_exchange *x = stream_of(session, id);

	(void)source;
	(void)arg;
	if (x == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	size_t left = x->rq.body.n - x->out_n;
	size_t n = left < room ? left : room;
	memcpy(to, x->rq.body.p + x->out_n, n);
	x->out_n += n;
	heard(x);
	if (n == left)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

void stream_send(struct plain_exchange *x)
{
	struct plain_h2 *h2 = x->conn->h2;
	const nghttp2_data_provider body = { .read_callback = body_read };
	bool has_body = x->has_body && x->rq.body.n > 0;

	x->parse.framed = true;
	x->reads = h2->reads;
	int32_t id = nghttp2_submit_request(h2->session, NULL, x->plain->fields, fields_of(x),
					    has_body ? &body : NULL, x);
	h2_touch(h2);
	if (id < 0) { /* also after 2^30 requests */
		h2->leaves = true;
		exchange_end(x, EXCHANGE_UNPROCESSED, "%s", nghttp2_strerror(id));
		return;
	}
	x->stream = id;
	h2->n++;
	exchange_put(&h2->streams, x);
}

void stream_resume(struct plain_exchange *x)
{
	if (x->conn != NULL) {
		stream_consume(x);
		h2_touch(x->conn->h2);
	}
	if (x->all_in && !x->paused)
		answer_closed(x);
}

/* ---- the connection ---- */

static bool session_new(struct plain_h2 *h2)
{
	nghttp2_session_callbacks *calls = NULL;
	nghttp2_option *option = NULL;

	if (nghttp2_session_callbacks_new(&calls) != 0 || nghttp2_option_new(&option) != 0) {
		nghttp2_session_callbacks_del(calls);
		return false;
	}
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(calls, on_odd_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_body);
	nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(calls, on_not_sent);
	int failed = nghttp2_session_client_new2(&h2->session, calls, h2, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(calls);
	return failed == 0;
}

static bool settings_say(const struct plain_h2 *h2)
{
	static const nghttp2_settings_entry ours[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES },
	};

	return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, ours, ARRAY_LEN(ours)) ==
		       0 &&
	       nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
						     CONN_WINDOW_BYTES) == 0;
}

bool streams_begin(struct plain_conn *c)
{
	struct plain_h2 *h2 = calloc(1, sizeof(*h2));

	if (h2 == NULL)
		return false;
	h2->conn = c;
	if (!session_new(h2) || !settings_say(h2)) {
		h2_free(h2);
		return false;
	}
	c->h2 = h2;
	conn_share(c);
	return true;
}

/* False: nothing more is to be read now. */
static bool streams_read_once(struct plain_conn *c, bool again)
{
	struct plain_h2 *h2 = c->h2;
	ssize_t n = conn_read(c, again);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		streams_broken(c, n < 0 ? errno : 0, "Recv failure");
		return false;
	}
	h2->reads++;
	ssize_t taken = nghttp2_session_mem_recv(h2->session, (const uint8_t *)c->host->plain->in,
						 (size_t)n);
	if (taken >= 0)
		return true;
	streams_wrong(c, nghttp2_strerror((int)taken));
	return false;
}

/* What TLS has read ahead is read, too: the loop tells nothing more of it. */
static void streams_read(struct plain_conn *c)
{
	bool more = streams_read_once(c, false);

	while (more && c->ssl != NULL && tls_holds(c))
		more = streams_read_once(c, true);
}

void streams_ready(struct plain_conn *c, uint32_t events)
{
	h2_touch(c->h2);
	if ((events & (c->in_wants | ~(uint32_t)EPOLLOUT)) != 0)
		streams_read(c);
}

/* Who waits for a connection beside this one goes out on this, where it has room again. */
static void waiting_release(struct plain_h2 *h2)
{
	const struct tls_way *w = h2->conn->host->tls;
	struct plain_exchange *next, *x = w->waiting.first;

	for (unsigned room = x != NULL ? h2_room(h2) : 0; x != NULL && room > 0; x = next) {
		next = x->next;
		if (x->rq.fresh)
			continue;
		exchange_release(x);
		room--;
	}
}

/* Where it cannot be written on, the server may have answered before it closed. */
static void conn_flush(struct plain_conn *c)
{
	struct plain_h2 *h2 = c->h2;

	if (!frames_write(h2)) {
		int sys = errno;
		streams_read(c);
		if (c->fd >= 0)
			streams_broken(c, sys, "Send failure");
		return;
	}
	if (nghttp2_session_want_read(h2->session) == 0 &&
	    nghttp2_session_want_write(h2->session) == 0)
		streams_wrong(c, "it breaks its rules");
	else if (h2->n == 0 && h2->leaves)
		conn_close(c);
	else if (h2->n == 0 && !c->is_idle)
		conn_keep(c);
	else
		conn_watch(c);
	if (c->fd >= 0)
		waiting_release(h2);
}

void streams_flush(struct plain *p)
{
	struct plain_h2 *h2, *next = p->touched;

	p->touched = NULL;
	while ((h2 = next) != NULL) {
		next = h2->next_touched;
		h2->touched = false;
		conn_flush(h2->conn);
	}
}
