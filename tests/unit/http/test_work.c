/* Kinds of work: none waits for another, each has an edge, and bodies that go to workers. */
#include "http_test.h"

#include <stdatomic.h>

static atomic_uint begun, far_begun, ended, handled, body_bytes, largest, in_loop, blocked;
static atomic_bool gate; /* closed: what asks for it waits */
static atomic_bool in_order;

static void pass_gate(void)
{
	blocked++;
	while (!gate)
		usleep(1000);
	blocked--;
}

static bool in_worker(void)
{
	char name[16];

	pthread_getname_np(pthread_self(), name, sizeof(name));
	return strncmp(name, "api-", 4) == 0;
}

static bool app_begin(void *ctx, struct http_request *q, struct http_response *r)
{
	const char *path = http_path(q);

	(void)ctx;
	begun++;
	far_begun += in_worker();
	if (strcmp(path, "/far/blocked") == 0)
		pass_gate();
	http_set_data(q, calloc(1, 16)); /* lost or freed twice: ASan says so */
	http_set_work(q, strncmp(path, "/instant", 8) == 0 ? HTTP_INSTANT : HTTP_WRITE);
	if (strstr(path, "/upload") != NULL)
		http_body_to_worker(q);
	r->status = strstr(path, "/no") != NULL ? 403 : 200;
	return r->status == 200;
}

static bool app_waits(void *ctx, const struct http_request *q)
{
	(void)ctx;
	return strncmp(http_path(q), "/far", 4) == 0;
}

static void app_refuse(void *ctx, const char *why, struct http_response *r)
{
	(void)ctx;
	buf_text(&r->body, why);
}

/* The bytes of a body are numbered. */
static void app_body(void *ctx, struct http_request *q, struct slice piece)
{
	(void)ctx;
	if (strcmp(http_path(q), "/upload/blocked") == 0)
		pass_gate();
	in_loop += !in_worker();
	if (piece.n > largest)
		largest = (unsigned)piece.n;
	for (size_t i = 0; i < piece.n; i++)
		in_order = in_order && (unsigned char)piece.p[i] == (body_bytes + i) % 251;
	body_bytes += (unsigned)piece.n;
}

static void app_handle(void *ctx, struct http_request *q, struct http_response *r)
{
	(void)ctx;
	handled++;
	if (strcmp(http_path(q), "/blocked") == 0)
		pass_gate();
	buf_text(&r->body, "done");
}

static void app_end(void *ctx, struct http_request *q)
{
	(void)ctx;
	free(http_data(q));
	ended++;
}

static void app_busy(void *ctx, struct http_request *q, struct http_response *r)
{
	(void)ctx;
	assert_non_null(http_data(q));
	http_header(r, "Retry-After", "5");
	buf_text(&r->body, "busy");
}

/* One loop, and one worker of each kind, for which one request may wait. */
static struct http_server *server_new(bool tells_busy)
{
	struct http_config config = {
		.host = "127.0.0.1",
		.threads = 1,
		.workers = 1,
		.waiting_max = 1,
		.connections_max = 100,
		.app = { .begin = app_begin,
			 .waits = app_waits,
			 .refuse = app_refuse,
			 .body = app_body,
			 .handle = app_handle,
			 .end = app_end,
			 .busy = tells_busy ? app_busy : NULL },
	};
	struct http_server *s;
	struct error err;

	begun = far_begun = ended = handled = body_bytes = largest = in_loop = blocked = 0;
	gate = false;
	in_order = true;
	assert_true(http_server_open(&config, &s, &err));
	return s;
}

static void server_done(struct http_server *s)
{
	gate = true;
	http_server_close(s);
	assert_int_equal(begun, ended);
}

static int ask(const struct http_server *s, const char *path)
{
	char text[200];
	int n = snprintf(text, sizeof(text),
			 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	int fd = dial(s);

	say(fd, (struct slice){ text, (size_t)n });
	return fd;
}

static void until(const atomic_uint *count, unsigned n)
{
	for (int i = 0; i < 10000 && *count < n; i++)
		usleep(1000);
	assert_true(*count >= n);
}

static void one_kind_does_not_wait_for_another(void **state)
{
	struct http_server *s = server_new(true);
	int waiting = ask(s, "/blocked");

	(void)state;
	until(&blocked, 1);
	assert_has(hear(ask(s, "/instant")), "HTTP/1.1 200");
	assert_int_equal(blocked, 1);
	gate = true;
	assert_has(hear(waiting), "HTTP/1.1 200");
	server_done(s);
}

static void one_too_many_is_told_so(void **state)
{
	struct http_server *s = server_new(true);
	int running = ask(s, "/blocked");

	(void)state;
	until(&blocked, 1);
	int waiting = ask(s, "/blocked");
	until(&begun, 2);
	usleep(20000);
	const char *answer = hear(ask(s, "/blocked"));
	assert_has(answer, "HTTP/1.1 503");
	assert_has(answer, "Retry-After: 5");
	assert_has(answer, "busy");
	gate = true;
	assert_has(hear(running), "HTTP/1.1 200");
	assert_has(hear(waiting), "HTTP/1.1 200");
	assert_int_equal(handled, 2);
	server_done(s);
	s = server_new(false); /* an application that says nothing of its own */
	running = ask(s, "/blocked");
	until(&blocked, 1);
	waiting = ask(s, "/blocked");
	until(&begun, 2);
	usleep(20000);
	assert_has(hear(ask(s, "/blocked")), "HTTP/1.1 503");
	server_done(s);
	close(running);
	close(waiting);
}

static void send_body(int fd, size_t n)
{
	char *bytes = malloc(n);

	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(i % 251);
	for (size_t sent = 0; sent < n;) {
		ssize_t more = send(fd, bytes + sent, n - sent, MSG_NOSIGNAL);
		assert_true(more > 0);
		sent += (size_t)more;
	}
	free(bytes);
}

static int upload(const struct http_server *s, const char *path, size_t announced)
{
	char text[200];
	int n = snprintf(text, sizeof(text),
			 "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			 "Content-Length: %zu\r\n\r\n",
			 path, announced);
	int fd = dial(s);

	say(fd, (struct slice){ text, (size_t)n });
	return fd;
}

static void a_body_goes_to_workers_whole_and_in_pieces(void **state)
{
	static const size_t sizes[] = { 1, 1000, HTTP_PIECE_MAX, HTTP_PIECE_MAX + 1, 3000000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct http_server *s = server_new(true);
		int fd = upload(s, "/upload", sizes[i]);
		send_body(fd, sizes[i]);
		assert_has(hear(fd), "HTTP/1.1 200");
		assert_int_equal(body_bytes, sizes[i]);
		assert_true(in_order);
		assert_int_equal(in_loop, 0);
		assert_in_range(largest, 1, HTTP_PIECE_MAX + (64u << 10));
		server_done(s);
	}
}

/* Many chunks come with one read. */
static void a_body_in_chunks_does_too(void **state)
{
	enum { CHUNK = 1000, CHUNKS = 3000 };
	struct http_server *s = server_new(true);
	struct buf text = BUF(UINT32_MAX);
	int fd = dial(s);

	(void)state;
	gate = true;
	buf_text(&text, "POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			"Transfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i < CHUNKS; i++) {
		buf_printf(&text, "%x\r\n", (unsigned)CHUNK);
		for (unsigned k = 0; k < CHUNK; k++)
			buf_char(&text, (char)((i * CHUNK + k) % 251));
		buf_text(&text, "\r\n");
	}
	buf_text(&text, "0\r\n\r\n");
	assert_false(text.failed);
	for (size_t sent = 0; sent < text.n;) {
		ssize_t more = send(fd, text.p + sent, text.n - sent, MSG_NOSIGNAL);
		assert_true(more > 0);
		sent += (size_t)more;
	}
	buf_free(&text);
	assert_has(hear(fd), "HTTP/1.1 200");
	assert_int_equal(body_bytes, CHUNK * CHUNKS);
	assert_true(in_order);
	assert_int_equal(in_loop, 0);
	server_done(s);
}

/* E11: the only loop serves others while a piece is written. */
static void a_piece_that_is_written_holds_up_nobody(void **state)
{
	struct http_server *s = server_new(true);
	int fd = upload(s, "/upload/blocked", 1000000);

	(void)state;
	send_body(fd, 600000);
	until(&blocked, 1);
	assert_has(hear(ask(s, "/instant")), "HTTP/1.1 200");
	assert_int_equal(blocked, 1);
	close(fd); /* in the middle, while a worker has it */
	gate = true;
	until(&ended, 2);
	assert_int_equal(handled, 1);
	server_done(s);
}

static void a_client_that_goes_away_leaves_nothing(void **state)
{
	struct http_server *s = server_new(true);

	(void)state;
	gate = true;
	for (unsigned i = 0; i < 40; i++) {
		int fd = upload(s, "/upload", 1000000);
		send_body(fd, i * 20000);
		close(fd);
	}
	until(&ended, 40);
	server_done(s);
}

/* The server closes while pieces come in. */
static void closing_in_the_middle_of_bodies(void **state)
{
	struct http_server *s = server_new(true);
	int fds[8];

	(void)state;
	gate = true;
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = upload(s, "/upload", 1000000);
		send_body(fds[i], 300000);
	}
	server_done(s);
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

/* ---- a `begin` that waits ---- */

static void a_begin_that_waits_holds_up_nobody(void **state)
{
	struct http_server *s = server_new(true);
	int far = ask(s, "/far/blocked");

	(void)state;
	until(&blocked, 1);
	assert_has(hear(ask(s, "/instant")), "HTTP/1.1 200");
	assert_int_equal(far_begun, 1);
	int waiting = ask(s, "/far/no");
	usleep(20000);
	const char *answer = hear(ask(s, "/far/blocked"));
	assert_has(answer, "HTTP/1.1 503");
	assert_has(answer, "too many requests wait");
	gate = true;
	assert_has(hear(far), "HTTP/1.1 200");
	assert_has(hear(waiting), "HTTP/1.1 403");
	assert_int_equal(far_begun, 2);
	server_done(s);
}

static void what_follows_such_a_begin_is_as_ever(void **state)
{
	static const char two[] = "GET /far HTTP/1.1\r\nHost: x\r\n\r\n"
				  "GET /far/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	static const char expects[] = "POST /far HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
				      "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n";
	struct http_server *s = server_new(true);
	char told[64];

	(void)state;
	gate = true;
	int fd = upload(s, "/far/upload", 3000000);
	send_body(fd, 3000000);
	assert_has(hear(fd), "HTTP/1.1 200");
	assert_int_equal(body_bytes, 3000000);
	assert_true(in_order);
	fd = upload(s, "/far/no", 300000);
	send_body(fd, 300000); /* is dropped */
	assert_has(hear(fd), "HTTP/1.1 403");
	assert_int_equal(body_bytes, 3000000);
	fd = dial(s);
	say(fd, slice_of(two));
	assert_has(strstr(hear(fd), "done"), "HTTP/1.1 200");
	fd = dial(s);
	say(fd, slice_of(expects));
	assert_int_equal(recv(fd, told, sizeof(told), 0), strlen("HTTP/1.1 100 Continue\r\n\r\n"));
	say(fd, SLICE("\0"));
	assert_has(hear(fd), "HTTP/1.1 200");
	assert_int_equal(far_begun, 5);
	server_done(s);
}

static void closing_in_the_middle_of_such_a_begin(void **state)
{
	struct http_server *s = server_new(true);
	int gone = ask(s, "/far/blocked"), stays = ask(s, "/far/upload");

	(void)state;
	until(&blocked, 1);
	close(gone);
	gate = true;
	server_done(s);
	close(stays);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_kind_does_not_wait_for_another),
		cmocka_unit_test(one_too_many_is_told_so),
		cmocka_unit_test(a_body_goes_to_workers_whole_and_in_pieces),
		cmocka_unit_test(a_body_in_chunks_does_too),
		cmocka_unit_test(a_piece_that_is_written_holds_up_nobody),
		cmocka_unit_test(a_client_that_goes_away_leaves_nothing),
		cmocka_unit_test(closing_in_the_middle_of_bodies),
		cmocka_unit_test(a_begin_that_waits_holds_up_nobody),
		cmocka_unit_test(what_follows_such_a_begin_is_as_ever),
		cmocka_unit_test(closing_in_the_middle_of_such_a_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
