/* test_plain.c: HTTP/1.1 as lowtide speaks it, against a server that the test plays in the same
 * thread: each test once without TLS, once with it. */
#include "unit.h"

#include <zlib.h>

#include "memory_fault.h"
#include "plain_world.h"

/* ---- answers ---- */

static void cut_at_every_byte(void **state)
{
	static const char *const all[] = {
		"HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 9\r\nX: 1\r\n\r\n123456789",
		OK
		"Transfer-Encoding: chunked\r\n\r\n4;x=\"1\"\r\n1234\r\n05\r\n56789\r\n0\r\nT: 1\r\n\r\n",
	};
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ .ops = &head_ops });
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		for (size_t at = 1; at < strlen(all[i]); at++) {
			asked(&w, &(struct exchange_request){ 0 });
			say(&w, all[i], at);
			turn(&w);
			assert_true(w.ask.exchange.under_way);
			say(&w, all[i] + at, strlen(all[i]) - at);
			assert_int_equal(ended(&w), EXCHANGE_WHOLE);
			assert_int_equal(w.ask.status, 200);
			body_is(&w, "123456789");
		}
	assert_false(taken(&w)); /* all on one connection */
	world_close(&w);
}

static void byte_by_byte(void **state)
{
	static const char text[] = OK "Content-Length: 3\r\nX-One:  a b \r\n\r\nabc";
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ .ops = &head_ops });
	asked(&w, &(struct exchange_request){ 0 });
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		say(&w, text + i, 1);
		turn(&w);
	}
	assert_int_equal(w.ask.dones, 1);
	body_is(&w, "abc");
	assert_int_equal(w.ask.heads, 1);
	assert_int_equal(w.ask.length, 3);
	assert_true(slice_is(exchange_header(&w.ask.exchange, "x-one"), "a b"));
	world_close(&w);
}

static void until_the_end(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ .ops = &head_ops });
	asked(&w, &(struct exchange_request){ 0 });
	SAY(&w, "HTTP/1.0 200 OK\r\n\r\nall of it");
	for (int i = 0; i < 3; i++)
		turn(&w);
	assert_int_equal(w.ask.dones, 0);
	assert_true(exchange_length(&w.ask.exchange) == UINT64_MAX);
	hang_up(&w);
	assert_int_equal(ended(&w), EXCHANGE_WHOLE);
	body_is(&w, "all of it");
	world_close(&w);
}

static void what_breaks(void **state)
{
	static const struct {
		const char *text, *said;
		int status;
	} all[] = {
		{ "", "Empty reply", 0 },
		{ "HTTP/1.1 200", "closed in the head", 0 },
		{ OK "Content-Length: 9\r\n\r\n{}", "before the answer was whole", 200 },
		{ OK "Content-Length: 9\r\nContent-Length: 8\r\n\r\n", "two Content-Lengths", 0 },
		{ OK "Transfer-Encoding: chunked\r\n\r\nx", "no size", 200 },
		{ "SSH-2.0-OpenSSH_9.2\r\n", "no HTTP", 0 },
	};
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		asked(&w, &(struct exchange_request){ 0 });
		say(&w, all[i].text, strlen(all[i].text));
		hang_up(&w);
		assert_int_equal(ended(&w), EXCHANGE_BROKEN);
		assert_int_equal(w.ask.status, all[i].status);
		if (strstr(w.ask.said, all[i].said) == NULL)
			fail_msg("%s: %s", all[i].text, w.ask.said);
	}
	asked(&w, &(struct exchange_request){ 0 });
	const struct linger reset = { .l_onoff = 1 };
	setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	server_drop(w.fd);
	w.fd = -1;
	assert_int_equal(ended(&w), EXCHANGE_BROKEN);
	assert_string_equal(w.ask.said, "Recv failure: Connection reset by peer");
	world_close(&w);
}

/* Lines have no `head`: headers that mean nothing to them are not looked at, but for what no
 * server sends. */
static void odd_heads(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	assert_int_equal(answered(&w, OK "X Y: \x01\r\n folded\r\nContent-Length: 0\r\n\r\n"),
			 EXCHANGE_WHOLE);
	assert_int_equal(answered(&w, OK "none\r\nContent-Length: 0\r\n\r\n"), EXCHANGE_BROKEN);
	assert_int_equal(w.ask.status, 200);
	asked(&w, &(struct exchange_request){ 0 });
	SAY(&w, OK "X: \0\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(ended(&w), EXCHANGE_BROKEN);
	world_close(&w);
}

/* ---- bodies that wait ---- */

static void say_much(struct world *w, size_t *sent, size_t n)
{
	static char block[32768];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)('a' + i % 23);
	while (*sent < n) {
		size_t at = *sent % sizeof(block);
		size_t most = n - *sent < sizeof(block) - at ? n - *sent : sizeof(block) - at;
		ssize_t got = server_send(w->fd, block + at, most);
		if (got <= 0)
			return;
		*sent += (size_t)got;
	}
}

static void check_much(const struct buf *body, size_t n)
{
	assert_int_equal(body->n, n);
	for (size_t i = 0; i < n; i++)
		if (body->p[i] != (char)('a' + i % 32768 % 23))
			fail_msg("another byte at %zu", i);
}

/* What is not taken stands in the socket: the server comes to wait. */
static void a_body_that_waits_is_not_read(void **state)
{
	const size_t whole = 32u << 20;
	size_t sent = 0, before = 1;
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ .silence_ms = 5000 });
	asked(&w, &(struct exchange_request){ 0 });
	w.ask.takes = EXCHANGE_PAUSED;
	SAY(&w, OK "Content-Length: 33554432\r\n\r\n");
	while (sent != before) {
		before = sent;
		say_much(&w, &sent, whole);
		for (int i = 0; i < 20; i++)
			turn(&w);
	}
	assert_true(sent < whole / 2);
	later_s += 60; /* silence that is its owner's doing ends nothing */
	turn(&w);
	exchange_resume(&w.ask.exchange); /* still no room */
	assert_int_equal(w.ask.body.n, 0);
	assert_int_equal(w.ask.dones, 0);
	w.ask.takes = EXCHANGE_TAKEN;
	exchange_resume(&w.ask.exchange);
	assert_true(w.ask.body.n > 0); /* what was there already */
	while (w.ask.dones == 0) {
		say_much(&w, &sent, whole);
		turn(&w);
	}
	assert_int_equal(w.ask.how, EXCHANGE_WHOLE);
	check_much(&w.ask.body, whole);
	world_close(&w);
}

/* A pause at the last piece, and the end behind it. */
static void the_end_of_a_body_that_waits(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	w.ask.takes = EXCHANGE_PAUSED;
	asked(&w, &(struct exchange_request){ 0 });
	SAY(&w, OK "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
	for (int i = 0; i < 5; i++)
		turn(&w);
	assert_int_equal(w.ask.dones, 0);
	w.ask.takes = EXCHANGE_TAKEN;
	exchange_resume(&w.ask.exchange);
	assert_int_equal(w.ask.dones, 0); /* in client_deliver() alone */
	exchange_resume(&w.ask.exchange); /* of what has ended: nothing */
	client_deliver(w.client);
	assert_int_equal(w.ask.how, EXCHANGE_WHOLE);
	body_is(&w, "{}");
	w.ask.takes = EXCHANGE_PAUSED;
	asked(&w, &(struct exchange_request){ 0 });
	assert_false(taken(&w));
	SAY(&w, TWO);
	for (int i = 0; i < 5; i++)
		turn(&w);
	hang_up(&w);
	for (int i = 0; i < 5; i++)
		turn(&w);
	assert_int_equal(w.ask.dones, 1);
	exchange_stop(&w.ask.exchange);
	world_close(&w);
}

/* ---- codings ---- */

static size_t packed(const char *text, size_t n, int bits, char *to, size_t size)
{
	z_stream z = { .next_in = (Bytef *)text, .avail_in = (uInt)n };

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = (Bytef *)to;
	z.avail_out = (uInt)size;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return size - z.avail_out;
}

static enum exchange_end coded(struct world *w, const char *coding, const char *p, size_t n)
{
	char head[200];

	asked(w, &(struct exchange_request){ 0 });
	snprintf(head, sizeof(head), OK "Content-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
		 coding, n);
	say(w, head, strlen(head));
	say(w, p, n);
	/* now and then its owner has no room */
	while (w->ask.exchange.under_way) {
		turn(w);
		w->ask.takes = w->ask.takes == EXCHANGE_TAKEN ? EXCHANGE_PAUSED : EXCHANGE_TAKEN;
		if (w->ask.exchange.under_way)
			exchange_resume(&w->ask.exchange);
	}
	w->ask.takes = EXCHANGE_TAKEN;
	return w->ask.how;
}

static void codings_are_taken_off(void **state)
{
	static char text[200000], small[100000];
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i * i % 7);
	world_open(&w, &(struct exchange_setup){ .decode = true });
	static const struct {
		const char *coding;
		int bits;
	} all[] = { { "gzip", 31 }, { "X-GZIP", 31 }, { "deflate", 15 }, { "deflate", -15 } };
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		size_t n = packed(text, sizeof(text), all[i].bits, small, sizeof(small));
		assert_int_equal(coded(&w, all[i].coding, small, n), EXCHANGE_WHOLE);
		assert_int_equal(w.ask.body.n, sizeof(text));
		assert_memory_equal(w.ask.body.p, text, sizeof(text));
		if (coded(&w, all[i].coding, small, n - 9) != EXCHANGE_CODED)
			fail_msg("%s %d %zu: cut %zu", all[i].coding, all[i].bits, n, w.ask.body.n);
		small[n / 2] ^= 0x55;
		enum exchange_end damaged = coded(&w, all[i].coding, small, n);
		if (all[i].bits > 0 && damaged != EXCHANGE_CODED) /* the others hold no checksum */
			fail_msg("%s %d %zu: %d %zu", all[i].coding, all[i].bits, n, damaged,
				 w.ask.body.n);
	}
	size_t n = packed("one ", 4, 31, small, sizeof(small));
	n += packed("two", 3, 31, small + n, sizeof(small) - n);
	assert_int_equal(coded(&w, "gzip", small, n), EXCHANGE_WHOLE); /* two members */
	body_is(&w, "one two");
	assert_int_equal(coded(&w, "identity", "{}", 2), EXCHANGE_WHOLE);
	body_is(&w, "{}");
	assert_int_equal(coded(&w, "snappy", "{}", 2), EXCHANGE_CODED);
	assert_int_equal(w.ask.status, 200);
	assert_int_equal(coded(&w, "gzip", "", 0), EXCHANGE_WHOLE); /* nothing is coded */
	world_close(&w);
	world_open(&w, &(struct exchange_setup){ 0 }); /* others get it as it is */
	assert_int_equal(coded(&w, "snappy", "{}", 2), EXCHANGE_WHOLE);
	world_close(&w);
}

/* ---- requests ---- */

static void a_large_request_goes_out_whole(void **state)
{
	static char body[8u << 20];
	size_t n = 0;
	struct world w;

	(void)state;
	memset(body, 'x', sizeof(body));
	world_open(&w, &(struct exchange_setup){ 0 });
	start(&w.ask, &(struct exchange_request){ .body = { body, sizeof(body) } });
	char piece[65536];
	while (n < sizeof(body)) {
		turn(&w);
		taken(&w);
		ssize_t got = w.fd >= 0 ? server_read(w.fd, piece, sizeof(piece)) : 0;
		n += got > 0 ? (size_t)got : 0;
	}
	while (server_read(w.fd, piece, sizeof(piece)) > 0)
		turn(&w);
	SAY(&w, EMPTY);
	assert_int_equal(ended(&w), EXCHANGE_WHOLE);
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	assert_false(taken(&w));
	world_close(&w);
}

/* A server may refuse a body that it has not read: its answer counts, the connection is not used
 * again. */
static void an_answer_before_the_request_is_out(void **state)
{
	static char body[32u << 20];
	struct world w;

	(void)state;
	for (int close_too = 0; close_too < 2; close_too++) {
		world_open(&w, &(struct exchange_setup){ 0 });
		start(&w.ask, &(struct exchange_request){ .body = { body, sizeof(body) } });
		while (!taken(&w))
			turn(&w);
		for (int i = 0; i < 20; i++)
			turn(&w);
		SAY(&w, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\n{}");
		if (close_too != 0)
			shutdown(w.fd, SHUT_WR);
		assert_int_equal(ended(&w), EXCHANGE_WHOLE);
		assert_int_equal(w.ask.status, 413);
		hang_up(&w);
		assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
		world_close(&w);
	}
}

static void methods(void **state)
{
	static const struct {
		struct exchange_setup setup;
		const char *begin, *has;
	} all[] = {
		{ { .get = true }, "GET /v1 HTTP/1.1\r\nHost: 127.0.0.1:", "\r\n\r\n" },
		{ { .get = true, .verb = "DELETE" }, "DELETE /v1 HTTP/1.1\r\n", "\r\n\r\n" },
		{ { .decode = true }, "POST /v1 ", "\r\nAccept-Encoding: identity\r\n" },
		{ { 0 }, "POST /v1 ", "\r\nContent-Length: 0\r\n\r\n" },
	};
	char request[4096];
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		world_open(&w, &all[i].setup);
		start(&w.ask, &(struct exchange_request){ 0 });
		heard(&w, request, sizeof(request), 0);
		assert_memory_equal(request, all[i].begin, strlen(all[i].begin));
		assert_non_null(strstr(request, all[i].has));
		assert_true((strstr(request, "Content-Length") != NULL) != all[i].setup.get);
		exchange_stop(&w.ask.exchange);
		assert_true(is_closed(&w));
		world_close(&w);
	}
}

/* HEAD has the headers of a GET, and no body. */
static void head_has_no_body(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ .get = true, .verb = "HEAD" });
	assert_int_equal(answered(&w, OK "Content-Length: 5\r\n\r\n"), EXCHANGE_WHOLE);
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	assert_false(taken(&w));
	world_close(&w);
}

static void urls_that_cannot_be_sent(void **state)
{
	static const char *const all[] = { "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: 1",
					   "http://elsewhere.test/" };
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ .get = true });
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_true(exchange_url(&w.ask.exchange, all[i]));
		start(&w.ask, &(struct exchange_request){ 0 });
		assert_int_equal(ended(&w), EXCHANGE_UNREACHABLE);
		assert_int_equal(w.ask.outs, 0);
	}
	world_close(&w);
}

/* A request on a connection that is kept asks for no memory. */
static void a_request_allocates_nothing(void **state)
{
	const struct header header = { SLICE("X-One"), SLICE("1") };
	struct memory_sweep s = { .nth = 1 };
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){
			       .headers = &header, .header_count = 1, .timeout_ms = 60000 });
	buf_reserve(&w.ask.body, 4096);
	assert_int_equal(answered(&w, TWO), EXCHANGE_WHOLE);
	memory_fail(&s);
	for (int i = 0; i < 3; i++)
		assert_int_equal(answered(&w, TWO), EXCHANGE_WHOLE);
	memory_restore(&s);
	assert_false(s.fired);
	world_close(&w);
}

/* Whatever allocation fails: the call says so, or the exchange ends. */
static void memory_that_is_out(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct world w = { .fd = -1 };
		w.listener = listen_at("127.0.0.1", &w.port);
		struct exchange_setup setup = { .ops = &ops };
		struct error err;
		char url[64], request[4096];
		snprintf(url, sizeof(url), "%s://127.0.0.1:%u/v1", over_tls ? "https" : "http",
			 w.port);
		memory_fail(&s);
		bool ok = client_open(&w.client, &err);
		setup.route = w.route = ok ? client_route_new(w.client, url,
							      &(struct tls_pem){ .ca = ca.pem })
					   : NULL;
		ok = ok && w.route != NULL && exchange_open(&w.ask.exchange, &setup) &&
		     exchange_url(&w.ask.exchange, url) &&
		     exchange_start(&w.ask.exchange, &(struct exchange_request){ 0 });
		for (int i = 0; ok && w.ask.dones == 0 && i < 50; i++) {
			turn(&w);
			taken(&w);
			if (w.fd >= 0 && server_read(w.fd, request, sizeof(request)) > 0)
				SAY(&w, EMPTY);
		}
		memory_restore(&s);
		assert_true(!ok || w.ask.dones == 1);
		assert_true(s.fired || w.ask.how == EXCHANGE_WHOLE);
		exchange_close(&w.ask.exchange);
		client_route_free(w.route);
		client_close(w.client);
		hang_up(&w);
		close(w.listener);
	}
}

/* ---- connections ---- */

/* Two at once are two connections; then the one that was used last is used. */
static void the_newest_is_used_again(void **state)
{
	struct world w;
	struct ask other;
	int first, second;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	ask_open(&w, &other, &(struct exchange_setup){ 0 }, "127.0.0.1");
	asked(&w, &(struct exchange_request){ 0 });
	first = w.fd;
	w.fd = -1;
	start(&other, &(struct exchange_request){ 0 });
	char request[4096];
	heard(&w, request, sizeof(request), 0);
	second = w.fd;
	SAY(&w, EMPTY); /* this one ends first */
	while (other.dones == 0)
		turn(&w);
	w.fd = first;
	SAY(&w, EMPTY);
	assert_int_equal(ended(&w), EXCHANGE_WHOLE);
	for (int i = 0; i < 3; i++)
		assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	/* for the other one the four seconds are over */
	later_s += 3;
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	later_s += 2;
	turn(&w);
	turn(&w);
	w.fd = second;
	assert_true(is_closed(&w));
	w.fd = first;
	assert_false(is_closed(&w));
	server_close(second);
	ask_close(&other);
	world_close(&w);
}

static void no_more_are_kept_than_was_said(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	client_connections(w.client, 0);
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	assert_true(is_closed(&w));
	world_close(&w);
}

static void what_is_not_used_again(void **state)
{
	static const char *const all[] = {
		OK "Content-Length: 2\r\nConnection: close\r\n\r\n{}",
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		TWO "more than was said",
		OK "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		world_open(&w, &(struct exchange_setup){ 0 });
		assert_int_equal(answered(&w, all[i]), EXCHANGE_WHOLE);
		body_is(&w, "{}");
		assert_true(is_closed(&w));
		world_close(&w);
	}
}

/* What the server says of its own accord, or its end, closes one that is idle. */
static void an_idle_connection_that_speaks(void **state)
{
	struct world w;

	(void)state;
	for (int speaks = 0; speaks < 2; speaks++) {
		world_open(&w, &(struct exchange_setup){ 0 });
		assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
		if (speaks != 0)
			SAY(&w, "HTTP/1.1 408 Late\r\n\r\n");
		else
			shutdown(w.fd, SHUT_WR);
		turn(&w);
		assert_true(is_closed(&w));
		start(&w.ask, &(struct exchange_request){ 0 });
		while (!taken(&w))
			turn(&w);
		while (w.ask.outs == 0)
			turn(&w);
		assert_int_equal(w.ask.outs, 1); /* it was not sent to one that is gone */
		world_close(&w);
	}
}

/* The server is there all the while. */
static void refused(struct world *w)
{
	unsigned dones = w->ask.dones;

	while (w->ask.dones == dones) {
		turn(w);
		(void)taken(w);
	}
	assert_int_equal(w->ask.how, EXCHANGE_STALE);
}

/* On a new connection, on a kept one, and again after one that was dead. */
static void what_may_not_go_does_not(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	may_not_go = true;
	start(&w.ask, &(struct exchange_request){ 0 });
	refused(&w);
	assert_int_equal(w.ask.exchange.sent, 0);
	may_not_go = false;
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	may_not_go = true;
	start(&w.ask, &(struct exchange_request){ 0 });
	refused(&w);
	assert_int_equal(w.ask.outs, 0);
	may_not_go = false;
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	asked(&w, &(struct exchange_request){ 0 });
	may_not_go = true;
	hang_up(&w);
	refused(&w);
	assert_int_equal(w.ask.exchange.sent, 1);
	may_not_go = false;
	world_close(&w);
}

/* A dead one costs nothing but time: the request goes out once more, on a new connection. */
static void a_dead_one_is_tried_once(void **state)
{
	struct world w;

	(void)state;
	for (unsigned sends = 0; sends < 3; sends++) {
		world_open(&w, &(struct exchange_setup){ .sends_max = sends });
		assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
		asked(&w, &(struct exchange_request){ 0 });
		hang_up(&w);
		if (sends == 1) {
			assert_int_equal(ended(&w), EXCHANGE_STALE);
			assert_int_equal(w.ask.outs, 1);
			world_close(&w);
			continue;
		}
		while (!taken(&w))
			turn(&w);
		turn(&w);
		SAY(&w, TWO);
		assert_int_equal(ended(&w), EXCHANGE_WHOLE);
		assert_int_equal(w.ask.outs, 2);
		assert_int_equal(w.ask.exchange.sent, 2);
		body_is(&w, "{}");
		/* and no more than that */
		asked(&w, &(struct exchange_request){ 0 });
		hang_up(&w);
		while (!taken(&w))
			turn(&w);
		for (int i = 0; i < 3; i++)
			turn(&w);
		hang_up(&w);
		assert_int_equal(ended(&w), EXCHANGE_BROKEN);
		assert_int_equal(w.ask.outs, 2);
		/* with a byte of an answer it was alive */
		assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
		asked(&w, &(struct exchange_request){ 0 });
		SAY(&w, "H");
		turn(&w);
		hang_up(&w);
		assert_int_equal(ended(&w), EXCHANGE_BROKEN);
		assert_int_equal(w.ask.outs, 1);
		world_close(&w);
	}
}

/* Where nobody listens any more the request has gone out, to the dead one. */
static void a_dead_one_and_nobody_behind_it(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	asked(&w, &(struct exchange_request){ 0 });
	close(w.listener);
	w.listener = -1;
	hang_up(&w);
	assert_int_equal(ended(&w), EXCHANGE_BROKEN);
	assert_int_equal(w.ask.outs, 1);
	assert_non_null(strstr(w.ask.said, "Connection refused"));
	start(&w.ask, &(struct exchange_request){ 0 });
	assert_int_equal(ended(&w), EXCHANGE_UNREACHABLE);
	assert_int_equal(w.ask.outs, 0);
	world_close(&w);
}

static void stopping_closes_the_connection(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	start(&w.ask, &(struct exchange_request){ 0 });
	exchange_stop(&w.ask.exchange); /* before it began */
	turn(&w);
	assert_false(taken(&w));
	asked(&w, &(struct exchange_request){ 0 });
	exchange_stop(&w.ask.exchange);
	assert_true(is_closed(&w));
	asked(&w, &(struct exchange_request){ 0 });
	SAY(&w, OK "Content-Length: 9\r\n\r\n{}");
	turn(&w);
	turn(&w);
	exchange_stop(&w.ask.exchange);
	assert_true(is_closed(&w));
	/* one that has ended and was not delivered */
	asked(&w, &(struct exchange_request){ 0 });
	SAY(&w, EMPTY);
	bool woken;
	client_wait(w.client, 1000, &woken);
	exchange_stop(&w.ask.exchange);
	client_deliver(w.client);
	assert_int_equal(w.ask.dones, 0);
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	world_close(&w);
}

/* ---- names and addresses ---- */

static void names_are(const char *a, const char *b, const char *c)
{
	names[0] = a;
	names[1] = b;
	names[2] = c;
	names_fail = 0;
	looked_up = 0;
}

static void addresses_are_tried_in_turn(void **state)
{
	struct world w;

	(void)state;
	names_are("127.0.0.2", "127.0.0.3", "127.0.0.1");
	world_open_at(&w, &(struct exchange_setup){ 0 }, "model.test");
	for (int i = 0; i < 3; i++) {
		asked(&w, &(struct exchange_request){ .fresh = true });
		SAY(&w, EMPTY);
		assert_int_equal(ended(&w), EXCHANGE_WHOLE);
		assert_int_equal(w.ask.outs, 1);
	}
	assert_int_equal(looked_up, 1);
	later_s += 61; /* they were good for a minute */
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	assert_int_equal(looked_up, 2);
	names_are("127.0.0.2", "127.0.0.3", NULL);
	start(&w.ask, &(struct exchange_request){ .fresh = true, .look_up = true });
	assert_int_equal(ended(&w), EXCHANGE_UNREACHABLE);
	assert_non_null(strstr(w.ask.said, "Failed to connect to model.test port"));
	assert_non_null(strstr(w.ask.said, "Connection refused"));
	world_close(&w);
}

/* IPv6 is tried first; here nothing listens there. */
static void localhost_needs_no_look_up(void **state)
{
	struct world w;

	(void)state;
	names_are(NULL, NULL, NULL);
	world_open_at(&w, &(struct exchange_setup){ 0 }, "localhost");
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	assert_int_equal(looked_up, 0);
	world_close(&w);
}

static void a_name_that_is_not_known(void **state)
{
	struct world w;

	(void)state;
	names_are(NULL, NULL, NULL);
	names_fail = EAI_NONAME;
	world_open_at(&w, &(struct exchange_setup){ 0 }, "model.test");
	for (unsigned i = 1; i <= 2; i++) {
		start(&w.ask, &(struct exchange_request){ 0 });
		assert_int_equal(ended(&w), EXCHANGE_UNREACHABLE);
		assert_string_equal(w.ask.said, "Could not resolve host: model.test (Name or "
						"service not known)");
		assert_int_equal(looked_up, i); /* what failed is asked again */
	}
	names_are("127.0.0.1", NULL, NULL);
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	world_close(&w);
}

/* A resolver that hangs holds up nobody else, and neither does it hold up the end. */
static void a_look_up_that_hangs(void **state)
{
	unsigned before = freed;
	struct world w;
	struct ask other;

	(void)state;
	names_are("127.0.0.1", NULL, NULL);
	world_open(&w, &(struct exchange_setup){ 0 });
	struct client_route *route = w.route;
	w.route = NULL;
	ask_open(&w, &other, &(struct exchange_setup){ 0 }, "model.test");
	pthread_mutex_lock(&names_lock);
	start(&other, &(struct exchange_request){ 0 });
	turn(&w);
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	later_s += 11;
	while (other.dones == 0)
		turn(&w);
	assert_int_equal(other.how, EXCHANGE_UNREACHABLE);
	assert_non_null(strstr(other.said, "Resolving timed out"));
	start(&other, &(struct exchange_request){ .hasty = true });
	turn(&w);
	later_s += 2;
	while (other.dones == 1)
		turn(&w);
	assert_int_equal(other.how, EXCHANGE_UNREACHABLE);
	start(&other, &(struct exchange_request){ 0 });
	turn(&w);
	exchange_stop(&other.exchange);
	ask_close(&other);
	client_route_free(route);
	world_close(&w);
	pthread_mutex_unlock(&names_lock);
	while (freed == before)
		;
}

/* ---- late ---- */

static void time_outs(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ .timeout_ms = 5000 });
	asked(&w, &(struct exchange_request){ 0 });
	SAY(&w, OK "Content-Length: 9\r\n\r\n{}");
	turn(&w);
	later_s += 4;
	turn(&w);
	assert_int_equal(w.ask.dones, 0);
	later_s += 2;
	assert_int_equal(ended(&w), EXCHANGE_TIMEOUT);
	assert_int_equal(w.ask.status, 200);
	assert_non_null(strstr(w.ask.said, "with 2 bytes received"));
	assert_true(is_closed(&w));
	/* the timer of one request ends no later one, and one request may have less time */
	assert_int_equal(answered(&w, EMPTY), EXCHANGE_WHOLE);
	later_s += 3;
	asked(&w, &(struct exchange_request){ 0 });
	later_s += 3;
	turn(&w);
	turn(&w);
	assert_int_equal(w.ask.dones, 2);
	SAY(&w, EMPTY);
	assert_int_equal(ended(&w), EXCHANGE_WHOLE);
	asked(&w, &(struct exchange_request){ .timeout_ms = 1000 });
	later_s += 2;
	assert_int_equal(ended(&w), EXCHANGE_TIMEOUT);
	world_close(&w);
}

static void silence(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ .silence_ms = 5000 });
	asked(&w, &(struct exchange_request){ 0 });
	SAY(&w, OK "Content-Length: 99\r\n\r\n");
	for (int i = 0; i < 5; i++) {
		turn(&w);
		later_s += 4;
		SAY(&w, "x");
		turn(&w);
		turn(&w);
	}
	assert_int_equal(w.ask.dones, 0);
	later_s += 6;
	assert_int_equal(ended(&w), EXCHANGE_TIMEOUT);
	assert_int_equal(w.ask.body.n, 5);
	world_close(&w);
}

/* Many of them, with times of their own, end in order. */
static void many_timers(void **state)
{
	static struct ask all[100];
	struct world w;

	(void)state;
	time_stop(); /* to make so many connections takes some */
	world_open(&w, &(struct exchange_setup){ 0 });
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		ask_open(&w, &all[i], &(struct exchange_setup){ 0 }, "127.0.0.1");
		start(&all[i],
		      &(struct exchange_request){ .timeout_ms = 10000 + 1000 * (i * 37 % 100) });
	}
	for (unsigned sent = 0; sent < ARRAY_LEN(all);) {
		turn(&w);
		take_all(&w);
		sent = 0;
		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			sent += all[i].outs;
	}
	for (size_t i = 0; i < ARRAY_LEN(all); i += 3)
		exchange_stop(&all[i].exchange);
	for (unsigned s = 0; s <= 100; s++) {
		for (size_t i = 0; i < ARRAY_LEN(all); i++) {
			bool due = i % 3 != 0 && i * 37 % 100 < s;
			if ((all[i].dones == 1) != due)
				fail_msg("%zu after %u s: %u", i, s, all[i].dones);
		}
		later_s += s == 0 ? 10 : 1;
		turn(&w);
		turn(&w);
	}
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		ask_close(&all[i]);
	drop_all(&w);
	world_close(&w);
	time_stands = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(until_the_end),
		cmocka_unit_test(what_breaks),
		cmocka_unit_test(odd_heads),
		cmocka_unit_test(a_body_that_waits_is_not_read),
		cmocka_unit_test(the_end_of_a_body_that_waits),
		cmocka_unit_test(codings_are_taken_off),
		cmocka_unit_test(a_large_request_goes_out_whole),
		cmocka_unit_test(an_answer_before_the_request_is_out),
		cmocka_unit_test(methods),
		cmocka_unit_test(head_has_no_body),
		cmocka_unit_test(urls_that_cannot_be_sent),
		cmocka_unit_test(a_request_allocates_nothing),
		cmocka_unit_test(memory_that_is_out),
		cmocka_unit_test(the_newest_is_used_again),
		cmocka_unit_test(no_more_are_kept_than_was_said),
		cmocka_unit_test(what_is_not_used_again),
		cmocka_unit_test(an_idle_connection_that_speaks),
		cmocka_unit_test(a_dead_one_is_tried_once),
		cmocka_unit_test(what_may_not_go_does_not),
		cmocka_unit_test(a_dead_one_and_nobody_behind_it),
		cmocka_unit_test(stopping_closes_the_connection),
		cmocka_unit_test(addresses_are_tried_in_turn),
		cmocka_unit_test(localhost_needs_no_look_up),
		cmocka_unit_test(a_name_that_is_not_known),
		cmocka_unit_test(a_look_up_that_hangs),
		cmocka_unit_test(time_outs),
		cmocka_unit_test(silence),
		cmocka_unit_test(many_timers),
	};

	certs_make();
	int failed = cmocka_run_group_tests_name("without TLS", tests, NULL, NULL);
	over_tls = true;
	failed += cmocka_run_group_tests_name("over TLS", tests, NULL, NULL);
	certs_free();
	return failed;
}
