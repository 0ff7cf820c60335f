/* h2_server.h: the server of plain_world.h, speaking HTTP/2: what it has seen, and what it says when the
 * test says so. One session a connection, by nghttp2's other side. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "plain_world.h"

#define SEEN_MAX 300u

/* A request, or what has come of it. */
struct seen {
	int fd;
	int32_t id;
	bool whole, reset;
	uint32_t code; /* of the reset */
	size_t body_n;
	char fields[1024]; /* "name: value\n"... */
	/* the answer's */
	const char *body;
	size_t answer_n, answer_at;
};

static struct seen seen[SEEN_MAX];
static size_t seen_n;
static nghttp2_session *sessions[ARRAY_LEN(standing)]; /* by descriptor */
static uint32_t takes = 100;                           /* streams a connection */
static size_t piece = SIZE_MAX;                        /* bytes that are said at a time */
static size_t records, stream_windows, pongs;          /* that have come */

static inline struct seen *seen_find(int fd, int32_t id)
{
	for (size_t i = seen_n; i > 0; i--)
		if (seen[i - 1].fd == fd && seen[i - 1].id == id)
			return &seen[i - 1];
	return NULL;
}

static inline int server_begin_headers(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
	(void)s;
	assert_true(seen_n < SEEN_MAX);
	seen[seen_n++] = (struct seen){ .fd = (int)(intptr_t)arg, .id = f->hd.stream_id };
	return 0;
}

static inline int server_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name,
				size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags,
				void *arg)
{
	struct seen *one = seen_find((int)(intptr_t)arg, f->hd.stream_id);
	size_t n = strlen(one->fields);

	(void)s;
	(void)flags;
	snprintf(one->fields + n, sizeof(one->fields) - n, "%.*s: %.*s\n", (int)name_n,
		 (const char *)name, (int)value_n, (const char *)value);
	return 0;
}

static inline int server_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes,
			      size_t n, void *arg)
{
	(void)s;
	(void)flags;
	(void)bytes;
	seen_find((int)(intptr_t)arg, id)->body_n += n;
	return 0;
}

static inline int server_frame(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
	struct seen *one = seen_find((int)(intptr_t)arg, f->hd.stream_id);

	(void)s;
	if (one != NULL && (f->hd.type == NGHTTP2_HEADERS || f->hd.type == NGHTTP2_DATA))
		one->whole |= (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	if (one != NULL && f->hd.type == NGHTTP2_RST_STREAM) {
		one->reset = true;
		one->code = f->rst_stream.error_code;
	}
	stream_windows += f->hd.type == NGHTTP2_WINDOW_UPDATE && f->hd.stream_id != 0;
	pongs += f->hd.type == NGHTTP2_PING && (f->hd.flags & NGHTTP2_FLAG_ACK) != 0;
	return 0;
}

static inline void session_make(int fd)
{
	nghttp2_session_callbacks *calls;
	nghttp2_option *option;
	nghttp2_settings_entry most = { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, takes };

	nghttp2_session_callbacks_new(&calls);
	nghttp2_session_callbacks_set_on_begin_headers_callback(calls, server_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(calls, server_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, server_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(calls, server_frame);
	nghttp2_option_new(&option);
	nghttp2_option_set_no_http_messaging(option, 1); /* it may say what it must not */
	assert_int_equal(
		nghttp2_session_server_new2(&sessions[fd], calls, (void *)(intptr_t)fd, option), 0);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(calls);
	nghttp2_submit_settings(sessions[fd], NGHTTP2_FLAG_NONE, &most, 1);
}

static inline void session_end(int fd)
{
	nghttp2_session_del(sessions[fd]);
	sessions[fd] = NULL;
}

static inline void bytes_say(int fd, const uint8_t *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		size_t most = n - at < piece ? n - at : piece;
		ssize_t went = server_send(fd, bytes + at, most);
		if (went < 0 && errno == EAGAIN)
			fail_msg("the socket takes no more");
		if (went <= 0)
			return; /* the client has closed it */
		at += (size_t)went;
	}
}

/* The server hears what has come, and says what it has to. */
static inline void server_turn(int fd)
{
	static uint8_t bytes[20000];
	const uint8_t *out;
	ssize_t n;

	if (!SSL_is_init_finished(server_ssl[fd]))
		return;
	if (sessions[fd] == NULL)
		session_make(fd);
	while ((n = server_read(fd, bytes, sizeof(bytes))) > 0) {
		records++;
		(void)nghttp2_session_mem_recv(sessions[fd], bytes, (size_t)n);
	}
	while ((n = nghttp2_session_mem_send(sessions[fd], &out)) > 0)
		bytes_say(fd, out, (size_t)n);
}

static inline void play(struct world *w)
{
	turn(w);
	take_all(w);
	for (size_t fd = 0; fd < ARRAY_LEN(standing); fd++)
		if (standing[fd])
			server_turn((int)fd);
}

/* Turns until it is so; the test fails where it does not come to be. */
#define PLAY_UNTIL(w, so)                                        \
	do {                                                     \
		for (int i_ = 0; i_ < 20000 && !(so); i_++)      \
			play(w);                                 \
		if (!(so))                                       \
			fail_msg("%s does not come to be", #so); \
	} while (0)

/* ---- what it says ---- */

#define NV(n_, v_)                                                                             \
	{                                                                                      \
		(uint8_t *)(n_), (uint8_t *)(v_), strlen(n_), strlen(v_), NGHTTP2_NV_FLAG_NONE \
	}

static inline ssize_t answer_read(nghttp2_session *s, int32_t id, uint8_t *to, size_t room,
				  uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct seen *one = source->ptr;
	size_t left = one->answer_n - one->answer_at, n = left < room ? left : room;

	(void)s;
	(void)id;
	(void)arg;
	memcpy(to, one->body + one->answer_at, n);
	one->answer_at += n;
	if (n == left)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static inline void answer_with(struct seen *one, const nghttp2_nv *fields, size_t fields_n,
			       const char *body, size_t n)
{
	nghttp2_data_provider data = { .source.ptr = one, .read_callback = answer_read };

	one->body = body;
	one->answer_n = n;
	one->answer_at = 0;
	assert_int_equal(nghttp2_submit_response(sessions[one->fd], one->id, fields, fields_n,
						 body != NULL ? &data : NULL),
			 0);
}

static inline void answer_two(struct seen *one)
{
	const nghttp2_nv fields[] = { NV(":status", "200"), NV("content-length", "2"),
				      NV("x-word", "yes") };

	answer_with(one, fields, ARRAY_LEN(fields), "{}", 2);
}

static inline void server_resets(const struct seen *one, uint32_t code)
{
	nghttp2_submit_rst_stream(sessions[one->fd], NGHTTP2_FLAG_NONE, one->id, code);
}

/* ---- the world ---- */

static inline void h2_world_open(struct world *w, const struct exchange_setup *setup)
{
	static char h2[] = "\x02h2";

	SSL_CTX_free(server_ctx);
	server_ctx = server_ctx_of(&usual);
	SSL_CTX_set_alpn_select_cb(server_ctx, choose, h2);
	seen_n = 0;
	records = stream_windows = pongs = 0;
	connections = 0;
	world_open(w, setup);
}

static inline void h2_drop(int fd, bool farewell)
{
	session_end(fd);
	if (farewell)
		server_close(fd);
	else
		server_drop(fd);
}

static inline void h2_world_close(struct world *w)
{
	for (size_t fd = 0; fd < ARRAY_LEN(standing); fd++)
		if (standing[fd])
			h2_drop((int)fd, true);
	w->fd = -1;
	world_close(w);
}

/* Starts a request; the server has it. */
static inline struct seen *h2_asked(struct world *w, const struct exchange_request *rq)
{
	size_t before = seen_n;

	start(&w->ask, rq);
	PLAY_UNTIL(w, seen_n > before && seen[seen_n - 1].whole);
	play(w);
	play(w);
	return &seen[seen_n - 1];
}

static inline enum exchange_end h2_ended(struct world *w)
{
	unsigned dones = w->ask.dones;

	PLAY_UNTIL(w, w->ask.dones > dones);
	return w->ask.how;
}

static inline void h2_answered(struct world *w)
{
	answer_two(h2_asked(w, &(struct exchange_request){ 0 }));
	assert_int_equal(h2_ended(w), EXCHANGE_WHOLE);
}
