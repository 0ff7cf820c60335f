/* transfer.h: what lines, online requests and polls have alike: an exchange with an upstream, and
 * how it ended. */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "client/client.h"
#include "upstream/judge.h"

struct dispatch;
struct upstream;

struct transfer {
	struct exchange exchange;
	struct dispatch *dispatch;
	struct upstream *upstream;
	struct client_route *route; /* the upstream's */
};

/* The transfer of an exchange. */
static inline struct transfer *transfer_of(struct exchange *x)
{
	return container_of(x, struct transfer, exchange);
}

/* Where it goes: "http://…/v1" and "/v1/models" make "http://…/v1/models", base URLs end in the
 * version that endpoints begin with. False: no memory. */
MUST_USE bool transfer_url(const struct transfer *t, const char *endpoint, struct buf *to);
/* How it ended, by what the client says and the head of the answer; the body, what was read of it,
 * its facts, and the type of a 2xx are the caller's to add. */
void transfer_end(const struct transfer *t, const struct exchange_result *r,
		  struct attempt_end *ret);
