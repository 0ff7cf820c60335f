/* Answers in pieces over real sockets: what the client sees and when, and that every stream is
 * closed once, whatever becomes of its client. */
#include "http_test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

/* ---- an application whose answers the tests give ---- */

#define ANSWERS_MAX 1200

struct answer {
	struct http_stream *stream;
	atomic_uint rooms, closed;
};

static struct answer answers[ANSWERS_MAX];
static atomic_uint taken, begun, ended;
static atomic_bool answer_inside; /* the whole answer comes before `handle` returns */

static void on_room(void *ctx)
{
	((struct answer *)ctx)->rooms++;
}

static void on_closed(void *ctx)
{
	((struct answer *)ctx)->closed++;
}

static const struct http_stream_ops ops = { on_room, on_closed };

static void begin_answer(struct answer *a, uint64_t length)
{
	struct http_response r;

	http_response_init(&r);
	r.status = 201;
	r.content_type = "";
	http_pass_header(&r, SLICE("Content-Type"), SLICE("text/event-stream"));
	http_pass_header(&r, SLICE("X-Bad"), SLICE("a\r\nX-Smuggled: b"));
	http_header(&r, "X-Own", "%d", 7);
	http_stream_begin(a->stream, &r, length);
	assert_int_equal(r.fields.n, 0);
}

static bool app_begin(void *ctx, struct http_request *q, struct http_response *r)
{
	(void)ctx;
	(void)q;
	(void)r;
	begun++;
	return true;
}

static void app_body(void *ctx, struct http_request *q, struct slice piece)
{
	(void)ctx;
	(void)q;
	(void)piece;
}

static void app_handle(void *ctx, struct http_request *q, struct http_response *r)
{
	unsigned n = atomic_load(&taken);

	(void)ctx;
	if (strcmp(http_path(q), "/plain") == 0) {
		buf_text(&r->body, http_query_text(q) != NULL ? http_query_text(q) : "-");
		return;
	}
	while (!atomic_compare_exchange_strong(&taken, &n, n + 1))
		;
	struct http_stream *s = http_later(q, &ops, &answers[n]);
	if (atomic_load(&answer_inside)) {
		answers[n].stream = s;
		begin_answer(&answers[n], UINT64_MAX);
		assert_true(http_stream_write(s, SLICE("inside")));
		http_stream_end(s, true);
		http_stream_release(s);
		return;
	}
	__atomic_store_n(&answers[n].stream, s, __ATOMIC_RELEASE);
}

static void app_end(void *ctx, struct http_request *q)
{
	(void)ctx;
	(void)q;
	ended++;
}

static struct http_server *server_open(void)
{
	struct http_config config = {
		.host = "127.0.0.1",
		.threads = 2,
		.workers = 2,
		.connections_max = 2000,
		.app = { app_begin, app_body, app_handle, app_end },
	};
	struct http_server *s;
	struct error err;

	memset(answers, 0, sizeof(answers));
	taken = begun = ended = 0;
	answer_inside = false;
	assert_true(http_server_open(&config, &s, &err));
	return s;
}

static void server_done(struct http_server *s)
{
	http_server_close(s);
	assert_int_equal(begun, ended);
	for (unsigned i = 0; i < taken; i++)
		assert_int_equal(answers[i].closed, 1);
}

/* ---- the client ---- */

#define GET "GET /s HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_CLOSE "GET /s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define WAIT_MS 30000 /* much longer than anything takes, on a machine full of other tests */

static void wait_for(atomic_uint *value, unsigned n)
{
	for (int i = 0; i < WAIT_MS && *value < n; i++)
		usleep(1000);
	assert_int_equal(*value, n);
}

/* The stream of the next request. */
static struct answer *next_answer(unsigned n)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(&answers[n].stream, __ATOMIC_ACQUIRE) != NULL)
			return &answers[n];
		usleep(1000);
	}
	fail_msg("no request came");
	return NULL;
}

/* Reads until `part` has come, or the connection ends, or nothing has come for `ms`. */
static const char *hear_until(int fd, const char *part, int ms)
{
	static char text[65536];
	size_t n = 0;

	text[0] = '\0';
	while (strstr(text, part) == NULL && n < sizeof(text) - 1) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		if (poll(&wait, 1, ms) <= 0)
			break;
		ssize_t got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
		text[n] = '\0';
	}
	return text;
}

static void write_text(struct answer *a, const char *text)
{
	assert_true(http_stream_write(a->stream, slice_of(text)));
}

static void finish(struct answer *a, bool whole)
{
	http_stream_end(a->stream, whole);
	http_stream_release(a->stream);
}

/* ---- the tests ---- */

static void each_piece_comes_at_once(void **state)
{
	struct http_server *s = server_open();
	int fd = dial(s);

	(void)state;
	say(fd, SLICE(GET));
	struct answer *a = next_answer(0);
	assert_string_equal(hear_until(fd, "HTTP", 50), "");
	begin_answer(a, UINT64_MAX);
	const char *text = hear_until(fd, "\r\n\r\n", 2000); /* before any piece */
	assert_has(text, "HTTP/1.1 201 Created\r\n");
	assert_has(text, "Transfer-Encoding: chunked\r\n");
	assert_has(text, "Content-Type: text/event-stream\r\n");
	assert_has(text, "X-Own: 7\r\n");
	assert_null(strstr(text, "X-Smuggled"));
	assert_null(strstr(text, "application/json"));
	for (int i = 0; i < 20; i++) {
		char piece[16];
		snprintf(piece, sizeof(piece), "piece%d", i);
		write_text(a, piece);
		assert_has(hear_until(fd, piece, 2000), piece);
	}
	assert_int_equal(a->closed, 0);
	finish(a, true);
	assert_has(hear_until(fd, "0\r\n\r\n", 2000), "0\r\n\r\n");
	wait_for(&a->closed, 1);
	say(fd, SLICE("GET /plain?a=%20+b&c HTTP/1.1\r\nHost: x\r\n\r\n")); /* it was kept */
	assert_has(hear_until(fd, "c", 2000), "HTTP/1.1 200");
	say(fd, SLICE("GET /plain?a=%20+b&c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	assert_has(hear(fd), "\r\n\r\na=%20+b&c");
	server_done(s);
}

static void lengths(void **state)
{
	struct http_server *s = server_open();
	int fd = dial(s);

	(void)state;
	say(fd, SLICE(GET_CLOSE));
	struct answer *a = next_answer(0);
	begin_answer(a, 10);
	assert_has(hear_until(fd, "\r\n\r\n", 2000), "Content-Length: 10\r\n");
	write_text(a, "01234");
	assert_string_equal(hear_until(fd, "4", 2000), "01234");
	write_text(a, "56789");
	finish(a, true);
	assert_string_equal(hear(fd), "56789");
	/* the whole answer is there when the head goes out */
	answer_inside = true;
	fd = dial(s);
	say(fd, SLICE(GET_CLOSE));
	const char *text = hear(fd);
	assert_has(text, "Content-Length: 6\r\n");
	assert_has(text, "\r\n\r\ninside");
	server_done(s);
}

static void old_clients_and_heads(void **state)
{
	struct http_server *s = server_open();
	int fd = dial(s);

	(void)state;
	say(fd, SLICE("GET /s HTTP/1.0\r\n\r\n"));
	struct answer *a = next_answer(0);
	begin_answer(a, UINT64_MAX);
	write_text(a, "one");
	assert_has(hear_until(fd, "one", 2000), "\r\n\r\none");
	write_text(a, "two");
	finish(a, true);
	assert_string_equal(hear(fd), "two");
	fd = dial(s);
	say(fd, SLICE("HEAD /s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	a = next_answer(1);
	begin_answer(a, 3);
	finish(a, true);
	const char *text = hear(fd);
	assert_has(text, "Content-Length: 3\r\n");
	assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
	server_done(s);
}

/* The stream holds STREAM_BYTES and what the sockets hold; then it waits for the client. */
static void a_client_that_does_not_read(void **state)
{
	static char block[32768], text[1 << 16];
	struct http_server *s = server_open();
	uint64_t sent = 0, heard = 0;
	int fd = dial(s);

	(void)state;
	memset(block, 'x', sizeof(block));
	say(fd, SLICE("GET /s HTTP/1.0\r\n\r\n"));
	struct answer *a = next_answer(0);
	begin_answer(a, UINT64_MAX);
	for (unsigned rooms = 0; rooms <= a->rooms; rooms++) { /* until the sockets are full too */
		while (http_stream_write(a->stream, (struct slice){ block, sizeof(block) }))
			sent += sizeof(block);
		assert_true(sent < 64u << 20);
		usleep(100000);
	}
	unsigned rooms = a->rooms;
	while (a->rooms == rooms) {
		ssize_t n = recv(fd, text, sizeof(text), 0);
		assert_true(n > 0);
		heard += (uint64_t)n;
	}
	assert_int_equal(a->rooms, rooms + 1);
	write_text(a, "the end");
	finish(a, true);
	for (ssize_t n; (n = recv(fd, text, sizeof(text), 0)) > 0;)
		heard += (uint64_t)n;
	close(fd);
	assert_true(heard > sent);
	wait_for(&a->closed, 1);
	/* and one that goes away without reading */
	fd = dial(s);
	say(fd, SLICE(GET));
	a = next_answer(1);
	begin_answer(a, UINT64_MAX);
	while (http_stream_write(a->stream, (struct slice){ block, sizeof(block) }))
		usleep(200);
	close(fd);
	wait_for(&a->closed, 1);
	assert_false(http_stream_write(a->stream, SLICE("x")));
	finish(a, true);
	server_done(s);
}

/* `how`: 0 closes, 1 resets, 2 closes its sending side. */
static void leave(int fd, int how)
{
	struct linger reset = { .l_onoff = 1 };

	if (how == 1)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (how == 2)
		shutdown(fd, SHUT_WR);
	else
		close(fd);
}

static void clients_that_go_away(void **state)
{
	struct http_server *s = server_open();

	(void)state;
	for (int i = 0; i < 9; i++) {
		int fd = dial(s);
		say(fd, SLICE(GET));
		struct answer *a = next_answer((unsigned)i);
		if (i >= 3)
			begin_answer(a, i >= 6 ? 1000 : UINT64_MAX);
		if (i >= 6) {
			write_text(a, "some");
			assert_has(hear_until(fd, "some", 2000), "some");
		}
		leave(fd, i % 3);
		uint64_t began_ms = sys.monotonic_ms();
		wait_for(&a->closed, 1);
		assert_true(sys.monotonic_ms() - began_ms < 1000);
		/* harmless after it is over */
		begin_answer(a, UINT64_MAX);
		assert_false(http_stream_write(a->stream, SLICE("late")));
		finish(a, true);
		if (i % 3 == 2)
			close(fd);
	}
	server_done(s);
}

/* The table of descriptors is larger than the process may open: poll() refuses that many. */
static void a_client_goes_away_below_a_low_limit(void **state)
{
	struct http_server *s = server_open();
	struct rlimit before, low;
	int fillers[80];
	unsigned n = 0;

	(void)state;
	while ((fillers[n] = dup(STDERR_FILENO)) < 64)
		n++;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	int fd = dial(s);
	assert_true(fd > 64);
	say(fd, SLICE(GET));
	struct answer *a = next_answer(0);
	close(fd);
	wait_for(&a->closed, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (unsigned i = 0; i <= n; i++)
		close(fillers[i]);
	finish(a, true);
	server_done(s);
}

static void answers_that_break_off(void **state)
{
	struct http_server *s = server_open();

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		int fd = dial(s);
		say(fd, SLICE(GET)); /* the connection would be kept */
		struct answer *a = next_answer(i);
		if (i > 0)
			begin_answer(a, i % 2 == 0 ? 100 : UINT64_MAX);
		if (i > 2)
			write_text(a, "half");
		finish(a, i == 4); /* 4: whole, it says, but too short */
		const char *text = hear(fd);
		assert_null(strstr(text, "\r\n0\r\n"));
		if (i == 0)
			assert_string_equal(text, "");
		if (i > 0)
			assert_has(text, "HTTP/1.1 201");
		if (i > 2)
			assert_has(text, "half");
	}
	server_done(s);
}

static void *end_later(void *arg)
{
	struct answer *a = arg;

	usleep(200000);
	for (unsigned i = 0; i < 3; i++)
		http_stream_end(a[i].stream, true);
	return NULL;
}

/* One that has not begun, one in the middle, one whose client does not read. */
static void close_waits_for_the_end_of_streams(void **state)
{
	static char block[100000];
	struct http_server *s = server_open();
	pthread_t thread;
	int fds[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		fds[i] = dial(s);
		say(fds[i], SLICE(GET));
		next_answer(i);
	}
	begin_answer(&answers[1], UINT64_MAX);
	write_text(&answers[1], "some");
	begin_answer(&answers[2], UINT64_MAX);
	while (http_stream_write(answers[2].stream, (struct slice){ block, sizeof(block) }))
		usleep(200);
	uint64_t began_ms = sys.monotonic_ms();
	assert_int_equal(pthread_create(&thread, NULL, end_later, answers), 0);
	http_server_close(s);
	uint64_t took_ms = sys.monotonic_ms() - began_ms;
	assert_true(took_ms >= 190);
	assert_true(took_ms < 10000); /* the third does not hold it for ever */
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(answers[i].closed, 1);
		http_stream_release(answers[i].stream);
		close(fds[i]);
	}
	assert_int_equal(begun, ended);
}

struct late_reader {
	int fd;
	uint64_t heard;
};

static void *read_late(void *arg)
{
	static char text[16384];
	struct late_reader *reader = arg;
	ssize_t n;

	usleep(300000);
	while ((n = recv(reader->fd, text, sizeof(text), 0)) > 0)
		reader->heard += (uint64_t)n;
	return NULL;
}

/* Its answer has ended; it reads on when the server is closing already, and gets all of it. */
static void close_waits_for_a_client_that_reads(void **state)
{
	static char block[50000];
	struct http_server *s = server_open();
	struct late_reader reader = { .fd = dial(s) };
	uint64_t sent = 0;
	pthread_t thread;

	(void)state;
	say(reader.fd, SLICE("GET /s HTTP/1.0\r\n\r\n"));
	struct answer *a = next_answer(0);
	begin_answer(a, UINT64_MAX);
	for (unsigned rooms = 0; rooms <= a->rooms; rooms++) { /* until the sockets are full too */
		while (http_stream_write(a->stream, (struct slice){ block, sizeof(block) }))
			sent += sizeof(block);
		usleep(100000);
	}
	finish(a, true);
	assert_int_equal(pthread_create(&thread, NULL, read_late, &reader), 0);
	uint64_t began_ms = sys.monotonic_ms();
	server_done(s);
	assert_true(sys.monotonic_ms() - began_ms < 4000); /* no longer than it reads */
	pthread_join(thread, NULL);
	close(reader.fd);
	assert_true(reader.heard > sent);
}

/* 500 at once, a token for each in turn; a third of the clients leaves in the middle. */
static void many_at_once(void **state)
{
	enum { N = 500, TOKENS = 20 };
	static int fds[N];
	struct http_server *s = server_open();
	unsigned whole = 0;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		fds[i] = dial(s);
		say(fds[i], SLICE(GET_CLOSE));
	}
	wait_for(&taken, N);
	for (unsigned i = 0; i < N; i++)
		begin_answer(next_answer(i), UINT64_MAX);
	for (unsigned t = 0; t < TOKENS; t++) {
		for (unsigned i = 0; i < N; i++)
			(void)!http_stream_write(answers[i].stream, SLICE("token"));
		for (unsigned i = t; t < 10 && i < N; i += 30)
			leave(fds[i], (int)(t % 2));
	}
	for (unsigned i = 0; i < N; i++)
		finish(&answers[i], true);
	for (unsigned i = 0; i < N; i++) {
		if (i % 30 < 10)
			continue;
		const char *text = hear(fds[i]);
		unsigned tokens = 0;
		for (const char *p = text; (p = strstr(p, "token")) != NULL; p++)
			tokens++;
		assert_int_equal(tokens, TOKENS);
		whole++;
	}
	assert_true(whole > N / 2);
	for (unsigned i = 0; i < N; i++)
		wait_for(&answers[i].closed, 1);
	server_done(s);
}

/* Beginning, writing, ending and leaving in all orders, against each other. */
static void races(void **state)
{
	enum { N = 600 };
	static int fds[N];
	struct http_server *s = server_open();

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		fds[i] = dial(s);
		say(fds[i], SLICE(GET_CLOSE));
		struct answer *a = next_answer(i);
		if (i % 4 == 0)
			leave(fds[i], (int)(i / 4 % 2));
		begin_answer(a, UINT64_MAX);
		(void)!http_stream_write(a->stream, SLICE("a"));
		if (i % 4 == 1)
			leave(fds[i], (int)(i / 4 % 2));
		(void)!http_stream_write(a->stream, SLICE("b"));
		finish(a, i % 3 != 0);
		if (i % 4 > 1)
			close(fds[i]);
	}
	for (unsigned i = 0; i < N; i++)
		wait_for(&answers[i].closed, 1);
	server_done(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_piece_comes_at_once),
		cmocka_unit_test(lengths),
		cmocka_unit_test(old_clients_and_heads),
		cmocka_unit_test(a_client_that_does_not_read),
		cmocka_unit_test(clients_that_go_away),
		cmocka_unit_test(a_client_goes_away_below_a_low_limit),
		cmocka_unit_test(answers_that_break_off),
		cmocka_unit_test(close_waits_for_the_end_of_streams),
		cmocka_unit_test(close_waits_for_a_client_that_reads),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(races),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120); /* a hang is a failure */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
