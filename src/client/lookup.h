/* lookup.h: the addresses of a name, asked of the C library in a thread of each look-up: a resolver
 * that hangs holds up nothing but what waits for that name. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "client/loop.h"

#define ADDRESSES_MAX 16u

union address {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

struct addresses {
	unsigned n;
	union address list[ADDRESSES_MAX]; /* what is more is left out */
};

/* Those of a host that need no look-up: one that is an address, and localhost (RFC 6761, 6.3).
 * False: a look-up has to say. */
bool addresses_known(const char *host, uint16_t port, struct addresses *ret);

struct lookup;

/* Tells the loop (loop_tell()) when it has ended. NULL: no memory or no thread. */
struct lookup *lookup_start(const struct loop *loop, const char *host, uint16_t port);
/* False: it goes on. *ret_why: NULL, or why there are no addresses (static text). */
MUST_USE bool lookup_ended(struct lookup *l, struct addresses *ret, const char **ret_why);
/* One that goes on is left behind: nothing waits for its thread. Before the loop is closed. NULL is
 * fine. */
void lookup_free(struct lookup *l);
