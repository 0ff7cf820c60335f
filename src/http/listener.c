/* listener.c: socket, bind, listen; one thread that accepts. */
#include "http/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "base/worker.h"

#define BACKLOG 511
#define PAUSE_TELL_MS 60000
#define PAUSE_MS 100 /* after accept fails for want of descriptors or memory */

struct listener {
	int fd;
	int stop_fd; /* readable: end */
	uint16_t port;
	pthread_t thread;
	listener_fn accepted;
	void *ctx;
};

static bool address_of(const char *host, uint16_t port, struct addrinfo **ret, struct error *err)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	char service[8];

	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1"; /* no look-up: it has to work with no network at all */
	snprintf(service, sizeof(service), "%u", (unsigned)port);
	if (getaddrinfo(host, service, &hints, ret) != 0)
		return fail(err, ERR_INVALID, "cannot listen on '%s': it is no numeric address",
			    host);
	return true;
}

static bool bind_address(int fd, const struct addrinfo *a)
{
	int one = 1;

	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	       bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
}

bool listener_bind(const char *host, uint16_t port, int *ret_fd, struct error *err)
{
	struct addrinfo *a;

	if (!address_of(host, port, &a, err))
		return false;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && bind_address(fd, a);
	int saved_errno = errno;
	freeaddrinfo(a);
	if (ok) {
		*ret_fd = fd;
		return true;
	}
	auto_close(&fd);
	(void)!fail(err, ERR_INVALID, "cannot listen on %s port %u: %s", host, (unsigned)port,
		    strerrordesc_np(saved_errno));
	err->sys = saved_errno;
	return false;
}

uint16_t listener_socket_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} bound = { 0 };
	socklen_t size = sizeof(bound);

	if (getsockname(fd, &bound.any, &size) != 0)
		return 0;
	return ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
}

static bool find_port(struct listener *l, struct error *err)
{
	l->port = listener_socket_port(l->fd);
	return l->port != 0 || fail_sys(err, errno, "getsockname");
}

/* Accepts all that wait; false when there is nothing to accept with. */
static bool accept_all(struct listener *l)
{
	for (;;) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			l->accepted(l->ctx, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			return false;
		else if (errno == EAGAIN)
			return true;
		/* Anything else befell that connection alone (it was aborted, or interrupted). */
	}
}

static void *listener_main(void *arg)
{
	struct listener *l = arg;
	struct pollfd wait[] = { { .fd = l->stop_fd, .events = POLLIN },
				 { .fd = l->fd, .events = POLLIN } };
	bool paused = false;
	uint64_t tell_ms = 0;

	for (;;) {
		/* Paused, only the end is waited for: the socket stays readable. */
		int n = poll(wait, paused ? 1 : 2, paused ? PAUSE_MS : -1);
		if (wait[0].revents != 0)
			return NULL;
		if (n < 0)
			continue;
		paused = !accept_all(l);
		uint64_t now_ms = sys.monotonic_ms();
		if (!paused || now_ms < tell_ms)
			continue;
		tell_ms = now_ms + PAUSE_TELL_MS;
		log_warn("http.accept_paused", kv_str("why", "out of file descriptors or memory"));
	}
}

bool listener_open(int fd, listener_fn accepted, void *ctx, struct listener **ret,
		   struct error *err)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		close(fd);
		return fail_memory(err);
	}
	*l = (struct listener){ .fd = fd, .accepted = accepted, .ctx = ctx };
	l->stop_fd = eventfd(0, EFD_CLOEXEC);
	bool ok = l->stop_fd >= 0 || fail_sys(err, errno, "eventfd");
	ok = ok && find_port(l, err) &&
	     thread_start(&l->thread, "http-accept", listener_main, l, err);
	if (!ok) {
		auto_close(&l->fd);
		auto_close(&l->stop_fd);
		free(l);
		return false;
	}
	*ret = l;
	return true;
}

uint16_t listener_port(const struct listener *l)
{
	return l->port;
}

void listener_close(struct listener *l)
{
	uint64_t one = 1;

	if (l == NULL)
		return;
	while (write(l->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(l->thread, NULL);
	close(l->fd);
	close(l->stop_fd);
	free(l);
}
