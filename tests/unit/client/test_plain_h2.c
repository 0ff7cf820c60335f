/* test_plain_h2.c: HTTP/2 as lowtide speaks it: streams, windows, and the ends of both. */
#include "unit.h"

#include <zlib.h>

#include "h2_server.h"
#include "memory_fault.h"

/* ---- a request and its answer ---- */

static void what_is_sent_and_told(void **state)
{
	const struct header headers[] = {
		{ SLICE("X-One"), SLICE(" 1 ") },
		{ SLICE("X-Empty"), SLICE("") },
		{ SLICE("Connection"), SLICE("close") },
	};
	const struct exchange_setup setup = { .ops = &head_ops,
					      .headers = headers,
					      .header_count = 3 };
	char wanted[512];
	struct world w;

	(void)state;
	h2_world_open(&w, &setup);
	for (int i = 0; i < 3; i++) {
		struct seen *one = h2_asked(
			&w, &(struct exchange_request){ .body = SLICE("four"),
							.header = "traceparent: 00-ab" });
		snprintf(wanted, sizeof(wanted),
			 ":method: POST\n:scheme: https\n:authority: 127.0.0.1:%u\n:path: /v1\n"
			 "traceparent: 00-ab\nx-one: 1\nx-empty: \ncontent-length: 4\n",
			 w.port);
		assert_string_equal(one->fields, wanted);
		assert_int_equal(one->body_n, 4);
		answer_two(one);
		assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
		assert_int_equal(w.ask.status, 200);
		assert_int_equal(w.ask.length, 2);
		assert_int_equal(exchange_length(&w.ask.exchange), 2);
		assert_true(slice_is(exchange_header(&w.ask.exchange, "X-Word"), "yes"));
		body_is(&w, "{}");
		assert_int_equal(w.ask.outs, 1);
		assert_false(one->reset);
	}
	struct seen *none = h2_asked(&w, &(struct exchange_request){ 0 });
	assert_non_null(strstr(none->fields, "content-length: 0\n"));
	assert_null(strstr(none->fields, "traceparent"));
	assert_int_equal(connections, 1);
	h2_world_close(&w);
}

/* Interim answers, a body of no length, trailers. */
static void an_answer_of_many_frames(struct world *w)
{
	const nghttp2_nv hint[] = { NV(":status", "103"), NV("x-hint", "1") };
	const nghttp2_nv head[] = { NV(":status", "503"), NV("x-end", "a b") };
	const nghttp2_nv trailer[] = { NV("x-trailer", "1") };
	struct seen *one = h2_asked(w, &(struct exchange_request){ 0 });
	nghttp2_session *s = sessions[one->fd];

	nghttp2_submit_headers(s, NGHTTP2_FLAG_NONE, one->id, NULL, hint, 2, NULL);
	nghttp2_submit_headers(s, NGHTTP2_FLAG_NONE, one->id, NULL, head, 2, NULL);
	server_turn(one->fd);
	nghttp2_data_provider data = { .source.ptr = one, .read_callback = answer_read };
	one->body = "123456789";
	one->answer_n = 9;
	nghttp2_submit_data(s, NGHTTP2_FLAG_NONE, one->id, &data);
	server_turn(one->fd);
	nghttp2_submit_headers(s, NGHTTP2_FLAG_END_STREAM, one->id, NULL, trailer, 1, NULL);
	assert_int_equal(h2_ended(w), EXCHANGE_WHOLE);
	assert_int_equal(w->ask.status, 503);
	assert_int_equal(w->ask.length, UINT64_MAX);
	assert_true(slice_is(exchange_header(&w->ask.exchange, "x-end"), "a b"));
	assert_int_equal(exchange_header(&w->ask.exchange, "x-hint").n, 0);
	assert_int_equal(exchange_header(&w->ask.exchange, "x-trailer").n, 0);
	body_is(w, "123456789");
}

static void frames_in_pieces(void **state)
{
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ .ops = &head_ops });
	for (piece = 1; piece < 20; piece++)
		an_answer_of_many_frames(&w);
	piece = SIZE_MAX;
	an_answer_of_many_frames(&w);
	assert_int_equal(w.ask.heads, 20);
	assert_int_equal(connections, 1);
	h2_world_close(&w);
}

/* The end of the stream may come behind that of the body. */
static void an_end_that_comes_alone(void **state)
{
	const nghttp2_nv head[] = { NV(":status", "200"), NV("content-length", "0") };
	const nghttp2_nv last[] = { NV("x-trailer", "1") };
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
	nghttp2_submit_headers(sessions[one->fd], NGHTTP2_FLAG_NONE, one->id, NULL, head, 2, NULL);
	for (int i = 0; i < 5; i++)
		play(&w);
	assert_int_equal(w.ask.dones, 0);
	nghttp2_submit_headers(sessions[one->fd], NGHTTP2_FLAG_END_STREAM, one->id, NULL, last, 1,
			       NULL);
	assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
	play(&w);
	play(&w);
	assert_false(one->reset);
	h2_world_close(&w);
}

static void a_coded_body(void **state)
{
	const nghttp2_nv head[] = { NV(":status", "200"), NV("content-encoding", "gzip") };
	char packed[256];
	z_stream z = { .next_in = (Bytef *)"unpacked",
		       .avail_in = 8,
		       .next_out = (Bytef *)packed,
		       .avail_out = sizeof(packed) };
	struct world w;

	(void)state;
	deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	h2_world_open(&w, &(struct exchange_setup){ .decode = true });
	for (int cut = 0; cut < 2; cut++) {
		struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
		assert_non_null(strstr(one->fields, "accept-encoding: identity\n"));
		answer_with(one, head, 2, packed, z.total_out - (cut != 0 ? 4 : 0));
		assert_int_equal(h2_ended(&w), cut != 0 ? EXCHANGE_CODED : EXCHANGE_WHOLE);
		body_is(&w, "unpacked");
	}
	h2_world_close(&w);
}

/* ---- many on one ---- */

#define MANY 60u

static void many_open(struct world *w, struct ask all[static MANY], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ask_open(w, &all[i], &(struct exchange_setup){ 0 }, "127.0.0.1");
		start(&all[i], &(struct exchange_request){ .body = SLICE("{\"a\":1}") });
	}
}

static size_t many_over(const struct ask all[static MANY], size_t n)
{
	size_t over = 0;

	for (size_t i = 0; i < n; i++)
		over += all[i].dones > 0 && all[i].how == EXCHANGE_WHOLE;
	return over;
}

static void many_close(struct ask all[static MANY], size_t n)
{
	for (size_t i = 0; i < n; i++)
		ask_close(&all[i]);
}

static void one_connection_carries_them_all(void **state)
{
	static struct ask all[MANY];
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	many_open(&w, all, MANY);
	PLAY_UNTIL(&w, seen_n == MANY && seen[MANY - 1].whole);
	for (size_t i = 0; i < MANY; i++)
		answer_two(&seen[i]);
	PLAY_UNTIL(&w, many_over(all, MANY) == MANY);
	assert_int_equal(connections, 1);
	/* and what goes out in a turn is one record */
	play(&w);
	records = 0;
	for (size_t i = 0; i < MANY; i++)
		start(&all[i], &(struct exchange_request){ .body = SLICE("{\"a\":1}") });
	PLAY_UNTIL(&w, seen_n == 2 * MANY && seen[2 * MANY - 1].whole);
	assert_int_equal(records, 1);
	many_close(all, MANY);
	h2_world_close(&w);
}

/* As many as the server takes; then another connection, and one at a time. */
static void a_full_one_gets_another_beside_it(void **state)
{
	static struct ask all[MANY];
	struct world w;

	(void)state;
	takes = 16;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	many_open(&w, all, MANY);
	PLAY_UNTIL(&w, seen_n == MANY && seen[MANY - 1].whole);
	assert_int_equal(connections, 4);
	for (size_t i = 0; i < MANY; i++) {
		size_t on = 0;
		for (size_t k = 0; k < MANY; k++)
			on += seen[k].fd == seen[i].fd;
		assert_true(on <= 16);
	}
	for (size_t i = 0; i < MANY; i++)
		answer_two(&seen[i]);
	PLAY_UNTIL(&w, many_over(all, MANY) == MANY);
	assert_int_equal(connections, 4);
	many_close(all, MANY);
	h2_world_close(&w);
	takes = 100;
}

/* Who waits for a connection beside a full one takes the room that comes to be on that. */
static void room_that_comes_to_be(void **state)
{
	static struct ask all[MANY];
	struct world w;

	(void)state;
	takes = 2;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	h2_answered(&w);
	seen_n = 0;
	int listener = w.listener;
	w.listener = -1; /* a further connection is made, but nobody shakes hands */
	many_open(&w, all, 4);
	PLAY_UNTIL(&w, seen_n == 2 && seen[1].whole);
	for (int i = 0; i < 5; i++)
		play(&w);
	assert_int_equal(seen_n, 2);
	answer_two(&seen[0]);
	PLAY_UNTIL(&w, seen_n == 3 && seen[2].whole);
	assert_int_equal(all[3].outs + all[2].outs, 1);
	w.listener = listener;
	many_close(all, 4);
	h2_world_close(&w);
	takes = 100;
}

/* ---- windows ---- */

#define LARGE (1u << 20)
static char large[LARGE];

/* What its owner has no room for waits, up to its window; the others go on. */
static void one_that_waits_holds_up_itself_alone(void **state)
{
	const nghttp2_nv head[] = { NV(":status", "200") };
	struct ask other;
	struct world w;

	(void)state;
	memset(large, 'x', sizeof(large));
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	w.ask.takes = EXCHANGE_PAUSED;
	struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
	answer_with(one, head, 1, large, LARGE);
	for (int i = 0; i < 50; i++)
		play(&w);
	assert_int_equal(one->answer_at, 256u << 10);
	ask_open(&w, &other, &(struct exchange_setup){ 0 }, "127.0.0.1");
	for (int i = 0; i < 3; i++) {
		size_t before = seen_n;
		start(&other, &(struct exchange_request){ 0 });
		PLAY_UNTIL(&w, seen_n > before && seen[before].whole);
		answer_with(&seen[before], head, 1, large, LARGE);
		PLAY_UNTIL(&w, other.dones == (unsigned)i + 1);
		assert_int_equal(other.how, EXCHANGE_WHOLE);
		assert_int_equal(other.body.n, LARGE);
	}
	assert_int_equal(connections, 1);
	assert_true(stream_windows <= 3 * (LARGE / (128u << 10)));
	w.ask.takes = EXCHANGE_TAKEN;
	exchange_resume(&w.ask.exchange);
	assert_int_equal(w.ask.body.n, 256u << 10);
	assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
	assert_int_equal(w.ask.body.n, LARGE);
	assert_memory_equal(w.ask.body.p, large, LARGE);
	ask_close(&other);
	h2_world_close(&w);
}

/* An answer that is there needs its connection no more. */
static void a_connection_that_ends_under_one_that_waits(void **state)
{
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	for (int stops = 0; stops < 2; stops++) {
		w.ask.takes = EXCHANGE_PAUSED;
		struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
		answer_two(one);
		for (int i = 0; i < 5; i++)
			play(&w);
		h2_drop(one->fd, false);
		for (int i = 0; i < 5; i++)
			play(&w);
		assert_int_equal(w.ask.dones, 0);
		if (stops != 0)
			break;
		w.ask.takes = EXCHANGE_TAKEN;
		exchange_resume(&w.ask.exchange);
		assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
		body_is(&w, "{}");
		w.ask.dones = 0;
	}
	exchange_stop(&w.ask.exchange);
	h2_world_close(&w);
}

static void a_large_request(void **state)
{
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	answer_two(h2_asked(&w, &(struct exchange_request){ .body = { large, LARGE } }));
	assert_int_equal(seen[0].body_n, LARGE);
	assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
	/* an answer that comes before the request is whole ends it */
	start(&w.ask, &(struct exchange_request){ .body = { large, LARGE } });
	PLAY_UNTIL(&w, seen_n == 2);
	answer_two(&seen[1]);
	assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
	h2_answered(&w);
	assert_int_equal(connections, 1);
	h2_world_close(&w);
}

/* ---- ends ---- */

static void stopping_tells_the_server(void **state)
{
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
	exchange_stop(&w.ask.exchange);
	PLAY_UNTIL(&w, one->reset);
	assert_int_equal(one->code, NGHTTP2_CANCEL);
	/* before it has gone out it never does */
	start(&w.ask, &(struct exchange_request){ 0 });
	exchange_stop(&w.ask.exchange);
	h2_answered(&w);
	assert_int_equal(seen_n, 2);
	assert_int_equal(connections, 1);
	assert_int_equal(w.ask.dones, 1);
	h2_world_close(&w);
}

static void streams_that_are_reset(void **state)
{
	const nghttp2_nv head[] = { NV(":status", "200"), NV("content-length", "9") };
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	server_resets(h2_asked(&w, &(struct exchange_request){ 0 }), NGHTTP2_INTERNAL_ERROR);
	assert_int_equal(h2_ended(&w), EXCHANGE_BROKEN);
	assert_non_null(strstr(w.ask.said, "INTERNAL_ERROR"));
	assert_int_equal(w.ask.outs, 1);
	/* refused: it goes out once more */
	server_resets(h2_asked(&w, &(struct exchange_request){ 0 }), NGHTTP2_REFUSED_STREAM);
	PLAY_UNTIL(&w, seen_n == 3 && seen[2].whole);
	answer_two(&seen[2]);
	assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
	assert_int_equal(w.ask.outs, 2);
	server_resets(h2_asked(&w, &(struct exchange_request){ 0 }), NGHTTP2_REFUSED_STREAM);
	PLAY_UNTIL(&w, seen_n == 5 && seen[4].whole);
	server_resets(&seen[4], NGHTTP2_REFUSED_STREAM);
	assert_int_equal(h2_ended(&w), EXCHANGE_UNPROCESSED);
	assert_int_equal(w.ask.outs, 2);
	/* not once a part of the answer has come */
	struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
	nghttp2_submit_headers(sessions[one->fd], NGHTTP2_FLAG_NONE, one->id, NULL, head, 2, NULL);
	server_turn(one->fd);
	server_resets(one, NGHTTP2_REFUSED_STREAM);
	assert_int_equal(h2_ended(&w), EXCHANGE_BROKEN);
	assert_int_equal(w.ask.status, 200);
	h2_answered(&w);
	assert_int_equal(connections, 1);
	h2_world_close(&w);
}

/* One send alone: it is not sent again. */
static void no_more_sends_than_were_given(void **state)
{
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ .sends_max = 1 });
	server_resets(h2_asked(&w, &(struct exchange_request){ 0 }), NGHTTP2_REFUSED_STREAM);
	assert_int_equal(h2_ended(&w), EXCHANGE_UNPROCESSED);
	h2_answered(&w);
	for (int i = 0; i < 5; i++)
		play(&w);
	struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
	h2_drop(one->fd, false);
	assert_int_equal(h2_ended(&w), EXCHANGE_STALE);
	assert_int_equal(w.ask.exchange.sent, 1);
	h2_world_close(&w);
}

/* Others on its connection go on. */
static void what_may_not_go_does_not(void **state)
{
	static struct ask other;
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	h2_answered(&w);
	struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
	ask_open(&w, &other, &(struct exchange_setup){ 0 }, "127.0.0.1");
	size_t before = seen_n;
	may_not_go = true;
	start(&other, &(struct exchange_request){ 0 });
	PLAY_UNTIL(&w, other.dones == 1);
	may_not_go = false;
	assert_int_equal(other.how, EXCHANGE_STALE);
	assert_int_equal(other.exchange.sent, 0);
	for (int i = 0; i < 5; i++)
		play(&w);
	assert_int_equal(seen_n, before);
	assert_int_equal(w.ask.dones, 1);
	answer_two(one);
	assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
	ask_close(&other);
	h2_world_close(&w);
}

/* GOAWAY: what it counts goes on, what it does not goes elsewhere, and what is new, too. */
static void a_server_that_leaves(void **state)
{
	static struct ask all[MANY];
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	many_open(&w, all, 4);
	PLAY_UNTIL(&w, seen_n == 4 && seen[3].whole);
	int fd = seen[0].fd;
	nghttp2_submit_goaway(sessions[fd], NGHTTP2_FLAG_NONE, seen[1].id, NGHTTP2_NO_ERROR, NULL,
			      0);
	PLAY_UNTIL(&w, seen_n == 6 && seen[5].whole);
	assert_int_not_equal(seen[4].fd, fd);
	assert_int_equal(seen[4].fd, seen[5].fd);
	for (size_t i = 0; i < 6; i++)
		if (i < 2 || i > 3)
			answer_two(&seen[i]);
	PLAY_UNTIL(&w, many_over(all, 4) == 4);
	assert_int_equal(all[0].outs + all[1].outs + all[2].outs + all[3].outs, 6);
	assert_int_equal(connections, 2);
	char byte;
	for (int i = 0; i < 5; i++)
		play(&w);
	assert_int_equal(server_read(fd, &byte, 1), 0); /* the client has closed it */
	many_close(all, 4);
	h2_world_close(&w);
}

/* A connection's end under requests: in good order, they were not looked at; else they may have been. */
static void a_connection_that_ends(void **state)
{
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	for (int again = 0; again < 2; again++) {
		h2_drop(h2_asked(&w, &(struct exchange_request){ 0 })->fd, true);
		PLAY_UNTIL(&w, seen_n % 2 == 0 && seen[seen_n - 1].whole);
		if (again != 0)
			h2_drop(seen[seen_n - 1].fd, true);
		else
			answer_two(&seen[seen_n - 1]);
		assert_int_equal(h2_ended(&w), again != 0 ? EXCHANGE_UNPROCESSED : EXCHANGE_WHOLE);
		assert_int_equal(w.ask.outs, 2);
	}
	h2_drop(h2_asked(&w, &(struct exchange_request){ 0 })->fd, false);
	assert_int_equal(h2_ended(&w), EXCHANGE_BROKEN);
	assert_non_null(strstr(w.ask.said, "close_notify"));
	assert_int_equal(w.ask.outs, 1);
	/* one that was kept, and was dead before */
	h2_answered(&w);
	play(&w);
	play(&w);
	size_t before = seen_n;
	h2_drop(h2_asked(&w, &(struct exchange_request){ 0 })->fd, false);
	PLAY_UNTIL(&w, seen_n == before + 2 && seen[before + 1].whole);
	answer_two(&seen[before + 1]);
	assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
	assert_int_equal(w.ask.outs, 2);
	h2_world_close(&w);
}

/* What has been heard of since is not taken for dead. */
static void one_that_has_lived_since(void **state)
{
	struct ask other;
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	h2_answered(&w);
	struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
	ask_open(&w, &other, &(struct exchange_setup){ 0 }, "127.0.0.1");
	start(&other, &(struct exchange_request){ 0 });
	PLAY_UNTIL(&w, seen_n == 3 && seen[2].whole);
	answer_two(&seen[2]);
	PLAY_UNTIL(&w, other.dones == 1);
	h2_drop(one->fd, false);
	assert_int_equal(h2_ended(&w), EXCHANGE_BROKEN);
	assert_int_equal(w.ask.outs, 1);
	ask_close(&other);
	h2_world_close(&w);
}

/* ---- time ---- */

static void time_outs(void **state)
{
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ .timeout_ms = 5000 });
	h2_answered(&w);
	struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
	later_s += 6;
	assert_int_equal(h2_ended(&w), EXCHANGE_TIMEOUT);
	PLAY_UNTIL(&w, one->reset);
	/* nothing was heard on the connection: it may be dead, and carries no more */
	h2_answered(&w);
	assert_int_equal(connections, 2);
	h2_world_close(&w);
	h2_world_open(&w, &(struct exchange_setup){ .silence_ms = 2000 });
	h2_asked(&w, &(struct exchange_request){ 0 });
	later_s += 3;
	assert_int_equal(h2_ended(&w), EXCHANGE_TIMEOUT);
	h2_world_close(&w);
}

/* The server may close an idle one, ask whether it is alive, and say that it leaves. */
static void idle_connections(void **state)
{
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	h2_answered(&w);
	play(&w);
	int fd = seen[0].fd;
	nghttp2_submit_ping(sessions[fd], NGHTTP2_FLAG_NONE, NULL);
	PLAY_UNTIL(&w, pongs == 1);
	h2_answered(&w);
	assert_int_equal(connections, 1);
	nghttp2_submit_goaway(sessions[fd], NGHTTP2_FLAG_NONE, seen[1].id, NGHTTP2_NO_ERROR, NULL,
			      0);
	for (int i = 0; i < 5; i++)
		play(&w);
	h2_answered(&w);
	assert_int_equal(connections, 2);
	assert_int_equal(w.ask.outs, 1);
	later_s += 4; /* then it is closed */
	h2_answered(&w);
	assert_int_equal(connections, 3);
	/* fresh */
	answer_two(h2_asked(&w, &(struct exchange_request){ .fresh = true }));
	assert_int_equal(h2_ended(&w), EXCHANGE_WHOLE);
	assert_int_equal(connections, 4);
	h2_world_close(&w);
}

/* Many that want a fresh connection share a new one. */
static void fresh_ones_share_a_new_connection(void **state)
{
	static struct ask all[MANY];
	struct world w;

	(void)state;
	h2_world_open(&w, &(struct exchange_setup){ 0 });
	h2_answered(&w);
	seen_n = 0;
	for (size_t i = 0; i < 8; i++) {
		ask_open(&w, &all[i], &(struct exchange_setup){ 0 }, "127.0.0.1");
		start(&all[i], &(struct exchange_request){ .fresh = true });
	}
	PLAY_UNTIL(&w, seen_n == 8 && seen[7].whole);
	assert_int_equal(connections, 2);
	many_close(all, 8);
	h2_world_close(&w);
}

/* ---- what is no HTTP/2 ---- */

static void answers_that_are_wrong(void **state)
{
	const nghttp2_nv odd[] = { NV(":status", "200"), NV("x y", "1") };
	const nghttp2_nv shorter[] = { NV(":status", "200"), NV("content-length", "9") };
	const nghttp2_nv framed[] = { NV(":status", "200"), NV("transfer-encoding", "chunked") };
	const nghttp2_nv none[] = { NV("x-word", "yes") };
	struct world w;

	(void)state;
	for (int told = 0; told < 2; told++) {
		h2_world_open(&w, &(struct exchange_setup){ .ops = told != 0 ? &head_ops : &ops });
		answer_with(h2_asked(&w, &(struct exchange_request){ 0 }), odd, 2, "{}", 2);
		assert_int_equal(h2_ended(&w), told != 0 ? EXCHANGE_MALFORMED : EXCHANGE_BROKEN);
		assert_string_not_equal(w.ask.said, "");
		answer_with(h2_asked(&w, &(struct exchange_request){ 0 }), shorter, 2, "{}", 2);
		assert_int_equal(h2_ended(&w), EXCHANGE_BROKEN);
		answer_with(h2_asked(&w, &(struct exchange_request){ 0 }), framed, 2, "{}", 2);
		assert_int_equal(h2_ended(&w), EXCHANGE_BROKEN);
		answer_with(h2_asked(&w, &(struct exchange_request){ 0 }), none, 1, "{}", 2);
		assert_int_equal(h2_ended(&w), EXCHANGE_BROKEN);
		h2_answered(&w);
		assert_int_equal(connections, 1);
		h2_world_close(&w);
	}
}

static void bytes_that_are_none(void **state)
{
	static const char *const all[] = { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
					   "\0\0\1\4\0\0\0\0\0\1" };
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		h2_world_open(&w, &(struct exchange_setup){ 0 });
		struct seen *one = h2_asked(&w, &(struct exchange_request){ 0 });
		bytes_say(one->fd, (const uint8_t *)all[i], i == 0 ? strlen(all[0]) : 10);
		assert_int_equal(h2_ended(&w), EXCHANGE_BROKEN);
		assert_int_equal(w.ask.outs, 1);
		h2_answered(&w);
		assert_int_equal(connections, 2);
		h2_world_close(&w);
	}
}

/* ---- memory ---- */

static void memory_that_is_out(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP_THIN; memory_sweep_next(&s);) {
		struct world w;
		bool asks;

		h2_world_open(&w, &(struct exchange_setup){ 0 });
		memory_fail(&s);
		asks = exchange_start(&w.ask.exchange, &(struct exchange_request){ 0 });
		for (int i = 0; i < 50 && asks && w.ask.dones == 0; i++) {
			bool woken;
			client_due(w.client);
			client_wait(w.client, 1, &woken);
			client_deliver(w.client);
			servers_shake();
			take_all(&w);
			for (size_t fd = 0; fd < ARRAY_LEN(standing); fd++)
				if (standing[fd])
					server_turn((int)fd);
			for (size_t n = 0; n < seen_n; n++)
				if (seen[n].whole && seen[n].body == NULL)
					answer_two(&seen[n]);
		}
		memory_restore(&s);
		assert_true(!asks || w.ask.dones == 1);
		assert_true(s.fired || w.ask.how == EXCHANGE_WHOLE);
		h2_world_close(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_and_told),
		cmocka_unit_test(frames_in_pieces),
		cmocka_unit_test(an_end_that_comes_alone),
		cmocka_unit_test(a_coded_body),
		cmocka_unit_test(one_connection_carries_them_all),
		cmocka_unit_test(a_full_one_gets_another_beside_it),
		cmocka_unit_test(room_that_comes_to_be),
		cmocka_unit_test(one_that_waits_holds_up_itself_alone),
		cmocka_unit_test(a_connection_that_ends_under_one_that_waits),
		cmocka_unit_test(a_large_request),
		cmocka_unit_test(stopping_tells_the_server),
		cmocka_unit_test(streams_that_are_reset),
		cmocka_unit_test(no_more_sends_than_were_given),
		cmocka_unit_test(what_may_not_go_does_not),
		cmocka_unit_test(a_server_that_leaves),
		cmocka_unit_test(a_connection_that_ends),
		cmocka_unit_test(one_that_has_lived_since),
		cmocka_unit_test(time_outs),
		cmocka_unit_test(idle_connections),
		cmocka_unit_test(fresh_ones_share_a_new_connection),
		cmocka_unit_test(answers_that_are_wrong),
		cmocka_unit_test(bytes_that_are_none),
		cmocka_unit_test(memory_that_is_out),
	};

	certs_make();
	over_tls = true;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	certs_free();
	return failed;
}
