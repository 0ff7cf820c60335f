/* Requests that are passed on, between a real HTTP server and a dispatch that the test plays. */
#include "unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

// NOLINTNEXTLINE(bugprone-suspicious-include): so that nothing but its own neighbours is linked
#include "../../../src/api/online.c"

/* ---- what it calls ---- */

/* The test's own thread plays dispatch's: it alone calls `ops`, as dispatch's thread alone does. */
static struct online *_Atomic current;
static atomic_uint mores;
static unsigned released; /* how many `released` calls dispatch_turn() has made */

/* What other threads have asked to be released, until dispatch has its turn. */
static pthread_mutex_t asked_lock = PTHREAD_MUTEX_INITIALIZER;
static struct online *asked; /* linked by `next` */

void dispatch_online(struct dispatch *d, struct online *o)
{
	(void)d;
	atomic_store(&current, o);
}

void dispatch_online_more(struct dispatch *d, struct online *o)
{
	(void)d;
	(void)o;
	mores++;
}

void dispatch_online_release(struct dispatch *d, struct online *o)
{
	(void)d;
	pthread_mutex_lock(&asked_lock);
	o->next = asked;
	asked = o;
	pthread_mutex_unlock(&asked_lock);
}

/* Dispatch's thread comes round: what was asked for is released now. */
static void dispatch_turn(void)
{
	pthread_mutex_lock(&asked_lock);
	struct online *o = asked;
	asked = NULL;
	pthread_mutex_unlock(&asked_lock);
	while (o != NULL) {
		struct online *next = o->next;
		released++;
		o->ops->released(o->ctx);
		o = next;
	}
}

void dispatch_models(struct dispatch *d, struct buf *to)
{
	(void)d;
	buf_text(to, "[{\"id\":\"a\"},{\"id\":\"org/m\\u00e9\",\"x\":[1]},{\"no\":1}]");
}

static uint64_t tokens_taken;

void pipeline_tokens_add(struct pipeline *p, const char *org, uint64_t tokens)
{
	(void)p;
	(void)org;
	tokens_taken += tokens;
}

uint64_t pipeline_tokens_used(struct pipeline *p, const char *org)
{
	(void)p;
	(void)org;
	return 0;
}

int64_t pipeline_tokens_reset(void)
{
	return sys.now_s() + 3600;
}

struct dispatch *pipeline_dispatch(struct pipeline *p)
{
	(void)p;
	return NULL;
}

void answer_finish(const struct answered *a, struct http_response *r)
{
	http_header(r, "x-request-id", "%s", a->id);
}

/* ---- the server ---- */

static const struct route route = { "POST", "/v1/chat/completions", BODY_RAW, .online = true };
static struct api api;

static bool app_begin(void *ctx, struct http_request *q, struct http_response *r)
{
	struct request *rq = calloc(1, sizeof(*rq));

	(void)ctx;
	(void)r;
	rq->api = &api;
	rq->http = q;
	rq->route = &route;
	rq->body = BUF(1u << 20);
	snprintf(rq->id, sizeof(rq->id), "req_ours");
	http_set_data(q, rq);
	return true;
}

static void app_body(void *ctx, struct http_request *q, struct slice piece)
{
	struct request *rq = http_data(q);

	(void)ctx;
	buf_add(&rq->body, piece);
}

static void app_handle(void *ctx, struct http_request *q, struct http_response *r)
{
	struct request *rq = http_data(q);
	struct error err;

	(void)ctx;
	assert_true(online_handle(rq, r, &err));
	assert_true(rq->later);
}

static void app_end(void *ctx, struct http_request *q)
{
	struct request *rq = http_data(q);

	(void)ctx;
	buf_free(&rq->body);
	free(rq);
}

static struct http_server *server_open(void)
{
	struct http_config config = {
		.host = "127.0.0.1",
		.threads = 2,
		.workers = 2,
		.connections_max = 100,
		.app = { app_begin, app_body, app_handle, app_end },
	};
	struct http_server *s;
	struct error err;

	released = 0;
	mores = 0;
	current = NULL;
	assert_true(http_server_open(&config, &s, &err));
	return s;
}

/* The dispatch outlives the server, as it does in the program. */
static void server_close(struct http_server *s)
{
	http_server_close(s);
	dispatch_turn();
}

/* ---- the client ---- */

static int ask(const struct http_server *s, const char *query, const char *headers,
	       const char *body)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(http_server_port(s)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[4096];

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	int n = snprintf(text, sizeof(text),
			 "POST /v1/chat/completions%s HTTP/1.1\r\nHost: x\r\n%s"
			 "Content-Length: %zu\r\n\r\n%s",
			 query, headers, strlen(body), body);
	assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
	return fd;
}

static struct online *wait_online(void)
{
	struct online *o = NULL;

	for (int i = 0; i < 5000 && o == NULL; i++) {
		usleep(1000);
		o = atomic_exchange(&current, NULL);
	}
	assert_non_null(o);
	return o;
}

static void wait_released(unsigned n)
{
	for (int i = 0; i < 5000 && released < n; i++) {
		dispatch_turn();
		usleep(1000);
	}
	assert_int_equal(released, n);
}

static const char *hear(int fd)
{
	static char text[65536];
	size_t n = 0;
	ssize_t got;

	while ((got = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(fd);
	return text;
}

static void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in:\n%s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
	if (strcasestr(text, part) != NULL)
		fail_msg("'%s' in:\n%s", part, text);
}

static const char *joined(const struct headers *h)
{
	static char text[4096];

	text[0] = '\0';
	for (size_t i = 0; i < h->n; i++) {
		size_t n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "%.*s: %.*s\n", SLICE_ARG(h->list[i].name),
			 SLICE_ARG(h->list[i].value));
	}
	return text;
}

/* ---- the tests ---- */

static void what_is_sent(void **state)
{
	static const char body[] = "{\"model\": \"m\\u00e9\\/1\", \"big\": 1e999, \"model2\": 1} ";
	struct http_server *s = server_open();
	int fd = ask(
		s, "?a=%20b&c#d",
		"Authorization: Bearer sk-secret\r\napi-key: sk-secret\r\nCookie: c=sk-secret\r\n"
		"OpenAI-Organization: sk-secret\r\nIdempotency-Key: sk-secret\r\n"
		"Connection: close, X-Hop\r\nX-Hop: sk-secret\r\nTE: trailers\r\n"
		"X-Stainless-Lang: python\r\nContent-Type: application/json; charset=utf-8\r\n"
		"X-Empty:\r\nAccept: */*\r\n",
		body);

	(void)state;
	struct online *o = wait_online();
	assert_true(slice_is(o->body, body));
	assert_true(slice_is(o->model, "m\xc3\xa9/1"));
	assert_string_equal(o->endpoint, "/v1/chat/completions?a=%20b&c%23d");
	assert_false(o->get);
	const char *headers = joined(&o->headers);
	assert_has(headers, "X-Stainless-Lang: python\n");
	assert_has(headers, "Content-Type: application/json; charset=utf-8\n");
	assert_has(headers, "X-Empty: \n");
	assert_has(headers, "Accept: */*\n");
	assert_lacks(headers, "sk-secret");
	assert_lacks(headers, "trailers");
	assert_lacks(headers, "host:");
	assert_lacks(headers, "content-length");
	o->ops->end(o->ctx, ONLINE_BROKEN);
	const char *text = hear(fd);
	assert_has(text, "HTTP/1.1 502");
	assert_has(text, "\"code\":\"upstream_error\"");
	assert_has(text, "x-request-id: req_ours\r\n");
	server_close(s);
	assert_int_equal(released, 1);
}

static void bodies_that_name_no_model(void **state)
{
	static const char *const bodies[] = { "",
					      "{",
					      "[\"model\"]",
					      "null",
					      "{\"a\":1}",
					      "{\"model\":1}",
					      "\xff\n",
					      "{\"model\":\"m\"} x" };
	struct http_server *s = server_open();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bodies); i++) {
		int fd = ask(s, "", "Connection: close\r\n", bodies[i]);
		struct online *o = wait_online();
		assert_true(slice_is(o->body, bodies[i]));
		assert_int_equal(o->model.n, 0);
		assert_has(joined(&o->headers), "Content-Type: application/json\n");
		o->ops->end(o->ctx, ONLINE_NO_UPSTREAM);
		assert_has(hear(fd), "\"code\":\"model_not_found\"");
	}
	wait_released(ARRAY_LEN(bodies));
	server_close(s);
}

static void the_answer_comes_as_it_is(void **state)
{
	struct http_server *s = server_open();
	int fd = ask(s, "", "Connection: close\r\n", "{\"model\":\"m\"}");
	const struct header headers[] = {
		{ SLICE("content-type"), SLICE("text/event-stream") },
		{ SLICE("X-Request-Id"), SLICE("theirs") },
		{ SLICE("Retry-After"), SLICE("7") },
		{ SLICE("Set-Cookie"), SLICE("secret=1") },
		{ SLICE("set-cookie"), SLICE("secret=2") },
		{ SLICE("Strict-Transport-Security"), SLICE("secret") },
		{ SLICE("Alt-Svc"), SLICE("secret") },
		{ SLICE("Clear-Site-Data"), SLICE("secret") },
		{ SLICE("WWW-Authenticate"), SLICE("secret") },
		{ SLICE("Proxy-Authenticate"), SLICE("secret") },
		{ SLICE("OpenAI-Organization"), SLICE("secret") },
		{ SLICE("X-Tab"), SLICE("a\tb") },
		{ SLICE("Server"), SLICE("uvicorn") },
		{ SLICE("Connection"), SLICE("keep-alive, x-hop") },
		{ SLICE("X-Hop"), SLICE("hop") },
		{ SLICE("Transfer-Encoding"), SLICE("chunked") },
	};
	struct exchange_head head = { 429, headers, ARRAY_LEN(headers), UINT64_MAX };

	(void)state;
	struct online *o = wait_online();
	o->ops->head(o->ctx, &head);
	assert_true(o->ops->body(o->ctx, SLICE("data: 1\n\n")));
	usleep(20000);
	assert_true(o->ops->body(o->ctx, SLICE("data: \0\xff\n\n")));
	o->ops->end(o->ctx, ONLINE_WHOLE);
	const char *text = hear(fd);
	assert_has(text, "HTTP/1.1 429");
	assert_has(text, "content-type: text/event-stream\r\n");
	assert_has(text, "x-upstream-request-id: theirs\r\n");
	assert_has(text, "x-request-id: req_ours\r\n");
	assert_has(text, "Retry-After: 7\r\n");
	assert_has(text, "X-Tab: a\tb\r\n");
	assert_lacks(text, "secret");
	assert_lacks(text, "uvicorn");
	assert_lacks(text, "hop");
	assert_lacks(text, "application/json");
	assert_has(text, "data: 1\n\n");
	wait_released(1);
	server_close(s);
}

static void how_it_may_end(void **state)
{
	static const struct {
		enum online_end how;
		const char *status, *has;
	} ends[] = {
		{ ONLINE_BROKEN, "HTTP/1.1 502", "\"upstream_error\"" },
		{ ONLINE_MALFORMED, "HTTP/1.1 502", "\"upstream_error\"" },
		{ ONLINE_TIMEOUT, "HTTP/1.1 504", "\"request_timeout\"" },
		{ ONLINE_UNREACHABLE, "HTTP/1.1 503", "Retry-After: " },
		{ ONLINE_CLOSING, "HTTP/1.1 503", "Retry-After: " },
		{ ONLINE_NO_UPSTREAM, "HTTP/1.1 404",
		  "The model 'm' does not exist or you do not have access to it." },
	};
	struct http_server *s = server_open();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		int fd = ask(s, "", "Connection: close\r\n", "{\"model\":\"m\"}");
		struct online *o = wait_online();
		o->ops->end(o->ctx, ends[i].how);
		const char *text = hear(fd);
		assert_has(text, ends[i].status);
		assert_has(text, ends[i].has);
		assert_has(text, "{\"error\":{\"message\":");
		assert_has(text, "Content-Length: ");
	}
	/* in the middle: the client sees its connection end */
	int fd = ask(s, "", "", "{\"model\":\"m\"}");
	struct online *o = wait_online();
	struct exchange_head head = { 200, NULL, 0, UINT64_MAX };
	o->ops->head(o->ctx, &head);
	assert_true(o->ops->body(o->ctx, SLICE("half")));
	o->ops->end(o->ctx, ONLINE_BROKEN);
	const char *text = hear(fd);
	assert_has(text, "half");
	assert_lacks(text, "\r\n0\r\n");
	wait_released(ARRAY_LEN(ends) + 1);
	server_close(s);
}

static void a_client_that_leaves_is_released(void **state)
{
	struct http_server *s = server_open();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		int fd = ask(s, "", "", "{}");
		struct online *o = wait_online();
		struct exchange_head head = { 200, NULL, 0, UINT64_MAX };
		if (i == 1)
			o->ops->head(o->ctx, &head);
		assert_int_equal(released, i);
		close(fd);
		wait_released(i + 1);
	}
	server_close(s);
}

static void models_by_name(void **state)
{
	(void)state;
	struct error err;
	assert_false(fail_no_model(&err, SLICE("x")));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_string_equal(err.code, "model_not_found");
	/* through the route's own function */
	const struct {
		const char *id;
		const char *found;
	} cases[] = {
		{ "a", "{\"id\":\"a\"}" },
		{ "org/m\xc3\xa9", "{\"id\":\"org/m\\u00e9\",\"x\":[1]}" },
		{ "A", NULL },
		{ "org", NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request rq = { .api = &api };
		struct http_response r;
		http_response_init(&r);
		snprintf(rq.object_id, sizeof(rq.object_id), "%s", cases[i].id);
		assert_int_equal(models_get(&rq, &r, &err), cases[i].found != NULL);
		if (cases[i].found != NULL)
			assert_true(slice_is(buf_slice(&r.body), cases[i].found));
		http_response_done(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent),
		cmocka_unit_test(bodies_that_name_no_model),
		cmocka_unit_test(the_answer_comes_as_it_is),
		cmocka_unit_test(how_it_may_end),
		cmocka_unit_test(a_client_that_leaves_is_released),
		cmocka_unit_test(models_by_name),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(60); /* a hang is a failure */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
