/* Memory runs out in a server, anywhere on a request's way: it is answered as it was asked, or that
 * there is no memory, or its connection is closed; and the next one is answered. */
#include "http_test.h"
#include "memory_fault.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

static struct http_server *server;
static atomic_uint begun, ended;
static atomic_int refused; /* with this status; 0: none was */

/* ---- an application that answers by path ---- */

static bool app_begin(void *ctx, struct http_request *q, struct http_response *r)
{
	(void)ctx;
	(void)r;
	begun++;
	if (strcmp(http_path(q), "/up") == 0)
		http_body_to_worker(q);
	if (strcmp(http_path(q), "/pass") == 0)
		http_set_work(q, HTTP_PASS);
	return true;
}

static void app_body(void *ctx, struct http_request *q, struct slice piece)
{
	(void)ctx;
	(void)q;
	(void)piece;
}

static ssize_t source_read(void *ctx, uint64_t at, void *to, size_t n)
{
	(void)ctx;
	(void)at;
	memset(to, 'x', n);
	return (ssize_t)n;
}

static void source_close(void *ctx)
{
	(void)ctx;
}

static void on_nothing(void *ctx)
{
	(void)ctx;
}

static void answer_later(struct http_request *q, struct http_response *r)
{
	static const struct http_stream_ops ops = { on_nothing, on_nothing };
	struct http_stream *s = http_later(q, &ops, NULL);
	struct http_response head;

	if (s == NULL) {
		r->status = 500;
		return;
	}
	http_response_init(&head);
	http_stream_begin(s, &head, UINT64_MAX);
	bool written = http_stream_write(s, SLICE("this is ")) && http_stream_write(s, SLICE("it"));
	http_stream_end(s, written);
	http_stream_release(s);
}

static void app_handle(void *ctx, struct http_request *q, struct http_response *r)
{
	static const struct http_source_ops source = { source_read, NULL, source_close };

	(void)ctx;
	usleep(200); /* the loop goes on meanwhile */
	if (http_query(q, "later") != NULL) {
		answer_later(q, r);
	} else if (strcmp(http_path(q), "/file") == 0) {
		r->file = (struct http_file){ .ops = &source, .length = 1000 };
		r->file.gzip = http_query(q, "gzip") != NULL;
	} else {
		buf_printf(&r->body, "this is it, %0300d", 0);
	}
}

static void app_end(void *ctx, struct http_request *q)
{
	(void)ctx;
	(void)q;
	ended++;
}

static void app_refuse(void *ctx, const char *why, struct http_response *r)
{
	(void)ctx;
	(void)why;
	refused = r->status;
}

static const struct http_app app = {
	.begin = app_begin,
	.body = app_body,
	.handle = app_handle,
	.end = app_end,
	.refuse = app_refuse,
};

/* ---- a thread that turns the guest loop ---- */

static pthread_t thread;
static atomic_bool leaves;

static void *turns(void *arg)
{
	while (!leaves) {
		struct pollfd wait = { .fd = http_guest_fd(server), .events = POLLIN };
		(void)poll(&wait, 1, 1);
		http_guest_turn(server);
	}
	return arg;
}

static void leave(void *ctx)
{
	(void)ctx;
	leaves = true;
	pthread_join(thread, NULL);
}

/* ---- requests ---- */

#define LAST "Host: x\r\nConnection: close\r\n"

/* What is sent, in two pieces, and what has to be in a whole answer. */
static const struct {
	const char *name, *first, *second, *part;
} cases[] = {
	{ "whole", "GET /x?a=1&b HTTP/1.1\r\n" LAST "\r\n", "", "this is it, 000" },
	{ "in a header", "GET /x HTTP/1.1\r\n" LAST "A: b", "c\r\n\r\n", "this is it, 000" },
	{ "in the first line", "GET /", "x HTTP/1.1\r\n" LAST "\r\n", "this is it, 000" },
	{ "two at once", "GET /x HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\n" LAST "\r\n", "",
	  "this is it, 000" },
	{ "a body, and the next", "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
	  "56789GET /x HTTP/1.1\r\n" LAST "\r\n", "this is it, 000" },
	{ "chunks",
	  "POST /up HTTP/1.1\r\n" LAST "Transfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n5;a",
	  "b\r\n56789\r\n0\r\n\r\n", "this is it, 000" },
	{ "in pieces", "GET /x?later HTTP/1.1\r\n" LAST "\r\n", "", "this is it" },
	{ "a source", "GET /file HTTP/1.1\r\n" LAST "\r\n", "", "xxxxxx" },
	{ "packed", "GET /file?gzip HTTP/1.1\r\n" LAST "\r\n", "", "Transfer-Encoding: chunked" },
	{ "passed on", "POST /pass HTTP/1.1\r\n" LAST "Content-Length: 4\r\n\r\n12", "34",
	  "this is it, 000" },
	{ "passed on, in pieces",
	  "GET /pass?later HTTP/1.1\r\nHost: x\r\n\r\nGET /pass?later HTTP/1.1\r\n" LAST "\r\n", "",
	  "this is it" },
};

static const char *ask(size_t i)
{
	int fd = dial(server);

	say(fd, slice_of(cases[i].first));
	if (cases[i].second[0] != '\0') {
		usleep(1000);
		(void)!send(fd, cases[i].second, strlen(cases[i].second), MSG_NOSIGNAL);
	}
	return hear(fd);
}

static struct http_config config(void)
{
	return (struct http_config){
		.host = "127.0.0.1",
		.threads = 1,
		.workers = 1,
		.connections_max = 10,
		.app = app,
		.guest_leave = leave,
	};
}

static void requests(void **state)
{
	const struct http_config c = config();
	struct error err;

	(void)state;
	leaves = false;
	begun = ended = 0;
	refused = 0;
	assert_true(http_server_open(&c, &server, &err));
	assert_int_equal(pthread_create(&thread, NULL, turns, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (struct memory_sweep sweep = MEMORY_SWEEP; memory_sweep_next(&sweep);) {
			memory_fail(&sweep);
			const char *text = ask(i);
			memory_restore(&sweep);
			if (!sweep.fired && strstr(text, cases[i].part) == NULL)
				fail_msg("%s: no '%s' in:\n%s", cases[i].name, cases[i].part, text);
			if (refused != 0 && refused != 500)
				fail_msg("%s: %d, though nothing is malformed", cases[i].name,
					 (int)refused);
			assert_has(ask(i), cases[i].part);
		}
	http_server_close(server);
	assert_int_equal(begun, ended);
}

static void opening_a_server(void **state)
{
	struct http_config c = config();

	(void)state;
	c.guest_leave = NULL;
	for (struct memory_sweep sweep = MEMORY_SWEEP; memory_sweep_next(&sweep);) {
		struct error err;
		memory_fail(&sweep);
		bool ok = http_server_open(&c, &server, &err);
		memory_restore(&sweep);
		if (!ok)
			assert_no_memory(&err);
		else
			assert_has(ask(0), cases[0].part);
		http_server_close(ok ? server : NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_a_server),
		cmocka_unit_test(requests),
	};

	alarm(120); /* a hang is a failure */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
