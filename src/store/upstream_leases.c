#include "store/upstream_leases.h"

#include "store/asks.h"

bool store_upstream_take(struct db *db, struct owner me, const char *upstream, bool *ret_taken,
			 uint64_t *ret_epoch, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	int64_t epoch;

	if (!asks_run(
		    &a, db, ASK_WAIT_MS,
		    ASKS({ SQL_upstream_take, VALUES(u64(me.node), u64(me.epoch), txt(upstream)) }),
		    err) ||
	    !asks_number(&a, 0, ret_taken, &epoch, err))
		return false;
	*ret_epoch = (uint64_t)epoch;
	return true;
}

bool store_upstream_release(struct db *db, struct owner me, const char *upstream, uint64_t epoch,
			    bool *ret_released, struct error *err)
{
	int64_t released;

	if (!ask_number(db, SQL_upstream_release,
			VALUES(u64(me.node), u64(me.epoch), txt(upstream), u64(epoch)), &released,
			err))
		return false;
	*ret_released = released > 0;
	return true;
}

static bool seen_read(struct query *q, void *to, struct error *err)
{
	struct upstream_seen *ret = to;

	query_text(q, ret->upstream, sizeof(ret->upstream));
	ret->epoch = query_u64(q);
	ret->owner.node = query_u64(q);
	ret->owner.epoch = query_u64(q);
	ret->is_free = query_int(q) != 0;
	return query_row_ok(q, err);
}

bool store_upstream_list(struct db *db, struct upstream_seen **ret, size_t *ret_n,
			 struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	if (!asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_upstream_list, VALUES() }), err))
		return false;
	*ret = query_rows(&a.of[0], seen_read, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}
