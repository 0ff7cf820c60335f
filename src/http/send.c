/* send.c: what is in memory by sendmsg(), a file by sendfile(), and what comes in pieces piece by
 * piece, framed as chunks where its length is not known. */
#include "http/send.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/sys.h"
#include "http/pull.h"
#include "http/stream.h"

#define TEXT_MAX (128u << 10)
#define FILE_BYTES ((size_t)4 << 20) /* of one file before other connections have their turn */

void out_init(struct out *out)
{
	*out = (struct out){ .text = BUF(TEXT_MAX), .fd = -1, .left = UINT64_MAX };
}

void out_done(struct out *out)
{
	buf_free(&out->text);
	buf_free(&out->held);
	pull_free(out->pull);
	auto_close(&out->fd);
	out_init(out);
}

/* ---- what comes next ---- */

/* Of a body whose length was said, no more than that. */
static void piece_bound(struct out *out)
{
	if (out->left == UINT64_MAX)
		return;
	if (out->piece.n > out->left)
		out->piece.n = (size_t)out->left;
	out->left -= out->piece.n;
}

static void chunk_frame(struct out *out)
{
	if (!out->chunked)
		return;
	if (out->piece.n > 0) {
		buf_printf(&out->text, "%zx\r\n", out->piece.n);
		out->tail = out->last ? SLICE("\r\n0\r\n\r\n") : SLICE("\r\n");
	} else if (out->last) {
		buf_text(&out->text, "0\r\n\r\n");
	}
}

static enum out_next next_of(struct connection *c)
{
	if (c->out.pull != NULL)
		return pull_next(c->out.pull, &c->out);
	return stream_next(c->request->stream, &c->out);
}

/* Sets what is sent next, behind what is in `text`. */
static enum out_next piece_next(struct connection *c)
{
	struct out *out = &c->out;

	if (out->last)
		return OUT_END;
	enum out_next next = next_of(c);
	if (next == OUT_END && out->left != UINT64_MAX && out->left > 0)
		return OUT_BROKEN; /* shorter than was said */
	if (next == OUT_END)
		out->last = true;
	if (next == OUT_PIECE || next == OUT_END) {
		piece_bound(out);
		chunk_frame(out);
	}
	return out->text.failed ? OUT_BROKEN : next;
}

/* ---- sending ---- */

static size_t unsent(const struct out *out)
{
	return out->text.n + out->piece.n + out->tail.n - out->at;
}

static size_t piece_sent(const struct out *out)
{
	size_t n = out->at > out->text.n ? out->at - out->text.n : 0;

	return n < out->piece.n ? n : out->piece.n;
}

/* Those of the three that are not sent. */
static int vector_of(const struct out *out, struct iovec to[3])
{
	const struct slice parts[] = { buf_slice(&out->text), out->piece, out->tail };
	size_t skip = out->at;
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t gone = skip < parts[i].n ? skip : parts[i].n;
		skip -= gone;
		if (parts[i].n > gone)
			to[n++] = (struct iovec){ (char *)parts[i].p + gone, parts[i].n - gone };
	}
	return n;
}

/* What the socket does not take: SEND_FULL, or SEND_BROKEN. */
static enum sent refusal(struct connection *c)
{
	if (errno == EINTR)
		return SEND_AGAIN;
	if (errno != EAGAIN)
		return SEND_BROKEN;
	c->writable = false;
	return SEND_FULL;
}

/* SEND_DONE: all that was set. */
static enum sent memory_send(struct connection *c)
{
	struct out *out = &c->out;
	struct iovec parts[3];
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = (size_t)vector_of(out, parts) };
	int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (out->fd_left > 0 ? MSG_MORE : 0);
	ssize_t n = sendmsg(c->fd, &m, flags);

	if (n < 0)
		return refusal(c);
	c->moved_ms = sys.monotonic_ms();
	size_t before = piece_sent(out);
	out->at += (size_t)n;
	if (c->request != NULL && c->request->stream != NULL)
		stream_sent(c->request->stream, piece_sent(out) - before);
	if (unsent(out) > 0) {
		c->writable = false; /* it has taken what it could */
		return SEND_FULL;
	}
	buf_clear(&out->text);
	out->piece = out->tail = SLICE("");
	out->at = 0;
	return SEND_DONE;
}

static enum sent file_send(struct connection *c)
{
	struct out *out = &c->out;

	for (size_t left = FILE_BYTES; out->fd_left > 0;) {
		if (left == 0)
			return SEND_AGAIN;
		ssize_t n = sendfile(c->fd, out->fd, &out->fd_at,
				     out->fd_left < left ? (size_t)out->fd_left : left);
		if (n == 0)
			return SEND_BROKEN; /* it is shorter than it was */
		if (n < 0)
			return refusal(c);
		c->moved_ms = sys.monotonic_ms();
		out->fd_left -= (uint64_t)n;
		left -= (size_t)n;
	}
	return SEND_DONE;
}

/* A worker reads the next piece of a source once all before is sent, so that nothing else is done
 * with the connection meanwhile. What a stream has goes along with the head. */
static bool wants_piece(const struct out *out)
{
	return out->pull != NULL ? unsent(out) == 0 : out->piece.n == 0 && out->at == 0;
}

enum sent send_some(struct connection *c)
{
	struct out *out = &c->out;

	for (;;) {
		enum out_next next = wants_piece(out) ? piece_next(c) : OUT_PIECE;
		bool none = unsent(out) == 0 && out->fd_left == 0;
		if (next == OUT_BROKEN && none)
			return SEND_BROKEN; /* and before that what there is */
		if (none && next != OUT_PIECE)
			return next == OUT_END ? SEND_DONE : SEND_WAITS;
		if (!c->writable)
			return SEND_FULL;
		enum sent sent = unsent(out) > 0 ? memory_send(c) : SEND_DONE;
		if (sent == SEND_DONE)
			sent = file_send(c);
		if (sent != SEND_DONE)
			return sent;
	}
}
