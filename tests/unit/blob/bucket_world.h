/* bucket_world.h: a bucket in the memory of the test, behind a socket, of which the n-th call can be
 * refused, or be done and its answer lost. It knows what blobs ask for but parts of an upload. */
#pragma once

#include "unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#include "blob/bucket.h"

struct world_object {
	struct world_object *next; /* in the order of keys */
	char key[160];
	char *bytes;
	size_t n;
	unsigned version; /* the ETag: of the bytes */
	int64_t at;       /* Unix s */
	char checksum[48];
};

static struct {
	int fd;
	unsigned port;
	pthread_t thread;
	pthread_mutex_t lock; /* for all below */
	struct world_object *first;
	int64_t now; /* its clock */
	bool knows_no_conditions;
	const char *rival; /* what somebody else puts right before the next put */
	unsigned calls, fail_nth;
	bool done_all_the_same; /* the call that fails is done, and its answer lost */
	bool failed;
} world = { .now = 1700000000, .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- objects, under the lock ---- */

static inline struct world_object **world_find(const char *key)
{
	struct world_object **p = &world.first;

	while (*p != NULL && strcmp((*p)->key, key) < 0)
		p = &(*p)->next;
	return p;
}

static inline struct world_object *world_get(const char *key)
{
	struct world_object *o = *world_find(key);

	return o != NULL && strcmp(o->key, key) == 0 ? o : NULL;
}

static inline void world_delete(const char *key)
{
	struct world_object **p = world_find(key), *o = world_get(key);

	if (o == NULL)
		return;
	*p = o->next;
	free(o->bytes);
	free(o);
}

static inline unsigned world_version(const char *bytes, size_t n)
{
	unsigned hash = 2166136261u;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 16777619u;
	return hash;
}

static inline unsigned world_put(const char *key, const char *bytes, size_t n)
{
	struct world_object *o = calloc(1, sizeof(*o));
	char *copy = malloc(n + 1);

	memcpy(copy, bytes, n);
	world_delete(key);
	snprintf(o->key, sizeof(o->key), "%s", key);
	o->bytes = copy;
	o->n = n;
	o->version = world_version(bytes, n);
	o->at = world.now;
	struct world_object **p = world_find(key);
	o->next = *p;
	*p = o;
	return o->version;
}

/* ---- requests ---- */

struct request {
	char head[8192];
	char method[8], path[512];
	const char *query; /* "": none */
	char *body;
	size_t body_n;
};

static inline bool request_read(int fd, struct request *r)
{
	char *end = NULL;
	size_t n = 0;

	while (end == NULL && n < sizeof(r->head) - 1) {
		ssize_t got = read(fd, r->head + n, sizeof(r->head) - 1 - n);
		if (got <= 0)
			return false;
		n += (size_t)got;
		r->head[n] = '\0';
		end = strstr(r->head, "\r\n\r\n");
	}
	if (end == NULL || sscanf(r->head, "%7s %511s", r->method, r->path) != 2)
		return false;
	const char *length = strcasestr(r->head, "\r\nContent-Length:");
	r->body_n = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
	r->body = malloc(r->body_n + 1);
	size_t have = (size_t)(r->head + n - end - 4);
	memcpy(r->body, end + 4, have);
	if (strcasestr(r->head, "\r\nExpect:") != NULL)
		(void)!write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	while (have < r->body_n) {
		ssize_t got = read(fd, r->body + have, r->body_n - have);
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	char *query = strchr(r->path, '?');
	r->query = query != NULL ? query + 1 : "";
	if (query != NULL)
		*query = '\0';
	return true;
}

static inline const char *request_header(const struct request *r, const char *name)
{
	const char *p = strcasestr(r->head, name);

	return p != NULL ? p + strlen(name) : NULL;
}

/* `more`: headers, each with CRLF at its end. */
static inline void world_do_send(int fd, const struct request *r, const char *status,
				 unsigned version, const char *more, const char *body, size_t n)
{
	char head[512], date[64];
	time_t now = (time_t)world.now;
	struct tm utc;

	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
	int head_n = snprintf(head, sizeof(head),
			      "HTTP/1.1 %s\r\nETag: \"%u\"\r\nContent-Length: %zu\r\n"
			      "Date: %s\r\n%sConnection: close\r\n\r\n",
			      status, version, n, date, more);

	(void)!write(fd, head, (size_t)head_n);
	for (size_t at = 0; strcmp(r->method, "HEAD") != 0 && at < n;) {
		ssize_t sent = write(fd, body + at, n - at);
		if (sent <= 0)
			return;
		at += (size_t)sent;
	}
}

static inline void world_do_respond(int fd, const struct request *r, const char *status,
				    unsigned version, const char *body, size_t n)
{
	world_do_send(fd, r, status, version, "", body, n);
}

/* "files%2Ffile-a." */
static inline void world_unescape(const char *from, char *to)
{
	unsigned code;

	for (; *from != '\0' && *from != '&'; from++)
		if (*from == '%' && sscanf(from + 1, "%2x", &code) == 1) {
			*to++ = (char)code;
			from += 2;
		} else {
			*to++ = *from;
		}
	*to = '\0';
}

static inline void world_do_list(int fd, const struct request *r)
{
	const char *prefix = strstr(r->query, "prefix=");
	char begin[256], at[40], *xml = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&xml, &n);

	world_unescape(prefix != NULL ? prefix + 7 : "", begin);
	fprintf(out, "<ListBucketResult><IsTruncated>false</IsTruncated>");
	for (struct world_object *o = world.first; o != NULL; o = o->next)
		if (strncmp(o->key, begin, strlen(begin)) == 0 &&
		    strstr(r->query, "uploads=") == NULL) {
			time_t then = (time_t)o->at;
			struct tm utc;
			strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&then, &utc));
			fprintf(out,
				"<Contents><Key>%s</Key><ETag>\"%u\"</ETag><Size>%zu</Size>"
				"<LastModified>%s</LastModified></Contents>",
				o->key, o->version, o->n, at);
		}
	fprintf(out, "</ListBucketResult>");
	fclose(out);
	world_do_respond(fd, r, "200 OK", 0, xml, n);
	free(xml);
}

static inline void world_do_range(int fd, const struct request *r, const struct world_object *o,
				  const char *range)
{
	unsigned long from = 0, to = 0;
	char more[192];

	if (sscanf(range, "%lu-%lu", &from, &to) != 2 || from >= o->n) {
		world_do_respond(fd, r, "416 Range Not Satisfiable", 0, "", 0);
		return;
	}
	to = to < o->n ? to + 1 : o->n;
	snprintf(more, sizeof(more),
		 "Content-Range: bytes %lu-%lu/%zu\r\nx-amz-checksum-sha256: %s\r\n", from, to - 1,
		 o->n, o->checksum);
	world_do_send(fd, r, "206 Partial Content", o->version, more, o->bytes + from, to - from);
}

static inline void world_do_get(int fd, const struct request *r, const struct world_object *o)
{
	const char *range = request_header(r, "\r\nRange: bytes=");
	const char *match = request_header(r, "\r\nIf-Match: \"");

	if (o == NULL)
		world_do_respond(fd, r, "404 Not Found", 0, "", 0);
	else if (match != NULL && strtoul(match, NULL, 10) != o->version)
		world_do_respond(fd, r, "412 Precondition Failed", 0, "", 0);
	else if (range == NULL)
		world_do_respond(fd, r, "200 OK", o->version, o->bytes, o->n);
	else
		world_do_range(fd, r, o, range);
}

static inline void world_do_copy(int fd, const struct request *r, const char *key,
				 const char *source)
{
	char name[160] = "", checksum[48];

	sscanf(source, "%159[^\r]", name);
	struct world_object *from = world_get(name);
	if (from == NULL) {
		world_do_respond(fd, r, "404 Not Found", 0, "", 0);
		return;
	}
	memcpy(checksum, from->checksum, sizeof(checksum));
	unsigned version = world_put(key, from->bytes, from->n);
	memcpy(world_get(key)->checksum, checksum, sizeof(checksum));
	world_do_respond(fd, r, "200 OK", version, "<CopyObjectResult/>", 19);
}

static inline void world_do_put(int fd, const struct request *r, const char *key)
{
	const char *source = request_header(r, "\r\nx-amz-copy-source: /bucket/");
	const char *checksum = request_header(r, "\r\nx-amz-checksum-sha256: ");
	bool only_new = request_header(r, "\r\nIf-None-Match: *") != NULL;

	if (world.rival != NULL) {
		world_put(key, world.rival, strlen(world.rival));
		world.rival = NULL;
	}
	if (source != NULL) {
		world_do_copy(fd, r, key, source);
	} else if (only_new && world.knows_no_conditions) {
		world_do_respond(fd, r, "501 Not Implemented", 0, "", 0);
	} else if (only_new && world_get(key) != NULL) {
		world_do_respond(fd, r, "412 Precondition Failed", 0, "", 0);
	} else {
		unsigned version = world_put(key, r->body, r->body_n);
		if (checksum != NULL)
			sscanf(checksum, "%47[^\r]", world_get(key)->checksum);
		world_do_respond(fd, r, "200 OK", version, "", 0);
	}
}

static inline void world_do_answer(int fd, const struct request *r)
{
	const char *key = r->path + strlen("/bucket/");

	world.calls++;
	bool fails = world.calls == world.fail_nth;
	world.failed |= fails;
	if (fails && !world.done_all_the_same)
		return;
	if (fails)
		fd = -1; /* nobody hears of it */
	if (key[0] == '\0')
		world_do_list(fd, r);
	else if (strcmp(r->method, "PUT") == 0)
		world_do_put(fd, r, key);
	else if (strcmp(r->method, "DELETE") == 0) {
		world_delete(key);
		world_do_respond(fd, r, "204 No Content", 0, "", 0);
	} else
		world_do_get(fd, r, world_get(key));
}

static inline void *world_run(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(world.fd, NULL, NULL)) >= 0) {
		struct request r = { 0 };
		if (request_read(fd, &r)) {
			pthread_mutex_lock(&world.lock);
			world_do_answer(fd, &r);
			pthread_mutex_unlock(&world.lock);
		}
		free(r.body);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
	return NULL;
}

static inline void world_open(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);

	signal(SIGPIPE, SIG_IGN);
	world.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(world.fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(world.fd, 64), 0);
	assert_int_equal(getsockname(world.fd, (struct sockaddr *)&at, &n), 0);
	world.port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&world.thread, NULL, world_run, NULL), 0);
}

static inline void world_close(void)
{
	shutdown(world.fd, SHUT_RDWR);
	pthread_join(world.thread, NULL);
	close(world.fd);
	while (world.first != NULL)
		world_delete(world.first->key);
}

/* Refused once, and once done without an answer: for odd and for even numbers. */
static inline void world_fail_nth(int nth)
{
	pthread_mutex_lock(&world.lock);
	world.calls = 0;
	world.fail_nth = ((unsigned)nth + 1) / 2;
	world.done_all_the_same = nth % 2 == 0;
	world.failed = false;
	pthread_mutex_unlock(&world.lock);
}

static inline bool world_restore(void)
{
	pthread_mutex_lock(&world.lock);
	world.fail_nth = 0;
	bool failed = world.failed;
	pthread_mutex_unlock(&world.lock);
	return failed;
}
