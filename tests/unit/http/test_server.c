/* Requests over real sockets: order of the calls, answers, and every `begin` with its one `end`,
 * whatever becomes of the client. */
#include "http_test.h"

#include <signal.h>
#include <stdatomic.h>

static atomic_uint begun, ended, handled, body_bytes;

/* ---- an application that answers by path ---- */

static bool app_begin(void *ctx, struct http_request *q, struct http_response *r)
{
	(void)ctx;
	begun++;
	http_set_data(q, calloc(1, 16)); /* lost or freed twice: ASan says so */
	if (http_request_fault(q) != NULL)
		r->status = 400;
	else if (strcmp(http_path(q), "/refused") == 0)
		r->status = 404;
	else
		return true;
	buf_text(&r->body, "refused");
	return false;
}

static atomic_uint asked_for_room;

/* The first three times there is none; for /full there never will be. */
static enum http_room app_room(void *ctx, struct http_request *q, size_t bytes,
			       struct http_response *r)
{
	(void)ctx;
	assert_int_not_equal(bytes, 0);
	asked_for_room++;
	if (asked_for_room <= 3)
		return HTTP_WAIT;
	if (strcmp(http_path(q), "/full") != 0)
		return HTTP_ROOM;
	if (strcmp(http_method(q), "PUT") == 0)
		return HTTP_WAIT;
	r->status = 503;
	buf_text(&r->body, "no room");
	return HTTP_REFUSED;
}

static void app_body(void *ctx, struct http_request *q, struct slice piece)
{
	(void)ctx;
	assert_non_null(http_data(q));
	body_bytes += (unsigned)piece.n;
}

static void answer_file(struct http_request *q, struct http_response *r)
{
	FILE *f = tmpfile();

	fputs("0123456789", f);
	fflush(f);
	r->file.fd = dup(fileno(f));
	fclose(f);
	r->file.offset = 2;
	r->file.length = 5;
	r->content_type = "application/octet-stream";
	if (http_query(q, "status") != NULL)
		r->status = (int)strtol(http_query(q, "status"), NULL, 10);
	r->file.gzip = http_query(q, "gzip") != NULL;
	if (http_query(q, "empty") != NULL)
		r->file.length = 0;
}

static void app_handle(void *ctx, struct http_request *q, struct http_response *r)
{
	(void)ctx;
	handled++;
	if (strcmp(http_path(q), "/slow") == 0)
		usleep(50000);
	if (strcmp(http_path(q), "/file") == 0) {
		answer_file(q, r);
		return;
	}
	http_header(r, "X-Seen", "%s", http_path(q));
	buf_printf(&r->body, "%s %s %s", http_method(q), http_path(q),
		   http_query(q, "q") != NULL ? http_query(q, "q") : "-");
}

static void app_end(void *ctx, struct http_request *q)
{
	(void)ctx;
	ended++;
	free(http_data(q));
}

/* ---- a client ---- */

static struct http_server *server_with(const char *host, struct http_app app)
{
	struct http_config config = {
		.host = host,
		.threads = 2,
		.workers = 2,
		.connections_max = 100,
		.app = app,
	};
	struct http_server *s;
	struct error err;

	begun = ended = handled = body_bytes = asked_for_room = 0;
	assert_true(http_server_open(&config, &s, &err));
	assert_int_not_equal(http_server_port(s), 0);
	return s;
}

static struct http_server *server_on(const char *host)
{
	return server_with(host, (struct http_app){ app_begin, app_body, app_handle, app_end });
}

static const char *ask(const struct http_server *s, struct slice text)
{
	int fd = dial(s);

	say(fd, text);
	return hear(fd);
}

/* A request whose answer closes the connection. */
#define ASK(s, first_lines) ask(s, SLICE(first_lines "Host: x\r\nConnection: close\r\n\r\n"))

static void server_done(struct http_server *s)
{
	http_server_close(s);
	assert_int_equal(begun, ended);
}

/* ---- the tests ---- */

static void answers_a_request(void **state)
{
	struct http_server *s = server_on("127.0.0.1");
	const char *text = ASK(s, "GET /a%2Fb%00c?q=x+y%21%00 HTTP/1.1\r\n");

	(void)state;
	assert_has(text, "HTTP/1.1 200 OK\r\n");
	assert_has(text, "X-Seen: /a/b%00c\r\n");
	assert_has(text, "Content-Type: application/json\r\n");
	assert_has(text, "\r\n\r\nGET /a/b%00c x y!%00");
	assert_int_equal(handled, 1);
	server_done(s);
}

static void keeps_the_connection(void **state)
{
	struct http_server *s = server_on("localhost");
	const char *text = ask(s, SLICE("POST /refused HTTP/1.1\r\nHost: x\r\n"
					"Content-Length: 5\r\n\r\n12345"
					"POST /1 HTTP/1.1\r\nHost: x\r\n"
					"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
					"GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));

	(void)state;
	assert_has(text, "HTTP/1.1 404");
	assert_has(text, "POST /1 -");
	assert_has(text, "GET /2 -");
	assert_int_equal(body_bytes, 3); /* the refused one's was dropped */
	assert_int_equal(handled, 2);
	server_done(s);
}

static void a_refusal_comes_before_the_body_if_the_client_waits(void **state)
{
	struct http_server *s = server_on("127.0.0.1");
	const char *text = ask(s, SLICE("POST /refused HTTP/1.1\r\nHost: x\r\n"
					"Content-Length: 50000\r\nExpect: 100-continue\r\n\r\n"));

	(void)state;
	assert_null(strstr(text, "100 Continue"));
	assert_has(text, "HTTP/1.1 404");
	assert_has(text, "refused");
	server_done(s);
}

static void faults_close_the_connection(void **state)
{
	static const char *const heads[] = {
		"Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
		"Host: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n",
		"Host: x\r\nTransfer-Encoding: gzip\r\n",
		"Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Host: x\r\nContent-Length : 3\r\n",
		"Host: x\r\nHost: y\r\n",
		"X: y\r\n",
	};
	struct http_server *s = server_on("127.0.0.1");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		char text[400];
		int n = snprintf(text, sizeof(text),
				 "POST / HTTP/1.1\r\n%s\r\nabcGET /smuggled HTTP/1.1\r\n"
				 "Host: x\r\n\r\n",
				 heads[i]);
		const char *answer = ask(s, (struct slice){ text, (size_t)n });
		assert_has(answer, "HTTP/1.1 400 Bad Request\r\n");
		assert_has(answer, "Connection: close\r\n");
		assert_null(strstr(answer, "smuggled"));
	}
	assert_int_equal(handled, 0);
	/* HTTP/1.0 knows no Host */
	assert_has(ask(s, SLICE("GET /old HTTP/1.0\r\n\r\n")), "GET /old -");
	server_done(s);
}

static void sends_files(void **state)
{
	struct http_server *s = server_on("127.0.0.1");
	const char *text = ASK(s, "GET /file HTTP/1.1\r\n");

	(void)state;
	assert_has(text, "Content-Length: 5\r\n");
	assert_has(text, "Content-Type: application/octet-stream\r\n");
	assert_has(text, "\r\n\r\n23456");
	text = ASK(s, "HEAD /file HTTP/1.1\r\n");
	assert_has(text, "Content-Length: 5\r\n");
	assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
	text = ASK(s, "GET /file?status=304 HTTP/1.1\r\n");
	assert_has(text, "HTTP/1.1 304");
	assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
	assert_has(ASK(s, "GET /file?empty HTTP/1.1\r\n"), "Content-Length: 0\r\n");
	assert_has(ASK(s, "GET /file?gzip HTTP/1.1\r\n"), "Transfer-Encoding: chunked\r\n");
	text = ASK(s, "HEAD /file?gzip HTTP/1.1\r\n");
	assert_string_equal(text + strlen(text) - 4, "\r\n\r\n"); /* not the end of chunks */
	server_done(s);
}

/* Clients that go away in each state: while the head, the body comes in, while a worker has the
 * request, while the answer goes out; politely, and with a reset. */
static void clients_that_go_away(void **state)
{
	static const char *const texts[] = {
		"GET /x HTTP/1.1\r\nHo",
		"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf of it",
		"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /file HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /file?gzip HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf of it",
	};
	struct http_server *s = server_on("127.0.0.1");

	(void)state;
	for (unsigned i = 0; i < 10 * ARRAY_LEN(texts); i++) {
		struct linger reset = { .l_onoff = 1 };
		int fd = dial(s);
		say(fd, slice_of(texts[i % ARRAY_LEN(texts)]));
		if (i % 3 == 0)
			usleep(2000);
		if (i % 2 == 0)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
	assert_has(ASK(s, "GET /alive HTTP/1.1\r\n"), "GET /alive -");
	/* seen without any time-out */
	for (int i = 0; i < 500 && ended != begun; i++)
		usleep(10000);
	assert_int_equal(begun, ended);
	server_done(s);
}

static void quiesce_refuses_and_close_waits(void **state)
{
	struct http_server *s = server_on("127.0.0.1");
	int fd = dial(s);

	(void)state;
	say(fd, SLICE("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"));
	for (int i = 0; i < 500 && handled == 0; i++)
		usleep(1000);
	http_server_quiesce(s);
	http_server_quiesce(s);
	assert_int_equal(dial(s), -1);
	server_done(s); /* while the worker sleeps */
	close(fd);
	http_server_close(NULL);
}

static void addresses(void **state)
{
	struct http_config config = {
		.host = "no.such.host", .threads = 2, .workers = 1, .connections_max = 10
	};
	struct http_server *s = NULL, *other = NULL;
	struct error err;

	(void)state;
	assert_false(http_server_open(&config, &s, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_has(err.message, "no.such.host");
	other = server_on("127.0.0.1");
	config.host = "127.0.0.1";
	config.port = http_server_port(other);
	assert_false(http_server_open(&config, &s, &err)); /* taken */
	assert_has(err.message, "in use");
	assert_null(s);
	server_done(other);
	/* where the machine has IPv6 at all */
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 loopback = { .sin6_family = AF_INET6,
					 .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	if (fd >= 0 && bind(fd, (struct sockaddr *)&loopback, sizeof(loopback)) == 0)
		server_done(server_on("::1"));
	if (fd >= 0)
		close(fd);
}

static atomic_uint skipped_ms;
static uint64_t (*real_monotonic_ms)(void);

static uint64_t skipping_monotonic_ms(void)
{
	return real_monotonic_ms() + skipped_ms;
}

static bool is_kept(const char *answer)
{
	assert_has(answer, "HTTP/1.1 200");
	return strstr(answer, "Connection: close") == NULL;
}

/* One read is one answer here. */
static bool ask_and_stay(int fd)
{
	char text[4096];

	say(fd, SLICE("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"));
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	usleep(20000); /* until the server has noted that it is idle */
	return is_kept(text);
}

/* Two are kept; a third only when one of them has been idle for long, and that one then goes. */
static void few_connections_keep_their_memory(void **state)
{
	struct http_server *s;
	struct http_config config = {
		.host = "127.0.0.1",
		.threads = 2,
		.workers = 2,
		.connections_max = 100,
		.kept_max = 2,
		.app = { app_begin, app_body, app_handle, app_end },
	};
	struct error err;
	int fds[4];
	char byte;

	(void)state;
	begun = ended = handled = body_bytes = skipped_ms = 0;
	real_monotonic_ms = sys.monotonic_ms;
	sys.monotonic_ms = skipping_monotonic_ms;
	assert_true(http_server_open(&config, &s, &err));
	for (int i = 0; i < 4; i++)
		fds[i] = dial(s);
	assert_true(ask_and_stay(fds[0]));
	assert_true(ask_and_stay(fds[1]));
	assert_true(ask_and_stay(fds[0])); /* was idle, is again: now 1 is the oldest */
	assert_false(ask_and_stay(fds[2]));
	assert_int_equal(recv(fds[2], &byte, 1, 0), 0);
	skipped_ms += 10000;
	assert_true(ask_and_stay(fds[3]));
	assert_int_equal(recv(fds[1], &byte, 1, 0), 0);
	assert_true(ask_and_stay(fds[0]));
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	http_server_close(s);
	sys.monotonic_ms = real_monotonic_ms;
	assert_int_equal(begun, ended);
}

/* ---- bodies for which there is no room ---- */

static struct http_server *server_with_room(void)
{
	return server_with("127.0.0.1",
			   (struct http_app){ app_begin, app_body, app_handle, app_end, app_room });
}

static void a_body_waits_for_room(void **state)
{
	struct http_server *s = server_with_room();

	(void)state;
	assert_has(ask(s, SLICE("POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
				"Content-Length: 10\r\n\r\n0123456789")),
		   "200 OK");
	assert_true(asked_for_room >= 4);
	assert_int_equal(body_bytes, 10); /* each byte once */
	server_done(s);
}

static void a_body_without_room_is_refused_and_read(void **state)
{
	struct http_server *s = server_with_room();
	const char *text = ask(s,
			       SLICE("POST /full HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
				     "0123456789"
				     "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));

	(void)state;
	assert_has(text, " 503 ");
	assert_has(text, "no room");
	assert_has(text, "GET /next"); /* the connection goes on behind the body */
	assert_int_equal(body_bytes, 0);
	assert_int_equal(handled, 1);
	server_done(s);
}

/* Neither a client that has gone nor the server's end has to wait for room that never comes. */
static void waiting_for_room_ends(void **state)
{
	struct http_server *s = server_with_room();
	int gone = dial(s), stays = dial(s);
	struct slice text = SLICE(
		"PUT /full HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234");

	(void)state;
	say(gone, text);
	say(stays, text);
	while (asked_for_room < 6)
		usleep(1000);
	close(gone);
	while (ended < 1)
		usleep(1000);
	server_done(s);
	assert_string_equal(hear(stays), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_a_request),
		cmocka_unit_test(keeps_the_connection),
		cmocka_unit_test(a_refusal_comes_before_the_body_if_the_client_waits),
		cmocka_unit_test(faults_close_the_connection),
		cmocka_unit_test(sends_files),
		cmocka_unit_test(clients_that_go_away),
		cmocka_unit_test(few_connections_keep_their_memory),
		cmocka_unit_test(quiesce_refuses_and_close_waits),
		cmocka_unit_test(addresses),
		cmocka_unit_test(a_body_waits_for_room),
		cmocka_unit_test(a_body_without_room_is_refused_and_read),
		cmocka_unit_test(waiting_for_room_ends),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(60); /* a hang is a failure */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
