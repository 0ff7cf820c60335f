/* test_network.c: the program's client: requests, answers and their ends, on a server of the test's
 * own: each test once with lowtide speaking, once with libcurl. */
#include "unit.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/sys.h"
#include "client/client.h"

/* ---- who speaks ---- */

static bool by_libcurl;

static struct client *client_new(void)
{
	struct client *c;
	struct error err;

	assert_true(by_libcurl ? client_open_libcurl(&c, &err) : client_open(&c, &err));
	return c;
}

/* ---- names: both resolvers call this one ---- */

static _Atomic unsigned looked_up;
static _Atomic in_addr_t moves_to;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	struct {
		struct addrinfo info;
		struct sockaddr_in address;
	} *one = calloc(1, sizeof(*one));
	(void)name;
	looked_up++;
	one->address.sin_family = AF_INET;
	one->address.sin_addr.s_addr = moves_to;
	one->address.sin_port = htons((uint16_t)strtoul(service != NULL ? service : "0", NULL, 10));
	one->info = (struct addrinfo){ .ai_family = AF_INET,
				       .ai_socktype = hints != NULL && hints->ai_socktype != 0
							      ? hints->ai_socktype
							      : SOCK_STREAM,
				       .ai_addrlen = sizeof(one->address),
				       .ai_addr = (struct sockaddr *)&one->address };
	*ret = &one->info;
	return 0;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved */
void freeaddrinfo(struct addrinfo *info)
{
	free(info);
}

/* ---- time: of both ---- */

static _Atomic time_t later_s;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	int failed = (int)syscall(SYS_clock_gettime, id, ret);
	ret->tv_sec += later_s;
	return failed;
}

/* ---- sending: libcurl's ---- */

static _Atomic bool answered_while_sent;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved */
ssize_t send(int fd, const void *p, size_t n, int flags)
{
	ssize_t sent = syscall(SYS_sendto, fd, p, n, flags, NULL, 0);

	if (answered_while_sent)
		poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1);
	return sent;
}

/* ---- a server that keeps its connections ---- */

static _Atomic unsigned accepted;
static const char plain[] =
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Empty:\r\nX-Word: yes\r\n\r\n{}";
static const char *_Atomic answer = plain; /* NULL: the connection is closed instead */
static pthread_mutex_t heard_lock = PTHREAD_MUTEX_INITIALIZER;
static char heard_last[4096]; /* the last request; whole once its answer has come */

static void heard_put(const char *text, size_t n)
{
	pthread_mutex_lock(&heard_lock);
	memcpy(heard_last, text, n);
	heard_last[n] = '\0';
	pthread_mutex_unlock(&heard_lock);
}

/* Into `to`, which has as much room as it. */
static const char *heard_get(char to[static sizeof(heard_last)])
{
	pthread_mutex_lock(&heard_lock);
	memcpy(to, heard_last, sizeof(heard_last));
	pthread_mutex_unlock(&heard_lock);
	return to;
}

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char request[sizeof(heard_last)];
	ssize_t n;

	while ((n = read(fd, request, sizeof(request) - 1)) > 0) {
		const char *text = answer;
		heard_put(request, (size_t)n);
		if (text == NULL)
			break;
		(void)!write(fd, text, strlen(text));
	}
	close(fd);
	return NULL;
}

static void *serve(void *arg)
{
	int listener = *(int *)arg, fd;
	pthread_t thread;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		accepted++;
		assert_int_equal(pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd), 0);
		pthread_detach(thread);
	}
	return NULL;
}

static int listen_at(const char *address, uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, address, &at.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

/* ---- a client of it ---- */

struct ask {
	struct exchange exchange; /* first: the ops are handed it */
	struct client *client;
	struct client_route *route;
	enum exchange_taken takes; /* what its body answers */
	char body[64], said[256], names[256];
	enum exchange_end how;
	int status;
	unsigned heads, outs, dones;
	uint64_t length;
	int listener;
	pthread_t thread;
};

static void ask_sent(struct exchange *x)
{
	((struct ask *)x)->outs++;
}

static void ask_head(struct exchange *x, const struct exchange_head *h)
{
	struct ask *a = (struct ask *)x;

	a->heads++;
	a->length = h->length;
	a->names[0] = '\0';
	for (size_t i = 0; i < h->header_count; i++) {
		size_t n = strlen(a->names);
		snprintf(a->names + n, sizeof(a->names) - n, "%.*s ",
			 SLICE_ARG(h->headers[i].name));
	}
}

static enum exchange_taken ask_body(struct exchange *x, struct slice piece)
{
	struct ask *a = (struct ask *)x;

	if (a->takes == EXCHANGE_TAKEN)
		strncat(a->body, piece.p, piece.n);
	return a->takes;
}

static void ask_done(struct exchange *x, const struct exchange_result *r)
{
	struct ask *a = (struct ask *)x;

	assert_false(x->under_way);
	a->dones++;
	a->how = r->how;
	a->status = r->status;
	snprintf(a->said, sizeof(a->said), "%s", r->said);
}

static const struct exchange_ops ask_ops = { .body = ask_body, .done = ask_done };
static const struct exchange_ops head_ops = {
	.sent = ask_sent,
	.head = ask_head,
	.body = ask_body,
	.done = ask_done,
};

static void ask_close(struct ask *a)
{
	exchange_close(&a->exchange);
	client_route_free(a->route);
	client_close(a->client);
	shutdown(a->listener, SHUT_RDWR);
	pthread_join(a->thread, NULL);
	close(a->listener);
}

static void ask_open(struct ask *a, const struct exchange_setup *setup)
{
	struct exchange_setup s = *setup;
	uint16_t port;
	char url[64];

	*a = (struct ask){ .listener = listen_at("127.0.0.1", &port) };
	snprintf(url, sizeof(url), "http://moves.test:%u/v1", port);
	a->client = client_new();
	a->route = client_route_new(a->client, url, &(struct tls_pem){ 0 });
	s.route = a->route;
	if (s.ops == NULL)
		s.ops = &ask_ops;
	assert_true(exchange_open(&a->exchange, &s));
	assert_true(exchange_url(&a->exchange, url));
	assert_int_equal(pthread_create(&a->thread, NULL, serve, &a->listener), 0);
	answer = plain;
	accepted = 0;
	moves_to = inet_addr("127.0.0.1");
}

static void ask_turn(struct ask *a)
{
	bool woken;

	client_due(a->client);
	client_wait(a->client, 100, &woken);
	client_deliver(a->client);
}

static enum exchange_end ask_with(struct ask *a, const struct exchange_request *rq)
{
	unsigned dones = a->dones;

	a->body[0] = '\0';
	assert_true(exchange_start(&a->exchange, rq));
	while (a->dones == dones)
		ask_turn(a);
	assert_int_equal(a->dones, dones + 1);
	return a->how;
}

static enum exchange_end ask(struct ask *a)
{
	return ask_with(a, &(struct exchange_request){ 0 });
}

/* T7: libcurl would try the address of before for a minute. */
static void a_name_that_has_moved_is_found(void **state)
{
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .get = true });
	looked_up = 0;
	moves_to = inet_addr("127.0.0.2"); /* nothing listens there */
	assert_int_equal(ask(&a), EXCHANGE_UNREACHABLE);
	assert_int_equal(a.exchange.sent, 0);
	moves_to = inet_addr("127.0.0.1");
	assert_int_equal(ask(&a), EXCHANGE_UNREACHABLE);
	assert_int_equal(looked_up, 1);
	assert_int_equal(ask_with(&a, &(struct exchange_request){ .look_up = true, .hasty = true }),
			 EXCHANGE_WHOLE);
	assert_int_equal(looked_up, 2);
	assert_int_equal(ask(&a), EXCHANGE_WHOLE); /* the old address is forgotten for all */
	ask_close(&a);
}

/* U11: uvicorn and llama.cpp close after 5 s without a word. */
static void a_connection_is_used_again_for_four_seconds(void **state)
{
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .get = true });
	assert_int_equal(ask(&a), EXCHANGE_WHOLE);
	later_s += 2;
	assert_int_equal(ask(&a), EXCHANGE_WHOLE);
	assert_int_equal(accepted, 1);
	assert_int_equal(ask_with(&a, &(struct exchange_request){ .fresh = true }), EXCHANGE_WHOLE);
	assert_int_equal(accepted, 2);
	later_s += 4;
	assert_int_equal(ask(&a), EXCHANGE_WHOLE);
	assert_int_equal(accepted, 3);
	ask_close(&a);
}

static void what_is_sent_is_what_was_given(void **state)
{
	const struct header headers[] = {
		{ SLICE("X-One"), SLICE("1") },
		{ SLICE("X-Empty"), SLICE("") },
		{ SLICE("content-type"), SLICE("text/odd") },
	};
	char text[sizeof(heard_last)];
	const char *heard;
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .headers = headers, .header_count = 3 });
	assert_int_equal(ask_with(&a, &(struct exchange_request){ .body = SLICE("four") }),
			 EXCHANGE_WHOLE);
	heard = heard_get(text);
	assert_memory_equal(heard, "POST /v1 HTTP/1.1\r\nHost: moves.test:", 36);
	assert_non_null(strstr(heard, "\r\nX-One: 1\r\nX-Empty:\r\ncontent-type: text/odd\r\n"));
	assert_non_null(strstr(heard, "\r\nContent-Length: 4\r\n\r\nfour"));
	assert_null(strstr(heard, "Accept"));
	assert_null(strstr(heard, "Expect"));
	assert_int_equal(ask(&a), EXCHANGE_WHOLE); /* of the next no more than that */
	heard = heard_get(text);
	assert_non_null(strstr(heard, "\r\nContent-Length: 0\r\n\r\n"));
	ask_close(&a);
}

/* A request's own header goes with it, beside those of the exchange, and not with the next. */
static void a_header_of_one_request(void **state)
{
	const struct header one = { SLICE("X-One"), SLICE("1") };
	char text[sizeof(heard_last)], own[] = "traceparent: 00-ab";
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .headers = &one, .header_count = 1 });
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask_with(&a, &(struct exchange_request){ .header = own }),
				 EXCHANGE_WHOLE);
		assert_non_null(strstr(heard_get(text), "\r\ntraceparent: 00-ab\r\nX-One: 1\r\n"));
		assert_int_equal(ask(&a), EXCHANGE_WHOLE);
		assert_null(strstr(heard_get(text), "traceparent"));
		assert_non_null(strstr(text, "\r\nX-One: 1\r\n"));
	}
	ask_with(&a, &(struct exchange_request){ .header = own });
	own[sizeof(own) - 2] = 'c'; /* the same place, another text */
	ask_with(&a, &(struct exchange_request){ .header = own });
	assert_non_null(strstr(heard_get(text), "\r\ntraceparent: 00-ac\r\n"));
	ask_close(&a);
}

static void what_has_come_is_told(void **state)
{
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .ops = &head_ops, .get = true });
	assert_int_equal(ask(&a), EXCHANGE_WHOLE);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "{}");
	assert_string_equal(a.said, "");
	assert_string_equal(a.names, "X-Empty X-Word ");
	assert_int_equal(a.length, 2);
	assert_int_equal(exchange_length(&a.exchange), 2);
	assert_true(slice_is(exchange_header(&a.exchange, "x-word"), "yes"));
	assert_int_equal(exchange_header(&a.exchange, "x-empty").n, 0);
	assert_int_equal(exchange_header(&a.exchange, "x-none").n, 0);
	answer = "HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n"
		 "HTTP/1.1 503 No\r\nX-End: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
	assert_int_equal(ask(&a), EXCHANGE_WHOLE);
	assert_int_equal(a.status, 503);
	assert_string_equal(a.names, "X-End Connection ");
	assert_int_equal(a.heads, 2);
	assert_int_equal(a.outs, 2);
	ask_close(&a);
}

static void a_head_that_is_none(void **state)
{
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .ops = &head_ops, .get = true });
	answer = "HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 2\r\n\r\n{}";
	assert_int_equal(ask(&a), EXCHANGE_MALFORMED);
	assert_string_not_equal(a.said, "");
	assert_int_equal(a.heads, 0);
	answer = plain;
	assert_int_equal(ask(&a), EXCHANGE_WHOLE);
	ask_close(&a);
}

static void a_connection_that_breaks(void **state)
{
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .sends_max = 2 });
	answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}";
	assert_true(exchange_start(&a.exchange, &(struct exchange_request){ 0 }));
	while (a.body[0] == '\0')
		ask_turn(&a);
	answer = NULL;
	shutdown(a.listener,
		 SHUT_RDWR); /* no further connection; this one ends with its next byte */
	exchange_stop(&a.exchange);
	assert_int_equal(a.dones, 0);
	assert_int_equal(ask(&a), EXCHANGE_UNREACHABLE);
	ask_close(&a);
	ask_open(&a, &(struct exchange_setup){ .sends_max = 2 });
	answer = NULL;
	assert_int_equal(ask(&a), EXCHANGE_BROKEN);
	assert_int_equal(a.exchange.sent, 1);
	ask_close(&a);
}

/* All that were kept are dead: it goes out twice, no more. */
static void a_kept_connection_that_is_dead(void **state)
{
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .sends_max = 1 });
	assert_int_equal(ask(&a), EXCHANGE_WHOLE);
	answer = NULL;
	assert_int_equal(ask(&a), EXCHANGE_STALE);
	assert_int_equal(a.exchange.sent, 1);
	ask_close(&a);
}

static bool never(struct exchange *x)
{
	(void)x;
	return false;
}

static void what_may_not_go_does_not(void **state)
{
	static const struct exchange_ops never_ops = {
		.may_go = never,
		.sent = ask_sent,
		.body = ask_body,
		.done = ask_done,
	};
	char text[sizeof(heard_last)];
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .ops = &never_ops });
	heard_put("", 0);
	assert_int_not_equal(ask(&a), EXCHANGE_WHOLE);
	assert_int_equal(a.exchange.sent, 0);
	ask_close(&a);
	assert_string_equal(heard_get(text), "");
}

static void bodies_that_are_refused_or_wait(void **state)
{
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .timeout_ms = 5000 });
	a.takes = EXCHANGE_REFUSED;
	assert_int_equal(ask(&a), EXCHANGE_TOO_LARGE);
	assert_int_equal(a.status, 200);
	a.takes = EXCHANGE_PAUSED;
	assert_true(exchange_start(&a.exchange, &(struct exchange_request){ 0 }));
	for (int i = 0; i < 3; i++)
		ask_turn(&a);
	assert_int_equal(a.dones, 1);
	a.takes = EXCHANGE_TAKEN;
	exchange_resume(&a.exchange);
	while (a.dones == 1)
		ask_turn(&a);
	assert_int_equal(a.how, EXCHANGE_WHOLE);
	assert_string_equal(a.body, "{}");
	ask_close(&a);
}

static void one_that_takes_too_long(void **state)
{
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .timeout_ms = 50 });
	answer = "HTTP/1.1 200 OK\r\n";
	assert_int_equal(ask(&a), EXCHANGE_TIMEOUT);
	ask_close(&a);
	/* a time of its own, for one request */
	ask_open(&a, &(struct exchange_setup){ .timeout_ms = 60000 });
	answer = "HTTP/1.1 200 OK\r\n";
	assert_true(exchange_start(&a.exchange, &(struct exchange_request){ .timeout_ms = 50 }));
	while (a.dones == 0)
		ask_turn(&a);
	assert_int_equal(a.how, EXCHANGE_TIMEOUT);
	answer = plain;
	assert_int_equal(ask(&a), EXCHANGE_WHOLE);
	ask_close(&a);
}

/* A quick upstream has answered by the time that libcurl has sent, and libcurl reads that at once. */
static void an_answer_that_is_there_is_not_waited_for(void **state)
{
	struct ask a;
	bool woken;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .get = true });
	assert_int_equal(ask(&a), EXCHANGE_WHOLE);
	answered_while_sent = true;
	assert_true(exchange_start(&a.exchange, &(struct exchange_request){ 0 }));
	uint64_t began_ms = sys.monotonic_ms();
	while (a.dones == 1) {
		client_due(a.client);
		client_wait(a.client, 10000, &woken);
		client_deliver(a.client);
	}
	answered_while_sent = false;
	assert_true(sys.monotonic_ms() - began_ms < 5000);
	assert_int_equal(a.how, EXCHANGE_WHOLE);
	ask_close(&a);
}

/* ---- routes ---- */

static void a_proxy_is_named_without_its_password(void **state)
{
	static const char url[] = "http://model.test/v1";
	const struct tls_pem none = { 0 };
	struct client *c = client_new();

	(void)state;
	setenv("http_proxy", "http://me:secret@proxy.test:3128", 1);
	struct client_route *route = client_route_new(c, url, &none);
	unsetenv("http_proxy");
	assert_string_equal(route->by_way, "by way of the proxy http://proxy.test:3128: ");
	client_route_free(route);
	route = client_route_new(c, url, &none);
	assert_string_equal(route->by_way, "");
	client_route_free(route);
	client_close(c);
}

/* ---- a guard ---- */

static _Atomic unsigned guarded;

static const char *loopback_alone(const struct sockaddr *address)
{
	const struct sockaddr_in *at = (const struct sockaddr_in *)address;

	guarded++;
	return at->sin_addr.s_addr == htonl(INADDR_LOOPBACK) ? NULL : "another machine";
}

/* (12) The guard sees what is connected to, after the look-up, each time. */
static void a_guard_judges_the_address_that_is_connected_to(void **state)
{
	const struct exchange_request anew = { .fresh = true, .look_up = true };
	struct ask a;

	(void)state;
	ask_open(&a, &(struct exchange_setup){ .get = true });
	client_guard(a.client, loopback_alone);
	guarded = 0;
	assert_int_equal(ask_with(&a, &anew), EXCHANGE_WHOLE);
	moves_to = inet_addr("127.0.0.2");
	assert_int_equal(ask_with(&a, &anew), EXCHANGE_UNREACHABLE);
	assert_string_equal(a.said, "another machine");
	assert_int_equal(a.exchange.sent, 0);
	assert_int_equal(accepted, 1);
	moves_to = inet_addr("127.0.0.1");
	assert_int_equal(ask_with(&a, &anew), EXCHANGE_WHOLE);
	assert_int_equal(accepted, 2);
	assert_int_equal(guarded, 3);
	ask_close(&a);
}

/* A proxy would connect where it likes. */
static void a_guarded_client_uses_no_proxy(void **state)
{
	struct client_route *route;
	struct client *client = client_new();

	(void)state;
	setenv("http_proxy", "http://127.0.0.1:9", 1);
	route = client_route_new(client, "http://elsewhere.test/", &(struct tls_pem){ 0 });
	assert_string_not_equal(route->by_way, "");
	client_route_free(route);
	client_guard(client, loopback_alone);
	route = client_route_new(client, "http://elsewhere.test/", &(struct tls_pem){ 0 });
	assert_string_equal(route->by_way, "");
	client_route_free(route);
	client_close(client);
	unsetenv("http_proxy");
}

static void waking(void **state)
{
	struct client *c = client_new();
	bool woken;

	(void)state;
	client_wake(c);
	client_wake(c);
	client_wait(c, -1, &woken);
	assert_true(woken);
	client_wait(c, 0, &woken);
	assert_false(woken);
	client_close(c);
}

static void a_connection_that_is_gone_ends_no_program(void **state)
{
	struct sigaction now;

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	struct client *c = client_new();
	assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_IGN);
	client_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_that_has_moved_is_found),
		cmocka_unit_test(a_connection_is_used_again_for_four_seconds),
		cmocka_unit_test(what_is_sent_is_what_was_given),
		cmocka_unit_test(a_header_of_one_request),
		cmocka_unit_test(what_has_come_is_told),
		cmocka_unit_test(a_head_that_is_none),
		cmocka_unit_test(a_connection_that_breaks),
		cmocka_unit_test(a_kept_connection_that_is_dead),
		cmocka_unit_test(what_may_not_go_does_not),
		cmocka_unit_test(bodies_that_are_refused_or_wait),
		cmocka_unit_test(one_that_takes_too_long),
		cmocka_unit_test(an_answer_that_is_there_is_not_waited_for),
		cmocka_unit_test(a_proxy_is_named_without_its_password),
		cmocka_unit_test(a_guard_judges_the_address_that_is_connected_to),
		cmocka_unit_test(a_guarded_client_uses_no_proxy),
		cmocka_unit_test(waking),
		cmocka_unit_test(a_connection_that_is_gone_ends_no_program),
	};

	int failed = cmocka_run_group_tests_name("plain", tests, NULL, NULL);

	by_libcurl = true;
	return failed + cmocka_run_group_tests_name("libcurl", tests, NULL, NULL);
}
