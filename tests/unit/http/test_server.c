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
	if (strcmp(http_path(q), "/refused") != 0)
		return true;
	r->status = 404;
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

static ssize_t file_read(void *ctx, uint64_t at, void *to, size_t n)
{
	return pread((int)(intptr_t)ctx, to, n, (off_t)at);
}

static int file_take_fd(void *ctx)
{
	return dup((int)(intptr_t)ctx);
}

static void file_close(void *ctx)
{
	close((int)(intptr_t)ctx);
}

static const struct http_source_ops file_ops = { file_read, file_take_fd, file_close };

static void answer_file(struct http_request *q, struct http_response *r)
{
	FILE *f = tmpfile();

	fputs("0123456789", f);
	fflush(f);
	r->file.ops = &file_ops;
	r->file.ctx = (void *)(intptr_t)dup(fileno(f));
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

static void app_refuse(void *ctx, const char *why, struct http_response *r)
{
	(void)ctx;
	http_header(r, "X-Refused", "yes");
	buf_printf(&r->body, "no: %s", why);
}

static const struct http_app app = {
	.begin = app_begin,
	.body = app_body,
	.handle = app_handle,
	.end = app_end,
	.refuse = app_refuse,
};

/* ---- a client ---- */

static struct http_server *server_with(struct http_config *config)
{
	struct http_server *s;
	struct error err;

	begun = ended = handled = body_bytes = asked_for_room = 0;
	assert_true(http_server_open(config, &s, &err));
	assert_int_not_equal(http_server_port(s), 0);
	return s;
}

static struct http_server *server_on(const char *host)
{
	struct http_config config = {
		.host = host, .threads = 2, .workers = 2, .connections_max = 100, .app = app
	};

	return server_with(&config);
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
		"Host: x\r\nContent-Length: 3x\r\n",
		"Host: x\r\nContent-Length: 99999999999999999999\r\n",
		"Host: x\r\nHost: y\r\n",
		"X: y\r\n",
		"Host: x\r\nA: b\r\n c\r\n",
		"Host: x\r\n: b\r\n",
		"Host: x\r\nno colon\r\n",
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
		assert_has(answer, "X-Refused: yes\r\n");
		assert_has(answer, "\r\n\r\nno: ");
		assert_null(strstr(answer + 1, "HTTP/1.1"));
	}
	assert_int_equal(begun, 0);
	/* HTTP/1.0 knows no Host */
	assert_has(ask(s, SLICE("GET /old HTTP/1.0\r\n\r\n")), "GET /old -");
	server_done(s);
}

/* Whatever was asked before is answered before; and what is in the middle of a request, too,
 * ends. */
static void a_fault_waits_for_the_answers_before_it(void **state)
{
	struct http_server *s = server_on("127.0.0.1");
	const char *text = ask(s, SLICE("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
					"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
					"GET /3 HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"));

	(void)state;
	assert_has(text, "GET /slow -HTTP/1.1 200 OK\r\n");
	assert_has(text, "GET /2 -HTTP/1.1 400 Bad Request\r\n");
	assert_has(text, "folded");
	assert_int_equal(begun, 2);
	/* a body breaks its framing, in a later piece than its head */
	int fd = dial(s);
	say(fd, SLICE("POST /4 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"));
	for (int i = 0; i < 500 && body_bytes < 2; i++)
		usleep(1000);
	say(fd, SLICE("c\r\nffffffffffffffffff\r\n"));
	text = hear(fd);
	assert_has(text, "HTTP/1.1 400 Bad Request\r\n");
	assert_has(text, "chunk's size");
	assert_int_equal(handled, 2);
	server_done(s);
}

/* As clients of proxies name it; and what only looks like that is a path. */
static void a_target_may_name_the_server(void **state)
{
	static const char *const targets[][2] = {
		{ "http://x/a/b?q=1", "GET /a/b 1" },   { "HTTPS://x:80/a%2F", "GET /a/ -" },
		{ "http://x?q=1", "GET / 1" },          { "http://", "GET / -" },
		{ "/http://x/a", "GET /http://x/a -" }, { "*", "GET * -" },
	};
	struct http_server *s = server_on("127.0.0.1");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		char text[200];
		int n = snprintf(text, sizeof(text),
				 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
				 targets[i][0]);
		const char *answer = ask(s, (struct slice){ text, (size_t)n });
		assert_string_equal(strstr(answer, "\r\n\r\n") + 4, targets[i][1]);
	}
	server_done(s);
}

/* RFC 9112, 9.3. */
static void who_keeps_the_connection(void **state)
{
	static const struct {
		const char *version, *says;
		bool kept;
	} cases[] = {
		{ "1.1", "", true },
		{ "1.1", "Connection: Close\r\n", false },
		{ "1.1", "Connection: keep-alive, close\r\n", false },
		{ "1.1", "Connection: x\r\nConnection: close\r\n", false },
		{ "1.0", "", false },
		{ "1.0", "Connection: Keep-Alive\r\n", true },
		{ "1.0", "Connection: keep-alive, close\r\n", false },
	};
	struct http_server *s = server_on("127.0.0.1");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[300];
		int n = snprintf(text, sizeof(text),
				 "GET /1 HTTP/%s\r\nHost: x\r\n%s\r\n"
				 "GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
				 cases[i].version, cases[i].says);
		const char *answer = ask(s, (struct slice){ text, (size_t)n });
		assert_has(answer, "GET /1 -");
		assert_int_equal(strstr(answer, "GET /2 -") != NULL, cases[i].kept);
	}
	server_done(s);
}

/* Requests that came together and apart, byte by byte. */
static void heads_may_come_in_pieces(void **state)
{
	static const char two[] = "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
				  "GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct http_server *s = server_on("127.0.0.1");
	int fd = dial(s);

	(void)state;
	for (size_t i = 0; i < sizeof(two) - 1; i++) {
		say(fd, (struct slice){ two + i, 1 });
		usleep(200);
	}
	const char *text = hear(fd);
	assert_has(text, "POST /1 -");
	assert_has(text, "GET /2 -");
	assert_int_equal(body_bytes, 3);
	server_done(s);
}

/* Four clients that send a byte now and then: in a head, only empty lines, in a body, in a
 * chunk. */
static void slow_clients_are_cut(void **state)
{
	static const char *const starts[] = {
		"GET / HTTP/1.1\r\nHost: x\r\nA: ",
		"\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n",
	};
	struct http_config config = {
		.host = "127.0.0.1",
		.threads = 2,
		.workers = 2,
		.connections_max = 100,
		.deadlines = { .head_ms = 500, .body_ms = 500, .body_bytes_min = 100 },
		.app = app,
	};
	struct http_server *s = server_with(&config);
	int fds[ARRAY_LEN(starts)];

	(void)state;
	int idle = dial(s), slow = dial(s);
	say(slow, SLICE("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HT"));
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		fds[i] = dial(s);
		say(fds[i], slice_of(starts[i]));
	}
	for (int i = 0; i < 30; i++) {
		for (size_t k = 0; k < ARRAY_LEN(starts); k++)
			(void)!send(fds[k], k == 1 ? "\n" : "x", 1, MSG_NOSIGNAL);
		usleep(50000);
	}
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		const char *text = hear(fds[i]);
		assert_has(text, "HTTP/1.1 408 Request Timeout\r\n");
		assert_has(text, i < 2 ? "head comes too slowly" : "body comes too slowly");
	}
	const char *text = hear(slow);
	assert_has(text, "GET /slow -HTTP/1.1 408");
	/* one that owes nothing stays */
	say(idle, SLICE("GET /idle HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	assert_has(hear(idle), "GET /idle -");
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

/* The program claims its address first: a client that comes before there is a server is answered by
 * it. */
static void an_address_is_claimed_before_the_server_is_there(void **state)
{
	struct http_config config = { .threads = 2, .workers = 1, .connections_max = 10 };
	struct http_server *s = NULL, *other = NULL;
	struct sockaddr_in at;
	socklen_t size = sizeof(at);
	struct error err;
	int fd = -1;

	(void)state;
	config.app = (struct http_app){ app_begin, app_body, app_handle, app_end };
	begun = ended = handled = body_bytes = 0;
	assert_true(http_listen("127.0.0.1", 0, &fd, &err));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	config.host = "127.0.0.1";
	config.port = ntohs(at.sin_port);
	assert_false(http_server_open(&config, &other, &err)); /* taken already */
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&at, size), 0);
	say(client, SLICE("GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	config.listening = &fd;
	assert_true(http_server_open(&config, &s, &err));
	assert_int_equal(fd, -1);
	assert_int_equal(http_server_port(s), config.port);
	assert_has(hear(client), "HTTP/1.1 200");
	server_done(s);
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
	return is_kept(text);
}

/* Of one connection too many the one that has been idle longest makes room, if that is long; else
 * the new one is closed. */
static void the_longest_idle_makes_room(void **state)
{
	struct http_server *s;
	struct http_config config = {
		.host = "127.0.0.1", .threads = 1, .workers = 2, .connections_max = 2, .app = app
	};
	struct error err;
	int fds[4];
	char byte;

	(void)state;
	begun = ended = handled = body_bytes = skipped_ms = 0;
	real_monotonic_ms = sys.monotonic_ms;
	sys.monotonic_ms = skipping_monotonic_ms;
	assert_true(http_server_open(&config, &s, &err));
	fds[0] = dial(s);
	assert_true(ask_and_stay(fds[0]));
	fds[1] = dial(s);
	assert_true(ask_and_stay(fds[1]));
	assert_true(ask_and_stay(fds[0])); /* was idle, is again: now 1 is the oldest */
	fds[2] = dial(s);
	assert_int_equal(recv(fds[2], &byte, 1, 0), 0);
	skipped_ms += 10000;
	fds[3] = dial(s);
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
	struct http_config config = {
		.host = "127.0.0.1", .threads = 2, .workers = 2, .connections_max = 100, .app = app
	};

	config.app.room = app_room;
	return server_with(&config);
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
		cmocka_unit_test(a_fault_waits_for_the_answers_before_it),
		cmocka_unit_test(a_target_may_name_the_server),
		cmocka_unit_test(who_keeps_the_connection),
		cmocka_unit_test(heads_may_come_in_pieces),
		cmocka_unit_test(slow_clients_are_cut),
		cmocka_unit_test(sends_files),
		cmocka_unit_test(clients_that_go_away),
		cmocka_unit_test(the_longest_idle_makes_room),
		cmocka_unit_test(quiesce_refuses_and_close_waits),
		cmocka_unit_test(addresses),
		cmocka_unit_test(an_address_is_claimed_before_the_server_is_there),
		cmocka_unit_test(a_body_waits_for_room),
		cmocka_unit_test(a_body_without_room_is_refused_and_read),
		cmocka_unit_test(waiting_for_room_ends),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(60); /* a hang is a failure */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
