/* plain_frames.c: what a connection of HTTP/2 has to say goes out in records of TLS: frames of many
 * requests in one, each of them one write(). */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <string.h>

#include "client/plain_impl.h"

#define OUT_MAX (64u << 10) /* a record and the rest of a frame are half of it */

/* What it has to say, up to a record. */
static size_t record_fill(struct plain_h2 *h2, char *record)
{
	size_t n = 0;

	while (n < PLAIN_RECORD_BYTES) {
		if (h2->rest.n == 0) {
			const uint8_t *bytes;
			ssize_t got = nghttp2_session_mem_send(h2->session, &bytes);
			h2->gone = got < 0;
			if (got <= 0)
				break;
			h2->rest = (struct slice){ (const char *)bytes, (size_t)got };
		}
		size_t room = PLAIN_RECORD_BYTES - n;
		size_t take = h2->rest.n < room ? h2->rest.n : room;
		memcpy(record + n, h2->rest.p, take);
		n += take;
		h2->rest = (struct slice){ h2->rest.p + take, h2->rest.n - take };
	}
	return n;
}

static bool keep(struct plain_h2 *h2, struct slice bytes)
{
	h2->out.max = OUT_MAX;
	buf_add(&h2->out, bytes);
	if (h2->out.failed)
		errno = ENOMEM;
	return !h2->out.failed;
}

/* False: the socket takes no more now, or errno. */
static bool kept_send(struct plain_h2 *h2)
{
	ssize_t n = conn_send(h2->conn, h2->out.p, h2->out.n);

	if (n < 0)
		return false;
	h2->out.n -= (size_t)n;
	if (h2->out.n > 0)
		memmove(h2->out.p, h2->out.p + n, h2->out.n);
	else
		buf_free(&h2->out);
	return true;
}

/* Likewise; and where there is nothing to send, errno is EAGAIN, too. */
static bool record_send(struct plain_h2 *h2)
{
	char *record = h2->conn->host->plain->record;
	size_t n = record_fill(h2, record);

	errno = EAGAIN;
	if (n == 0)
		return false;
	ssize_t gone = conn_send(h2->conn, record, n);
	if (gone < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	size_t out_n = gone > 0 ? (size_t)gone : 0;
	return out_n == n || keep(h2, (struct slice){ record + out_n, n - out_n });
}

/* nghttp2 has the rest of a frame until it is asked for the next. */
bool frames_write(struct plain_h2 *h2)
{
	bool went = true;

	errno = 0;
	for (unsigned i = 0; went && i < PLAIN_RECORDS; i++)
		went = h2->out.n > 0 ? kept_send(h2) : record_send(h2);
	if (!went && errno != EAGAIN && errno != EINTR)
		return false;
	if (h2->gone) { /* there is no memory */
		errno = ENOMEM;
		return false;
	}
	if (went)
		h2_touch(h2); /* there may be more: in the next turn */
	struct slice rest = h2->rest;
	h2->rest.n = 0;
	return rest.n == 0 || keep(h2, rest);
}
