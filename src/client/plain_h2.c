/* plain_h2.c: what a connection of HTTP/2 has beside others: room for requests, and an end of the
 * turn. */
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "client/plain_impl.h"

/* As many as libcurl lets one connection carry, and what servers are advised to take (RFC 9113,
 * 6.5.2). */
#define STREAMS_MAX 100u

unsigned h2_room(const struct plain_h2 *h2)
{
	uint32_t most = nghttp2_session_get_remote_settings(
		h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	if (!h2->settled || h2->leaves || h2->gone)
		return 0;
	most = most < STREAMS_MAX ? most : STREAMS_MAX;
	return most > h2->n ? most - h2->n : 0;
}

void h2_touch(struct plain_h2 *h2)
{
	struct plain *p = h2->conn->host->plain;

	if (h2->touched)
		return;
	h2->touched = true;
	h2->next_touched = p->touched;
	p->touched = h2;
}

static void touch_take_back(struct plain_h2 *h2)
{
	struct plain_h2 **link = &h2->conn->host->plain->touched;

	while (*link != h2)
		link = &(*link)->next_touched;
	*link = h2->next_touched;
}

void h2_free(struct plain_h2 *h2)
{
	if (h2 == NULL)
		return;
	if (h2->touched)
		touch_take_back(h2);
	nghttp2_session_del(h2->session);
	buf_free(&h2->out);
	free(h2);
}

/* Both sides have said all. */
static bool is_over(const struct plain_h2 *h2, const struct plain_exchange *x)
{
	return x->all_in && nghttp2_session_get_stream_local_close(h2->session, x->stream) == 1;
}

/* Where there is no memory to tell the server, its answer is thrown away as it comes. */
void h2_leave(struct plain_h2 *h2, struct plain_exchange *x)
{
	h2_touch(h2);
	if (x->stream == 0)
		return;
	h2->n--;
	if (h2->gone)
		return;
	(void)nghttp2_session_set_stream_user_data(h2->session, x->stream, NULL);
	if (!is_over(h2, x))
		(void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, x->stream,
						NGHTTP2_CANCEL);
}
