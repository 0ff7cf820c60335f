/* line_transfer.h: an exchange of lines with one upstream, and its buffers, used again and again.
 * Idle ones are kept in the target. Threads: dispatch alone. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "batch/line.h"
#include "dispatch/memory.h"
#include "dispatch/transfer.h"

struct answer_facts;
struct line;

struct line_transfer {
	struct transfer transfer;
	struct line_transfer *next_free;
	struct line *line;         /* NULL: it is idle */
	struct memory_line memory; /* its request: the whole input line, behind it the body with
	                            * `priority` where there is */
	struct request_line text;  /* of the request */
	char endpoint[64];         /* that the URL is set to */
	bool lapsed;               /* it was not sent: the node's lease ran out before that */
};

static inline struct line_transfer *line_transfer_of(struct exchange *x)
{
	return container_of(transfer_of(x), struct line_transfer, transfer);
}

/* An idle one or a new one, which gets the ops; NULL: no memory. */
struct line_transfer *line_transfer_take(struct dispatch *d, struct upstream *u,
					 const struct exchange_ops *ops);
/* It is idle again: nothing is under way. */
void line_transfer_give(struct line_transfer *t);
/* False: no memory. */
MUST_USE bool line_transfer_url(struct line_transfer *t, const char *endpoint);
/* Reads what the body of a 2xx says, into `facts` and what the attempt's end has of it. Long
 * ones are not read here, where every other request waits: the recorder does that, and then it
 * is final. */
void line_transfer_read(struct line_transfer *t, struct attempt_end *e, struct answer_facts *facts);
/* Frees the upstream's idle ones. */
void line_transfers_trim(struct upstream *u);
