/* view.h: a batch as a client is shown it: its row in the store, with the numbers of this moment.
 * From it the API's JSON and the terminal's lines are written. A plain value; any thread may hold
 * its own. */
#pragma once

#include "batch/batch.h"
#include "batch/causes.h"
#include "batch/price.h"
#include "batch/stall.h"

struct batch_view {
	struct batch row;       /* but `counts` and `usage`, which are those of this moment */
	uint64_t pending;       /* lines that wait */
	uint64_t running;       /* lines that were sent and are not durable yet */
	enum batch_stall stall; /* why it does not move, in progress */
	char stall_message[STALL_TEXT_BYTES]; /* the same in words; "": none */
	bool certificate;                     /* it waits because a certificate is refused */
	int64_t eta_at;                       /* Unix s; 0: cannot be told */
	bool at_risk;                         /* that is after its window's end */
	int64_t queue_position; /* batches before it; 0: it is running; -1: it is final */
	double rate_per_s;      /* lines that end, lately */
	struct causes causes;   /* why lines failed */
	struct cost cost;       /* of the answers so far; set by who knows the prices */
};

static inline void batch_view_done(struct batch_view *v)
{
	batch_done(&v->row);
}
