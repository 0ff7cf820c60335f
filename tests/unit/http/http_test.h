/* http_test.h: a client on a bare socket, for the tests of src/http. */
#pragma once

#include "unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "http/server.h"

static inline int dial(const struct http_server *s)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(http_server_port(s)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline void say(int fd, struct slice text)
{
	assert_int_equal(send(fd, text.p, text.n, MSG_NOSIGNAL), text.n);
}

/* All that the server says until it closes. */
static inline const char *hear(int fd)
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

static inline void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in:\n%s", part, text);
}
