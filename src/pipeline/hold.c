/* hold.c: see hold.h. */
#include "pipeline/hold.h"

#include "base/sys.h"

static void on_held(void *ctx, struct coordinator *c)
{
	coordinator_hold_look(c, *(const bool *)ctx);
}

bool batch_hold(const struct batch_call *call, bool held, bool *ret_final, bool *ret_changed,
		struct error *err)
{
	enum batch_hold hold = held ? BATCH_HELD : BATCH_GOES_ON;
	struct batch b;

	*ret_changed = false;
	if (!store_batch_get(call->store, call->org, call->batch_id, &b, err))
		return false;
	batch_done(&b);
	*ret_final = batch_is_final(b.status);
	if (*ret_final)
		return true;
	/* A crash right after it leaves the batch held: the next start reads the row. */
	if (!store_batch_hold(call->store, call->batch_id, hold, sys.now_s(), ret_changed, err))
		return false;
	if (*ret_changed)
		(void)batch_table_with(call->batches, call->batch_id, on_held, &held);
	return true;
}
