/* s3_server.h: a store that answers what the test says, one request a connection, and notes what it
 * was asked; and an s3 that asks it. */
#pragma once

#include "unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/log.h"
#include "s3/s3.h"

enum how {
	WHOLE,
	CUT,   /* the connection ends one byte before the end of the body */
	GONE,  /* it ends without an answer */
	SILENT /* nothing comes until the other side leaves */
};

struct reply {
	const char *status;  /* "200 OK"; NULL ends a list */
	const char *headers; /* each with CRLF at its end; NULL: none */
	const char *body;    /* NULL: none */
	enum how how;
};

#define ASKED_MOST 64

static struct {
	int fd;
	unsigned port;
	pthread_t thread;
	const struct reply *_Atomic replies; /* what comes behind the last is answered as the last */
	struct {
		char head[4096], body[4096]; /* as much as fits */
		size_t body_n;
	} asked[ASKED_MOST];
	atomic_uint n;
} server;

static inline size_t length_of(const char *head)
{
	const char *p = strcasestr(head, "\r\nContent-Length:");

	return p != NULL ? strtoul(p + 17, NULL, 10) : 0;
}

/* Reads one request. False: the other side has left. */
static inline bool request_read(int fd, unsigned i)
{
	char *head = server.asked[i].head, *end = NULL;
	static char rest[65536];
	size_t n = 0;

	while (end == NULL) {
		ssize_t got = read(fd, head + n, sizeof(server.asked[i].head) - 1 - n);
		if (got <= 0)
			return false;
		n += (size_t)got;
		head[n] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	size_t length = length_of(head), have = (size_t)(head + n - end - 4);
	if (strcasestr(head, "\r\nExpect:") != NULL)
		(void)!write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	memcpy(server.asked[i].body, end + 4, have);
	for (; have < length;) {
		bool fits = length <= sizeof(server.asked[i].body);
		ssize_t got = read(fd, fits ? server.asked[i].body + have : rest,
				   fits ? length - have : sizeof(rest));
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	server.asked[i].body_n = length;
	end[2] = '\0';
	return true;
}

static inline void reply_write(int fd, const struct reply *r, bool is_head)
{
	const char *body = r->body != NULL ? r->body : "";
	size_t n = strlen(body);
	char head[2048];

	if (r->how == SILENT)
		(void)!read(fd, head, 1);
	if (r->how == GONE || r->how == SILENT)
		return;
	int head_n = snprintf(head, sizeof(head),
			      "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
			      r->status, r->headers != NULL ? r->headers : "", n);
	(void)!write(fd, head, (size_t)head_n);
	if (!is_head)
		(void)!write(fd, body, r->how == CUT ? n - 1 : n);
}

static inline void *server_run(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(server.fd, NULL, NULL)) >= 0) {
		unsigned i = server.n < ASKED_MOST ? server.n : ASKED_MOST - 1;
		if (request_read(fd, i)) {
			const struct reply *r = server.replies;
			for (unsigned k = 0; k < server.n && r[1].status != NULL; k++)
				r++;
			server.n++;
			reply_write(fd, r, strncmp(server.asked[i].head, "HEAD", 4) == 0);
		}
		shutdown(fd, SHUT_WR);
		close(fd);
	}
	return NULL;
}

/* From now on the store answers these, from the first. */
static inline void answers(const struct reply *replies)
{
	server.replies = replies;
	server.n = 0;
}

#define ANSWERS(...) answers((const struct reply[]){ __VA_ARGS__, { NULL } })

static inline void server_open(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);

	signal(SIGPIPE, SIG_IGN);
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(server.fd, 16), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&at, &n), 0);
	server.port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&server.thread, NULL, server_run, NULL), 0);
}

static inline void server_close(void)
{
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
}

#define SECRET "s3cr3t+key/of:ours"

static struct s3 *s3;
static struct error err;
static const struct s3_credentials ours = { .access_key = "AKIDOURS", .secret_key = SECRET };

/* As a test sets it: quick. */
static inline struct s3_config config_of(const char *endpoint)
{
	return (struct s3_config){
		.endpoint = endpoint,
		.bucket = "our-bucket",
		.prefix = "pre/fix",
		.path_style = true,
		.credentials = &ours,
		.attempts = 3,
		.backoff_ms = 1,
		.timeout_ms = 5000,
	};
}

static inline void s3_make(const struct s3_config *set)
{
	char endpoint[64];
	struct s3_config c = set != NULL ? *set : config_of(NULL);

	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", server.port);
	c.endpoint = endpoint;
	s3_close(s3);
	s3 = NULL;
	if (!s3_open(&c, &s3, &err))
		fail_msg("%s (%s)", err.message, err.detail);
}

static inline int s3_setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	if (server.port == 0)
		server_open();
	s3_make(NULL);
	return 0;
}

static inline int s3_teardown(void **state)
{
	(void)state;
	s3_close(s3);
	s3 = NULL;
	return 0;
}

#define MUST(call)                                                               \
	do {                                                                     \
		if (!(call))                                                     \
			fail_msg("%s: %s (%s)", #call, err.message, err.detail); \
	} while (0)

/* The call fails, with that errno and those words. */
#define FAILS(call, errno_of, words)                                                         \
	do {                                                                                 \
		if (call)                                                                    \
			fail_msg("%s did not fail", #call);                                  \
		if (err.sys != (errno_of) || strstr(err.detail, words) == NULL)              \
			fail_msg("%s: %d %s (%s)", #call, err.sys, err.message, err.detail); \
		assert_null(strstr(err.detail, SECRET));                                     \
		assert_null(strstr(err.message, SECRET));                                    \
	} while (0)
