/* deadline.h: how long a client may take to send a request. Pure: times are given in.
 *
 * Each connection is looked at a few times a second. A head that has begun must be complete
 * after `head_ms`; a body must bring `body_bytes_min` in each `body_ms`, but for its last,
 * shorter stretch. What the server does not read (it answers the request before; its disk is
 * slow) does not count, so `seen` says what the server waits for. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

/* What is waited for. */
enum awaited {
	AWAITS_NOTHING, /* nothing: between two requests, or it is the server's turn */
	AWAITS_HEAD,
	AWAITS_BODY,
	AWAITS_CLOSE, /* the client was refused, and has time to read that */
};

struct deadline_limits { /* 0: no limit */
	uint64_t head_ms;
	uint64_t body_ms, body_bytes_min;
};

#define DEADLINE_CLOSE_MS 2000

struct deadline_seen {
	enum awaited awaited;
	uint64_t request; /* which of the connection's requests */
	uint64_t bytes;   /* that have come, since the connection was made */
};

/* The deadline of one connection; begins all zero. */
struct deadline {
	struct deadline_seen seen;
	uint64_t since_ms; /* seen.awaited since then; for a body, the present stretch */
};

/* Notes what is seen at `now_ms`. True: the client's time is over. */
MUST_USE bool deadline_passed(struct deadline *d, const struct deadline_limits *limits,
			      struct deadline_seen seen, uint64_t now_ms);
/* The server was the one that did not read: another full span begins now. */
void deadline_renew(struct deadline *d, uint64_t now_ms);
