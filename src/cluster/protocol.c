#include "cluster/protocol.h"

/* ---- a node ---- */

int64_t lease_deadline_us(int64_t asked_mono_us)
{
	return asked_mono_us + LEASE_US - LEASE_MARGIN_US;
}

bool lease_may_send(int64_t deadline_us, int64_t mono_us)
{
	return mono_us < deadline_us;
}

bool account_may_send(const struct upstream_account *a)
{
	return a->in_flight < a->limit && a->in_flight + a->answered < 2 * a->limit;
}

bool upstream_falls_to(uint64_t node, const struct upstream_candidate *c, size_t n,
		       int64_t free_for_us)
{
	const struct upstream_candidate *least = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!c[i].is_able)
			continue;
		if (c[i].node == node && free_for_us >= UPSTREAM_FREE_US)
			return true;
		if (least == NULL || c[i].driven < least->driven ||
		    (c[i].driven == least->driven && c[i].node < least->node))
			least = &c[i];
	}
	return least != NULL && least->node == node;
}

bool upstream_is_to_move(uint64_t node, const struct upstream_candidate *c, size_t n)
{
	unsigned driven = 0;

	for (size_t i = 0; i < n; i++)
		if (c[i].node == node)
			driven = c[i].driven;
	for (size_t i = 0; i < n; i++)
		if (c[i].is_able && c[i].node != node && c[i].driven + 2 <= driven)
			return true;
	return false;
}

enum span_step span_next_step(const struct span_account *a)
{
	if (a->answered > 0)
		return SPAN_WAITS;
	if (a->done == a->lines)
		return SPAN_IS_WRITTEN;
	if (a->in_flight > 0)
		return SPAN_WAITS;
	if (a->has_ended)
		return SPAN_IS_WRITTEN;
	return a->is_unwanted ? SPAN_IS_GIVEN_BACK : SPAN_GOES_ON;
}

/* ---- transactions: nodes ---- */

bool node_is_current(const struct node_row *row, uint64_t epoch)
{
	return row->epoch == epoch && epoch > 0;
}

bool node_is_live(const struct node_row *row, uint64_t epoch, int64_t now_us)
{
	return node_is_current(row, epoch) && row->lease_until_us > now_us;
}

bool node_enter(struct node_row *row, int64_t now_us)
{
	if (row->epoch > 0)
		return false;
	*row = (struct node_row){ .epoch = 1,
				  .lease_until_us = now_us + LEASE_US,
				  .held_since_us = now_us };
	return true;
}

bool node_renew(struct node_row *row, uint64_t epoch, uint64_t floor, bool draining, int64_t now_us)
{
	if (!node_is_current(row, epoch))
		return false;
	if (row->lease_until_us < now_us + LEASE_US - LEASE_GAP_US)
		row->held_since_us = now_us;
	row->lease_until_us = now_us + LEASE_US;
	row->draining = draining;
	if (floor > row->floor)
		row->floor = floor;
	return true;
}

bool node_may_bury(const struct node_row *mine, uint64_t epoch, int64_t now_us)
{
	return node_is_live(mine, epoch, now_us + LEASE_US - LEASE_GAP_US) &&
	       mine->held_since_us < now_us - LEASE_GRACE_US;
}

static void node_next_epoch(struct node_row *row)
{
	*row = (struct node_row){ .epoch = row->epoch + 1, .lease_until_us = LEASE_NONE };
}

bool node_bury(struct node_row *row, int64_t now_us)
{
	if (row->epoch == 0 || row->lease_until_us == LEASE_NONE || row->lease_until_us >= now_us)
		return false;
	node_next_epoch(row);
	return true;
}

bool node_leave(struct node_row *row, uint64_t epoch)
{
	if (!node_is_current(row, epoch))
		return false;
	node_next_epoch(row);
	return true;
}

bool owner_is_gone(const struct owner *owner, const struct node_row *row)
{
	return owner->node == NOBODY || row->epoch != owner->epoch;
}

static bool owner_is(const struct owner *owner, struct owner me)
{
	return owner->node == me.node && owner->epoch == me.epoch;
}

/* ---- transactions: upstreams ---- */

bool upstream_take(struct upstream_row *row, struct owner me, const struct node_row *mine,
		   const struct node_row *owners, int64_t now_us)
{
	if (!node_is_live(mine, me.epoch, now_us))
		return false;
	if (owner_is(&row->owner, me))
		return true;
	if (!owner_is_gone(&row->owner, owners))
		return false;
	row->owner = me;
	row->epoch++;
	return true;
}

bool upstream_release(struct upstream_row *row, struct owner me, uint64_t epoch)
{
	if (!owner_is(&row->owner, me) || row->epoch != epoch)
		return false;
	row->owner = (struct owner){ NOBODY, 0 };
	return true;
}

/* ---- transactions: spans ---- */

bool ticket_take(struct node_row *mine, uint64_t epoch, uint64_t ticket, int64_t now_us)
{
	if (!node_is_live(mine, epoch, now_us) || ticket <= mine->ticket)
		return false;
	mine->ticket = ticket;
	return true;
}

bool span_claim(struct span_row *span, struct owner me, const struct node_row *owners, bool is_held)
{
	bool is_lost_answer = owner_is(&span->owner, me) && !is_held;

	if (span->is_finished || !(owner_is_gone(&span->owner, owners) || is_lost_answer))
		return false;
	span->owner = me;
	span->epoch++;
	return true;
}

bool span_is_held(const struct span_row *span, struct owner me, uint64_t epoch,
		  const struct node_row *mine)
{
	return node_is_current(mine, me.epoch) && !span->is_finished &&
	       owner_is(&span->owner, me) && span->epoch == epoch;
}

bool span_give_back(struct span_row *span, struct owner me, uint64_t epoch,
		    const struct node_row *mine)
{
	if (!span_is_held(span, me, epoch, mine))
		return false;
	span->owner = (struct owner){ NOBODY, 0 };
	return true;
}

bool span_finish(struct span_row *span, struct owner me, uint64_t epoch,
		 const struct node_row *mine)
{
	if (!span_is_held(span, me, epoch, mine))
		return false;
	span->is_finished = true;
	return true;
}

/* ---- garbage ---- */

bool object_is_out_of_reach(const struct object_name *name, const struct node_row *row)
{
	return owner_is_gone(&name->owner, row) || name->number < row->floor;
}

enum object_fate object_fate(const struct object_name *name, const struct node_row *row,
			     bool is_named, int64_t seen_us, int64_t now_us, int64_t age_us)
{
	if (is_named || !object_is_out_of_reach(name, row))
		return OBJECT_STAYS;
	if (seen_us == LEASE_NONE)
		return OBJECT_IS_MARKED;
	return seen_us < now_us - age_us ? OBJECT_GOES : OBJECT_STAYS;
}
