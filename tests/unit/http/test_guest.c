/* A loop that another thread turns: requests that are passed on are handled there, all others are
 * not, and a connection goes from one to the other as often as its requests do. */
#include "http_test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/sys.h"

static struct http_server *server;
static atomic_bool leaves;
static atomic_uint here, elsewhere, begun, ended, left;
static atomic_uint most_begun; /* in one turn */
static atomic_uint skipped_ms;
static uint64_t (*real_monotonic_ms)(void);
static _Thread_local bool is_guest_thread;
static pthread_t thread;

/* ---- the thread ---- */

static void *turns(void *arg)
{
	(void)arg;
	is_guest_thread = true;
	while (!leaves) {
		struct pollfd wait = { .fd = http_guest_fd(server), .events = POLLIN };
		int ms = clock_wait_ms(http_guest_due_ms(server), sys.monotonic_ms());
		if (poll(&wait, 1, ms < 0 || ms > 20 ? 20 : ms) <= 0 &&
		    http_guest_due_ms(server) > sys.monotonic_ms())
			continue;
		unsigned before = begun;
		http_guest_turn(server);
		if (begun - before > most_begun)
			most_begun = begun - before;
	}
	return NULL;
}

static void leave(void *ctx)
{
	(void)ctx;
	left++;
	leaves = true;
	pthread_join(thread, NULL);
}

/* ---- an application ---- */

static bool app_begin(void *ctx, struct http_request *q, struct http_response *r)
{
	(void)ctx;
	begun++;
	if (strcmp(http_path(q), "/pass") == 0)
		http_set_work(q, HTTP_PASS);
	if (strcmp(http_path(q), "/refused") != 0)
		return true;
	r->status = 404;
	return false;
}

static void app_body(void *ctx, struct http_request *q, struct slice piece)
{
	(void)ctx;
	(void)q;
	(void)piece;
}

static void on_nothing(void *ctx)
{
	(void)ctx;
}

static void app_handle(void *ctx, struct http_request *q, struct http_response *r)
{
	static const struct http_stream_ops ops = { on_nothing, on_nothing };

	(void)ctx;
	*(is_guest_thread ? &here : &elsewhere) += 1;
	if (http_query(q, "stream") == NULL) {
		buf_text(&r->body, http_path(q));
		return;
	}
	struct http_stream *s = http_later(q, &ops, NULL);
	struct http_response head;
	assert_non_null(s);
	http_response_init(&head);
	http_stream_begin(s, &head, UINT64_MAX);
	assert_true(http_stream_write(s, SLICE("streamed")));
	http_stream_end(s, true);
	http_stream_release(s);
}

static void app_end(void *ctx, struct http_request *q)
{
	(void)ctx;
	(void)q;
	ended++;
}

static void server_of(unsigned connections_max)
{
	struct http_config config = {
		.host = "127.0.0.1",
		.threads = 2,
		.workers = 2,
		.connections_max = connections_max,
		.app = { app_begin, app_body, app_handle, app_end },
		.guest_leave = leave,
	};
	struct error err;

	leaves = false;
	here = elsewhere = begun = ended = left = most_begun = 0;
	assert_true(http_server_open(&config, &server, &err));
	assert_int_equal(pthread_create(&thread, NULL, turns, NULL), 0);
}

static void server_begin(void)
{
	server_of(100);
}

static void server_end(void)
{
	http_server_close(server);
	assert_int_equal(begun, ended);
	assert_int_equal(left, 1);
}

/* ---- tests ---- */

/* One read is one answer here. */
static void ask_on(int fd, struct slice request, const char *answer)
{
	char text[4096];

	say(fd, request);
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_has(text, "200 OK");
	assert_has(text, answer);
}

#define GET_PASS "GET /pass HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_OTHER "GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST_PASS "POST /pass HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"

static void connections_follow_their_work(void **state)
{
	(void)state;
	server_begin();
	int fd = dial(server);
	for (int i = 0; i < 50; i++) {
		ask_on(fd, SLICE(GET_PASS), "/pass");
		ask_on(fd, SLICE(POST_PASS), "/pass");
		ask_on(fd, SLICE(GET_OTHER), "/other");
	}
	close(fd);
	assert_int_equal(here, 100);
	assert_int_equal(elsewhere, 50);
	server_end();
}

/* The bytes behind a request move with its connection. */
static void requests_that_came_together(void **state)
{
	struct buf many = BUF(1u << 20);

	(void)state;
	server_begin();
	for (int i = 0; i < 200; i++)
		buf_text(&many, i % 3 == 0 ? POST_PASS : i % 3 == 1 ? GET_OTHER : GET_PASS);
	buf_text(&many, "GET /pass?stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	int fd = dial(server);
	say(fd, buf_slice(&many));
	const char *answers = hear(fd);
	assert_has(answers, "Content-Length: 8\r\nConnection: close\r\n\r\nstreamed");
	size_t n = 0;
	for (const char *at = answers; (at = strstr(at, "HTTP/1.1 200 OK")) != NULL; at++)
		n++;
	assert_int_equal(n, 201);
	buf_free(&many);
	server_end();
}

/* A long body is read over by a worker, from a loop of the server's own. */
static void long_bodies_stay_away(void **state)
{
	struct buf body = BUF(1u << 20);

	(void)state;
	server_begin();
	buf_printf(&body, "POST /pass HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n%0*d",
		   HTTP_SHORT_BYTES + 1, (int)HTTP_SHORT_BYTES + 1, 0);
	int fd = dial(server);
	ask_on(fd, buf_slice(&body), "/pass");
	assert_int_equal(here, 0);
	ask_on(fd, SLICE(GET_PASS), "/pass");
	assert_int_equal(here, 1);
	ask_on(fd, buf_slice(&body), "/pass");
	assert_int_equal(here, 1);
	close(fd);
	buf_free(&body);
	server_end();
}

static void *busy(void *arg)
{
	for (int i = 0; i < 200; i++) {
		int fd = dial(server);
		if (fd < 0)
			break;
		say(fd, i % 2 == 0 ? SLICE(GET_PASS) : SLICE(GET_OTHER));
		if (i % 5 != 0)
			ask_on(fd, SLICE(""), "/");
		close(fd); /* some with an answer on its way, or a move */
	}
	return arg;
}

static void many_move_at_once(void **state)
{
	pthread_t clients[4];

	(void)state;
	server_begin();
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		assert_int_equal(pthread_create(&clients[i], NULL, busy, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		pthread_join(clients[i], NULL);
	server_end();
}

/* However fast its client sends, and whether they are answered in `handle` or before. */
static void many_requests_of_one_take_many_turns(void **state)
{
	static const char *const kinds[] = { GET_PASS, "GET /refused HTTP/1.1\r\nHost: x\r\n\r\n" };

	(void)state;
	for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
		struct buf many = BUF(1u << 20);
		server_begin();
		int fd = dial(server);
		ask_on(fd, SLICE(GET_PASS), "/pass"); /* now the connection is a guest */
		for (int i = 0; i < 300; i++)
			buf_text(&many, kinds[kind]);
		buf_text(&many, "GET /pass HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
		say(fd, buf_slice(&many));
		(void)hear(fd);
		buf_free(&many);
		assert_int_equal(begun, 302);
		if (most_begun > 64)
			fail_msg("%u requests of one connection in one turn", (unsigned)most_begun);
		server_end();
	}
}

static uint64_t skipping_monotonic_ms(void)
{
	return real_monotonic_ms() + skipped_ms;
}

/* Whichever loop they and it belong to. */
static void who_is_idle_makes_room(void **state)
{
	int fds[4], late[8];
	char byte;

	(void)state;
	skipped_ms = 0;
	real_monotonic_ms = sys.monotonic_ms;
	sys.monotonic_ms = skipping_monotonic_ms;
	server_of(ARRAY_LEN(fds));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial(server);
		ask_on(fds[i], i == 0 ? SLICE(GET_OTHER) : SLICE(GET_PASS), "/");
	}
	late[0] = dial(server);
	assert_int_equal(recv(late[0], &byte, 1, 0), 0); /* none has been idle for long */
	close(late[0]);
	skipped_ms += 10000;
	for (size_t i = 0; i < ARRAY_LEN(late); i++) {
		late[i] = dial(server);
		if (i < ARRAY_LEN(fds))
			ask_on(late[i], i % 2 == 0 ? SLICE(GET_OTHER) : SLICE(GET_PASS), "/");
		else
			assert_int_equal(recv(late[i], &byte, 1, 0), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(late); i++)
		close(late[i]);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
		close(fds[i]);
	}
	server_end();
	sys.monotonic_ms = real_monotonic_ms;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_follow_their_work),
		cmocka_unit_test(requests_that_came_together),
		cmocka_unit_test(long_bodies_stay_away),
		cmocka_unit_test(many_move_at_once),
		cmocka_unit_test(many_requests_of_one_take_many_turns),
		cmocka_unit_test(who_is_idle_makes_room),
	};

	alarm(60); /* a hang is a failure */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
