/* budget.h: one account of the memory that grows with what clients and upstreams send: bodies,
 * answers, streams, lines. What is fixed (stacks, code, caches) is not in it, and neither is what
 * costs a few bytes a connection.
 *
 * A buffer that names a use (buf.h) is charged to that use as the buffer grows and until it is
 * freed, also when its owner changes; so nothing has to be given back by hand. Charging never
 * fails. The code at the edge, which can make the other side wait, asks beforehand whether there is
 * room: budget_try().
 *
 * Batch lines may fill three quarters, so that online requests always find some room. A use that
 * holds nothing is never refused: one request, one answer, one upload goes on, however small the
 * budget is. So the charges may exceed the limit by one of each use.
 *
 * Threads: any; no locks. Counts are exact; a decision may be a moment old: when several threads
 * ask at once, each may be told yes for the same room. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

/*        name       label        quarters of the limit that it may fill, with all the others */
#define BUDGET_USES(X)                                                                     \
	X(ONLINE, "online", 4)     /* bodies of online requests */                         \
	X(CALLS, "calls", 4)       /* bodies of the API's other calls */                   \
	X(UPLOADS, "uploads", 4)   /* lines that are not whole yet, custom_ids */          \
	X(STREAMS, "streams", 4)   /* their connections, and what clients have not read */ \
	X(REQUESTS, "requests", 3) /* batch lines that are sent */                         \
	X(ANSWERS, "answers", 3)   /* their answers, until they are durable */

enum budget_kind {
#define X(name, label, quarters) BUDGET_##name,
	BUDGET_USES(X)
#undef X
		BUDGET_KINDS
};

struct budget;

struct budget_use {
	struct budget *of;
	_Atomic uint64_t bytes;
};

struct budget {
	uint64_t limit; /* bytes; 0: none */
	_Atomic uint64_t bytes;
	struct budget_use uses[BUDGET_KINDS];

	_Atomic bool awaited;
	void (*room)(void *ctx); /* see budget_await() */
	void *ctx;
};

void budget_init(struct budget *b, uint64_t limit_bytes);
/* NULL where `b` is NULL: nothing is counted then. */
struct budget_use *budget_use(struct budget *b, enum budget_kind kind);
const char *budget_label(enum budget_kind kind);

/* `use` NULL: nothing. */
void budget_charge(struct budget_use *use, uint64_t bytes);
void budget_give(struct budget_use *use, uint64_t bytes);
/* Whether there is room for so much more, `promised` bytes being spoken for already. */
bool budget_has(const struct budget_use *use, uint64_t bytes, uint64_t promised);
/* Charges if there is room. */
MUST_USE bool budget_try(struct budget_use *use, uint64_t bytes);

/* The one waiter: `room` is called, in whatever thread, at the first budget_give() after each
 * budget_await(). `room` must not block. Set before threads start. */
void budget_waiter(struct budget *b, void (*room)(void *ctx), void *ctx);
/* To be called before the last call of budget_has(): then no budget_give() in between is missed. */
void budget_await(struct budget *b);
