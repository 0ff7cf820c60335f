/* lookup.c: getaddrinfo() in a detached thread. Thread and owner both hold the struct; who lets go
 * last frees it. */
#include "client/lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/worker.h"

struct lookup {
	pthread_mutex_t lock;
	const struct loop *loop; /* NULL: its owner has left it behind */
	bool ended;
	const char *why;
	struct addresses found;
	char port[8];
	char host[];
};

/* ---- what is known ---- */

static void address_add(struct addresses *to, const union address *a)
{
	if (to->n < ADDRESSES_MAX)
		to->list[to->n++] = *a;
}

static bool is_localhost(const char *host)
{
	size_t n = strlen(host), tail = sizeof(".localhost") - 1;

	n -= n > 0 && host[n - 1] == '.';
	return (n == tail - 1 && strncasecmp(host, "localhost", n) == 0) ||
	       (n > tail && strncasecmp(host + n - tail, ".localhost", tail) == 0);
}

bool addresses_known(const char *host, uint16_t port, struct addresses *ret)
{
	union address ipv4 = { .ipv4 = { .sin_family = AF_INET, .sin_port = htons(port) } };
	union address ipv6 = { .ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };

	ret->n = 0;
	if (inet_pton(AF_INET, host, &ipv4.ipv4.sin_addr) == 1) {
		address_add(ret, &ipv4);
	} else if (inet_pton(AF_INET6, host, &ipv6.ipv6.sin6_addr) == 1) {
		address_add(ret, &ipv6);
	} else if (is_localhost(host)) {
		ipv6.ipv6.sin6_addr = in6addr_loopback;
		address_add(ret, &ipv6);
		ipv4.ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address_add(ret, &ipv4);
	}
	return ret->n > 0;
}

/* ---- the thread ---- */

static void lookup_destroy(struct lookup *l)
{
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void found_add(struct lookup *l, const struct addrinfo *info)
{
	union address a = { 0 };

	if ((info->ai_family != AF_INET && info->ai_family != AF_INET6) ||
	    info->ai_addrlen > sizeof(a))
		return;
	memcpy(&a, info->ai_addr, info->ai_addrlen);
	address_add(&l->found, &a);
}

static void *lookup_main(void *arg)
{
	struct lookup *l = arg;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;

	int failed = getaddrinfo(l->host, l->port, &hints, &list);
	for (const struct addrinfo *info = list; failed == 0 && info != NULL; info = info->ai_next)
		found_add(l, info);
	if (failed == 0)
		freeaddrinfo(list);
	pthread_mutex_lock(&l->lock);
	l->why = failed != 0       ? gai_strerror(failed)
		 : l->found.n == 0 ? "no address is of a kind that is known"
				   : NULL;
	l->ended = true;
	bool left = l->loop == NULL;
	if (!left)
		loop_tell(l->loop);
	pthread_mutex_unlock(&l->lock);
	if (left)
		lookup_destroy(l);
	return NULL;
}

/* ---- its owner ---- */

struct lookup *lookup_start(const struct loop *loop, const char *host, uint16_t port)
{
	size_t n = strlen(host);
	struct lookup *l = calloc(1, sizeof(*l) + n + 1);
	struct error err;
	pthread_t thread;

	if (l == NULL)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->loop = loop;
	snprintf(l->port, sizeof(l->port), "%u", port);
	memcpy(l->host, host, n);
	if (!thread_start(&thread, "lookup", lookup_main, l, &err)) {
		lookup_destroy(l);
		return NULL;
	}
	pthread_detach(thread);
	return l;
}

bool lookup_ended(struct lookup *l, struct addresses *ret, const char **ret_why)
{
	pthread_mutex_lock(&l->lock);
	bool ended = l->ended;
	if (ended) {
		*ret = l->found;
		*ret_why = l->why;
	}
	pthread_mutex_unlock(&l->lock);
	return ended;
}

void lookup_free(struct lookup *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	bool ended = l->ended;
	l->loop = NULL;
	pthread_mutex_unlock(&l->lock);
	if (ended)
		lookup_destroy(l);
}
