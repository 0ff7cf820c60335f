#include "store/nodes.h"

#include "store/asks.h"

/* ---- leases ---- */

/* crash: in one epoch or the next, and what the start before owned is free with the commit, or by a
 * burial. */
bool store_node_enter(struct db *db, uint64_t id, const struct node_about *about, uint64_t before,
		      uint64_t *ret_epoch, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	int64_t epoch;
	bool row;

	if (!asks_run(&a, db, ASK_WAIT_MS,
		      ASKS({ SQL_node_enter, VALUES(u64(id), num(LEASE_US), txt(about->address),
						    txt(about->version), txt(about->config)) },
			   { SQL_node_leave_before, VALUES(u64(before)) },
			   { SQL_node_epoch, VALUES(u64(id)) }),
		      err) ||
	    !asks_number(&a, 2, &row, &epoch, err))
		return false;
	*ret_epoch = (uint64_t)epoch;
	return true;
}

bool store_node_renew(struct db *db, struct owner me, uint64_t floor, bool draining,
		      bool *ret_renewed, uint64_t *ret_epoch, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	int64_t one, epoch;
	bool row;

	if (!asks_run(&a, db, LEASE_RENEW_TIMEOUT_US / PROTOCOL_MS,
		      ASKS({ SQL_node_renew, VALUES(u64(me.node), u64(me.epoch), num(LEASE_US),
						    num(draining), u64(floor), num(LEASE_GAP_US)) },
			   { SQL_node_epoch, VALUES(u64(me.node)) }),
		      err) ||
	    !asks_number(&a, 0, ret_renewed, &one, err) || !asks_number(&a, 1, &row, &epoch, err))
		return false;
	*ret_epoch = (uint64_t)epoch;
	return true;
}

bool store_node_bury(struct db *db, struct owner me, uint64_t *ret_buried, struct error *err)
{
	int64_t buried;

	if (!ask_number(db, SQL_node_bury,
			VALUES(u64(me.node), u64(me.epoch), num(LEASE_US - LEASE_GAP_US),
			       num(LEASE_GRACE_US)),
			&buried, err))
		return false;
	*ret_buried = (uint64_t)buried;
	return true;
}

bool store_node_leave(struct db *db, struct owner me, bool *ret_left, struct error *err)
{
	int64_t left;

	if (!ask_number(db, SQL_node_leave, VALUES(u64(me.node), u64(me.epoch)), &left, err))
		return false;
	*ret_left = left > 0;
	return true;
}

/* ---- the list ---- */

static bool seen_read(struct query *q, void *to, struct error *err)
{
	struct node_seen *ret = to;

	ret->id = query_u64(q);
	ret->epoch = query_u64(q);
	ret->lease_left_us = query_int(q);
	ret->draining = query_int(q) != 0;
	ret->floor = query_u64(q);
	ret->driven = (unsigned)query_u64(q);
	query_text(q, ret->address, sizeof(ret->address));
	query_text(q, ret->version, sizeof(ret->version));
	query_text(q, ret->config, sizeof(ret->config));
	return query_row_ok(q, err);
}

bool store_node_list(struct db *db, struct node_seen **ret, size_t *ret_n, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	if (!asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_node_list, VALUES() }), err))
		return false;
	*ret = query_rows(&a.of[0], seen_read, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}

bool store_node_clock(struct db *db, int64_t now_ms, int64_t *ret_ahead_ms, struct error *err)
{
	int64_t theirs;

	if (!ask_number(db, SQL_node_clock, VALUES(), &theirs, err))
		return false;
	*ret_ahead_ms = now_ms - theirs;
	return true;
}
