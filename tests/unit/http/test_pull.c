/* Answers whose bytes have no descriptor: read by a worker, a piece at a time, never in a loop. */
#include "http_test.h"

#include <stdatomic.h>
#include <zlib.h>

#define BYTES 300000

static char text[BYTES];
static atomic_uint reads, closes, sources;
static _Atomic size_t read_most;   /* at once; 0: all */
static _Atomic uint64_t bad_from;  /* bytes from here on cannot be read */
static _Atomic uint64_t ends_at;   /* the source does */
static atomic_uint read_ms;        /* a read takes so long */
static _Atomic pthread_t loop;     /* the thread in which `begin` is called */
static atomic_bool in_loop;        /* a read was made there */
static atomic_uint loop_waits_for; /* so many reads, when it is asked for /none; 0: it does not */
static atomic_bool loop_waits;
static atomic_uint reads_meanwhile;

static ssize_t source_read(void *ctx, uint64_t at, void *to, size_t n)
{
	uint64_t left = at < ends_at ? ends_at - at : 0;

	(void)ctx;
	reads++;
	in_loop = in_loop || pthread_equal(pthread_self(), loop);
	if (read_ms > 0)
		usleep(read_ms * 1000);
	while (loop_waits_for > 0 && !loop_waits)
		usleep(1000);
	if (at >= bad_from)
		return -1;
	n = left < n ? (size_t)left : n;
	n = read_most > 0 && read_most < n ? read_most : n;
	memcpy(to, text + at, n);
	return (ssize_t)n;
}

static void source_close(void *ctx)
{
	(void)ctx;
	closes++;
}

static const struct http_source_ops source_ops = { .read = source_read, .close = source_close };

static bool app_begin(void *ctx, struct http_request *q, struct http_response *r)
{
	(void)ctx;
	(void)r;
	loop = pthread_self();
	if (loop_waits_for == 0 || strcmp(http_path(q), "/none") != 0)
		return true;
	loop_waits = true;
	for (unsigned ms = 0; reads < loop_waits_for && ms < 10000; ms++)
		usleep(1000);
	reads_meanwhile = (unsigned)reads;
	return true;
}

static void app_handle(void *ctx, struct http_request *q, struct http_response *r)
{
	(void)ctx;
	sources++;
	r->content_type = "text/plain";
	r->file = (struct http_file){ .ops = &source_ops, .length = BYTES };
	if (strcmp(http_path(q), "/part") == 0) {
		r->status = 206;
		r->file.offset = 70000;
		r->file.length = 100000;
	}
	if (strcmp(http_path(q), "/none") == 0)
		r->file.length = 0;
	if (strcmp(http_path(q), "/unchanged") == 0)
		r->status = 304;
	r->file.gzip = http_query(q, "gzip") != NULL;
}

static void app_end(void *ctx, struct http_request *q)
{
	(void)ctx;
	(void)q;
}

static void app_refuse(void *ctx, const char *why, struct http_response *r)
{
	(void)ctx;
	(void)why;
	(void)r;
}

static struct http_server *server;

static int setup(void **state)
{
	struct http_config config = {
		.host = "127.0.0.1",
		.threads = 1,
		.connections_max = 100,
		.app = { .begin = app_begin,
			 .handle = app_handle,
			 .end = app_end,
			 .refuse = app_refuse },
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < BYTES; i++)
		text[i] = (char)(i % 1000 < 500 ? 'a' + i % 7 : ' ' + (i * 2654435761u >> 13) % 64);
	reads = closes = sources = 0;
	in_loop = false;
	loop_waits = false;
	loop_waits_for = reads_meanwhile = 0;
	read_most = 0;
	read_ms = 0;
	bad_from = UINT64_MAX;
	ends_at = BYTES;
	assert_true(http_server_open(&config, &server, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_server_close(server);
	assert_int_equal(closes, sources);
	return 0;
}

/* The whole answer to a request that closes its connection; *ret_body is behind its head. */
static size_t get(const char *line, const char **ret_head, const char **ret_body)
{
	static char answer[4 * BYTES];
	char request[256];
	size_t n = 0;
	ssize_t got;
	int fd = dial(server);

	snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 line);
	say(fd, slice_of(request));
	while ((got = recv(fd, answer + n, sizeof(answer) - 1 - n, 0)) > 0)
		n += (size_t)got;
	close(fd);
	answer[n] = '\0';
	char *body = strstr(answer, "\r\n\r\n");
	assert_non_null(body);
	*ret_head = answer;
	*ret_body = body + 4;
	return n - (size_t)(body + 4 - answer);
}

static void whole_or_a_part(void **state)
{
	static const size_t most[] = { 0, 1000, 65536, 70001 };
	const char *head, *body;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(most); i++) {
		read_most = most[i];
		assert_int_equal(get("GET /whole", &head, &body), BYTES);
		assert_has(head, "Content-Length: 300000\r\n");
		assert_memory_equal(body, text, BYTES);
		assert_int_equal(get("GET /part", &head, &body), 100000);
		assert_has(head, "HTTP/1.1 206");
		assert_memory_equal(body, text + 70000, 100000);
	}
	assert_false(in_loop);
}

/* The body of a chunked answer, its frames taken off in place. */
static size_t unchunked(char *body)
{
	char *from = body, *to = body;
	size_t n;

	while ((n = strtoul(from, &from, 16)) > 0) {
		from += 2;
		memmove(to, from, n);
		to += n;
		from += n + 2;
	}
	return (size_t)(to - body);
}

static void compressed(void **state)
{
	static char out[BYTES + 1];
	const char *head, *body;

	(void)state;
	read_most = 50000;
	get("GET /whole?gzip", &head, &body);
	assert_has(head, "Transfer-Encoding: chunked\r\n");
	z_stream z = { .next_in = (Bytef *)(uintptr_t)body,
		       .avail_in = (uInt)unchunked((char *)(uintptr_t)body),
		       .next_out = (Bytef *)out,
		       .avail_out = sizeof(out) };
	assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, BYTES);
	assert_memory_equal(out, text, BYTES);
	inflateEnd(&z);
	assert_false(in_loop);
}

static void nothing_is_read_that_is_not_sent(void **state)
{
	const char *head, *body;

	(void)state;
	assert_int_equal(get("HEAD /whole", &head, &body), 0);
	assert_has(head, "Content-Length: 300000\r\n");
	assert_int_equal(get("HEAD /whole?gzip", &head, &body), 0);
	assert_int_equal(get("GET /unchanged", &head, &body), 0);
	assert_has(head, "HTTP/1.1 304");
	assert_int_equal(get("GET /none", &head, &body), 0);
	assert_has(head, "Content-Length: 0\r\n");
	assert_int_equal(reads, 0);
}

/* The client sees that it has not got all. */
static void a_fault_ends_the_connection(void **state)
{
	const char *head, *body;

	(void)state;
	bad_from = 100000;
	size_t n = get("GET /whole", &head, &body);
	assert_true(n < BYTES);
	assert_memory_equal(body, text, n);
	n = get("GET /whole?gzip", &head, &body);
	assert_true(n < 5 || memcmp(body + n - 5, "0\r\n\r\n", 5) != 0);
	bad_from = UINT64_MAX;
	ends_at = BYTES - 1; /* it has become shorter */
	assert_true(get("GET /whole", &head, &body) < BYTES);
	n = get("GET /whole?gzip", &head, &body);
	assert_true(n < 5 || memcmp(body + n - 5, "0\r\n\r\n", 5) != 0);
}

/* One loop, and a source that takes its time: others are answered meanwhile. */
static void a_slow_source_holds_up_nobody(void **state)
{
	const char *head, *body;
	int fd = dial(server);

	(void)state;
	read_ms = 300;
	say(fd, SLICE("GET /whole HTTP/1.1\r\nHost: x\r\n\r\n"));
	while (reads == 0)
		usleep(1000);
	assert_int_equal(get("GET /none", &head, &body), 0);
	assert_int_equal(reads, 1);
	close(fd); /* in the middle of a read: what is left of it is closed all the same */
}

/* A source of many small parts: between the reads of a piece nobody waits for the loop. */
static void a_piece_is_filled_without_the_loop(void **state)
{
	const char *head, *body;
	int fd = dial(server);

	(void)state;
	read_most = 1000;
	loop_waits_for = 66; /* of 64 KiB */
	say(fd, SLICE("GET /whole HTTP/1.1\r\nHost: x\r\n\r\n"));
	while (reads == 0)
		usleep(1000);
	assert_int_equal(get("GET /none", &head, &body), 0);
	assert_int_equal(reads_meanwhile, 66);
	close(fd);
}

static void closing_waits_for_a_read(void **state)
{
	int fd = dial(server);

	(void)state;
	read_ms = 100;
	say(fd, SLICE("GET /whole?gzip HTTP/1.1\r\nHost: x\r\n\r\n"));
	while (reads == 0)
		usleep(1000);
	http_server_close(TAKE(server));
	assert_int_equal(closes, 1);
	close(fd);
}

int main(void)
{
#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		SERVED(whole_or_a_part),
		SERVED(compressed),
		SERVED(nothing_is_read_that_is_not_sent),
		SERVED(a_fault_ends_the_connection),
		SERVED(a_slow_source_holds_up_nobody),
		SERVED(a_piece_is_filled_without_the_loop),
		SERVED(closing_waits_for_a_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
