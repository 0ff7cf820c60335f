/* cancel.c: see cancel.h. */
#include "pipeline/cancel.h"

#include "base/sys.h"

static void on_cancelled(void *ctx, struct coordinator *c)
{
	(void)ctx;
	coordinator_end(c, EARLY_CANCELLED);
}

/* One look and one move. *ret_done false: the batch moved on in between. */
static bool cancel_try(const struct batch_call *call, bool *ret_done, bool *ret_final,
		       struct error *err)
{
	const unsigned running = 1u << BATCH_IN_PROGRESS | 1u << BATCH_FINALIZING;
	struct store *store = call->store;
	struct batch b;

	*ret_done = true;
	if (!store_batch_get(store, call->org, call->batch_id, &b, err))
		return false;
	batch_done(&b);
	if (b.status == BATCH_CANCELLING || b.status == BATCH_CANCELLED)
		return true;
	if (batch_is_final(b.status)) {
		*ret_final = true;
		return true;
	}
	if (b.status == BATCH_VALIDATING)
		return store_batch_cancel_early(store, call->batch_id, sys.now_s(), ret_done, err);
	return store_batch_move(store, call->batch_id, running, BATCH_CANCELLING, sys.now_s(),
				ret_done, err);
}

bool batch_cancel(const struct batch_call *call, bool *ret_final, struct error *err)
{
	bool done = false;

	*ret_final = false;
	while (!done)
		if (!cancel_try(call, &done, ret_final, err))
			return false;
	if (!*ret_final)
		(void)batch_table_with(call->batches, call->batch_id, on_cancelled, NULL);
	return true;
}
