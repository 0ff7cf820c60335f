/* test_wire.c: what libcurl's codes mean, and that a name that has moved is found again. */
#include "unit.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "dispatch/wire.h"

/* ---- names: libcurl's resolver calls this one ---- */

static _Atomic unsigned looked_up;
static _Atomic in_addr_t moves_to;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved names */
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

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved names */
void freeaddrinfo(struct addrinfo *info)
{
	free(info);
}

/* ---- time: libcurl's and everybody's ---- */

static _Atomic time_t later_s;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved names */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	int failed = (int)syscall(SYS_clock_gettime, id, ret);
	ret->tv_sec += later_s;
	return failed;
}

/* ---- an upstream that keeps its connections ---- */

static _Atomic unsigned accepted;

static void *serve(void *arg)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
	int listener = *(int *)arg, fd;
	char request[4096];
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		accepted++;
		while (read(fd, request, sizeof(request)) > 0)
			(void)!write(fd, answer, sizeof(answer) - 1);
		close(fd);
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

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

static CURLcode ask(struct wire *w, CURL *easy)
{
	CURL *done;
	CURLcode code;
	bool woken;
	assert_true(wire_start(w, easy));
	while (!wire_done(w, &done, &code))
		wire_wait(w, 1000, &woken);
	wire_stop(w, easy);
	return code;
}

struct upstream_end {
	struct wire *wire;
	struct wire_route *route;
	CURL *easy;
	int listener;
	pthread_t thread;
};

static void end_open(struct upstream_end *e)
{
	struct error err;
	uint16_t port;
	char url[64];
	e->listener = listen_at("127.0.0.1", &port);
	snprintf(url, sizeof(url), "http://moves.test:%u/v1", port);
	assert_true(wire_open(&e->wire, &err));
	e->route = wire_route_new(e->wire, &(struct upstream_config){ .base_url = url });
	e->easy = wire_handle(e->wire, e->route);
	curl_easy_setopt(e->easy, CURLOPT_URL, url);
	curl_easy_setopt(e->easy, CURLOPT_WRITEFUNCTION, on_body);
	assert_int_equal(pthread_create(&e->thread, NULL, serve, &e->listener), 0);
}

static void end_close(struct upstream_end *e)
{
	curl_easy_cleanup(e->easy);
	wire_route_free(e->route);
	wire_close(e->wire);
	shutdown(e->listener, SHUT_RDWR);
	pthread_join(e->thread, NULL);
	close(e->listener);
}

/* T7: libcurl would try the address of before for a minute. */
static void a_probe_finds_a_name_that_has_moved(void **state)
{
	(void)state;
	struct upstream_end e;
	end_open(&e);
	looked_up = 0;
	moves_to = inet_addr("127.0.0.2"); /* nobody listens there */
	assert_int_equal(ask(e.wire, e.easy), CURLE_COULDNT_CONNECT);
	moves_to = inet_addr("127.0.0.1");
	assert_int_equal(ask(e.wire, e.easy), CURLE_COULDNT_CONNECT);
	assert_int_equal(looked_up, 1);
	assert_true(wire_probe(e.route, e.easy, true));
	assert_int_equal(ask(e.wire, e.easy), CURLE_OK);
	assert_int_equal(looked_up, 2);
	assert_true(wire_probe(e.route, e.easy, false)); /* the old address is forgotten for all */
	assert_int_equal(ask(e.wire, e.easy), CURLE_OK);
	end_close(&e);
}

/* U11: uvicorn and llama.cpp close after 5 s without a word. */
static void a_connection_is_used_again_for_four_seconds(void **state)
{
	(void)state;
	struct upstream_end e;
	end_open(&e);
	accepted = 0;
	moves_to = inet_addr("127.0.0.1");
	assert_int_equal(ask(e.wire, e.easy), CURLE_OK);
	later_s += 2;
	assert_int_equal(ask(e.wire, e.easy), CURLE_OK);
	assert_int_equal(accepted, 1);
	later_s += 4;
	assert_int_equal(ask(e.wire, e.easy), CURLE_OK);
	assert_int_equal(accepted, 2);
	end_close(&e);
}

/* ---- what codes mean ---- */

static void certificates(void **state)
{
	(void)state;
	static const char required[] = "OpenSSL SSL_read: error:0A00045C:SSL routines::"
				       "tlsv13 alert certificate required, errno 0";
	static const char unknown[] = "error:0A000418:SSL routines::tlsv1 alert unknown ca";
	assert_true(wire_certificate_fault(CURLE_PEER_FAILED_VERIFICATION, ""));
	assert_true(wire_certificate_fault(CURLE_SSL_CERTPROBLEM, ""));
	assert_true(wire_certificate_fault(CURLE_RECV_ERROR, required));
	assert_true(wire_certificate_fault(CURLE_SSL_CONNECT_ERROR, unknown));
	assert_false(wire_certificate_fault(CURLE_RECV_ERROR, "Recv failure: Connection reset"));
	assert_false(wire_certificate_fault(CURLE_SSL_CONNECT_ERROR, "wrong version number"));
	assert_false(wire_certificate_fault(CURLE_COULDNT_CONNECT, required));
	assert_false(wire_certificate_fault(CURLE_OK, ""));
}

/* T5, T6: as libcurl 7.88.1 says them. */
static void never_processed(void **state)
{
	(void)state;
	assert_true(wire_never_processed(
		CURLE_HTTP2_STREAM,
		"HTTP/2 stream 3 was not closed cleanly: REFUSED_STREAM (err 7)"));
	assert_true(wire_never_processed(CURLE_HTTP2, ""));
	assert_true(wire_never_processed(CURLE_RECV_ERROR,
					 "Connection died, tried 5 times before giving up"));
	assert_true(wire_never_processed(CURLE_PARTIAL_FILE,
					 "HTTP/2 stream 5 was not closed cleanly before end of "
					 "the underlying stream"));
	assert_false(wire_never_processed(
		CURLE_HTTP2_STREAM,
		"HTTP/2 stream 3 was not closed cleanly: INTERNAL_ERROR (err 2)"));
	assert_false(wire_never_processed(CURLE_PARTIAL_FILE, "transfer closed with 9 bytes"));
	assert_false(wire_never_processed(CURLE_RECV_ERROR, "Recv failure: Connection reset"));
	assert_false(wire_never_processed(CURLE_OPERATION_TIMEDOUT, ""));
}

/* Seen: "Send failure: Broken pipe" of a kept connection, when the new one's certificate was refused. */
static void a_sentence_is_about_the_end(void **state)
{
	(void)state;
	static const char expired[] = "SSL certificate problem: certificate has expired";
	static const char broken[] = "Send failure: Broken pipe";
	CURLcode refused = CURLE_PEER_FAILED_VERIFICATION;
	assert_string_equal(wire_sentence(refused, expired, false), expired);
	assert_string_equal(wire_sentence(refused, broken, true), curl_easy_strerror(refused));
	assert_string_equal(wire_sentence(CURLE_SEND_ERROR, broken, true), broken);
	assert_string_equal(wire_sentence(CURLE_HTTP2, "", true), curl_easy_strerror(CURLE_HTTP2));
}

static void a_proxy_is_named_without_its_password(void **state)
{
	(void)state;
	struct wire *w;
	struct error err;
	assert_true(wire_open(&w, &err));
	setenv("http_proxy", "http://me:secret@proxy.test:3128", 1);
	char url[] = "http://model.test/v1";
	struct upstream_config config = { .base_url = url };
	struct wire_route *route = wire_route_new(w, &config);
	unsetenv("http_proxy");
	assert_string_equal(wire_by_way(route), "by way of the proxy http://proxy.test:3128: ");
	wire_route_free(route);
	route = wire_route_new(w, &config);
	assert_string_equal(wire_by_way(route), "");
	wire_route_free(route);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_finds_a_name_that_has_moved),
		cmocka_unit_test(a_connection_is_used_again_for_four_seconds),
		cmocka_unit_test(certificates),
		cmocka_unit_test(never_processed),
		cmocka_unit_test(a_sentence_is_about_the_end),
		cmocka_unit_test(a_proxy_is_named_without_its_password),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
