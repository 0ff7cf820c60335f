/* health.c: one request over one connection, five seconds for each step at most. lowtide speaks
 * plain HTTP, so this is all that it takes, and a container needs no other program to look after
 * it. */
#include "cli/health.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "terminal/report.h"

#define WAIT_S 5

struct health_place {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at;
	socklen_t size;
};

/* An address that a server listens on; all addresses are asked on loopback. */
static bool place_of(const char *host, uint16_t port, struct health_place *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (strchr(host, ':') != NULL) {
		ret->at.v6.sin6_family = AF_INET6;
		ret->at.v6.sin6_port = htons(port);
		ret->size = sizeof(ret->at.v6);
		return inet_pton(AF_INET6, strcmp(host, "::") == 0 ? "::1" : host,
				 &ret->at.v6.sin6_addr) == 1;
	}
	ret->at.v4.sin_family = AF_INET;
	ret->at.v4.sin_port = htons(port);
	ret->size = sizeof(ret->at.v4);
	return inet_pton(AF_INET, strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : host,
			 &ret->at.v4.sin_addr) == 1;
}

static bool connect_to(const struct health_place *place, int *ret_fd)
{
	struct timeval wait = { .tv_sec = WAIT_S };
	int fd = socket(place->at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0 ||
	    connect(fd, &place->at.any, place->size) != 0) {
		int saved = errno;
		close(fd);
		errno = saved;
		return false;
	}
	*ret_fd = fd;
	return true;
}

/* Of "HTTP/1.1 200 OK"; 0: it is something else. */
static int status_of(const char *line)
{
	const char *digits = line + strlen("HTTP/1.1 ");
	char *end;

	if (strncmp(line, "HTTP/1.1 ", strlen("HTTP/1.1 ")) != 0 || digits[0] < '1' ||
	    digits[0] > '9')
		return 0;
	long status = strtol(digits, &end, 10);
	return end == digits + 3 ? (int)status : 0;
}

/* The status of the answer, 0: none. The status line is read, the rest is not. */
static int ask(int fd, const char *path)
{
	char text[256];
	size_t n = 0;

	int length = snprintf(text, sizeof(text),
			      "GET %s HTTP/1.1\r\nHost: lowtide\r\nConnection: close\r\n\r\n",
			      path);
	if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length)
		return 0;
	while (n < sizeof(text) - 1) {
		ssize_t got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
		if (memchr(text, '\n', n) != NULL)
			break;
	}
	text[n] = '\0';
	return status_of(text);
}

static int say(const char *host, uint16_t port, const char *what, bool good)
{
	bool ipv6 = strchr(host, ':') != NULL;

	fprintf(good ? stdout : stderr, "lowtide: %s%s%s:%u %s\n", ipv6 ? "[" : "", host,
		ipv6 ? "]" : "", port, what);
	return good ? EXIT_GOOD : EXIT_FAULT;
}

int health(const char *host, uint16_t port, bool ready)
{
	struct health_place place;
	char what[64];
	int fd;

	if (!place_of(host, port, &place))
		return say(host, port, "is no numeric address", false);
	if (!connect_to(&place, &fd)) {
		snprintf(what, sizeof(what), "cannot be reached: %s", strerror(errno));
		return say(host, port, what, false);
	}
	int status = ask(fd, ready ? "/readyz" : "/healthz");
	close(fd);
	if (status == 200)
		return say(host, port, ready ? "takes work" : "is alive", true);
	if (status == 0)
		return say(host, port, "gave no answer in HTTP within 5 s", false);
	snprintf(what, sizeof(what), "answered with status %d", status);
	return say(host, port, what, false);
}
