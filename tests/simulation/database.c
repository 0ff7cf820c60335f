/* database.c: PostgreSQL as one serial store with a clock of its own. A transaction is a function
 * over rows, and decides by cluster/protocol.h; a mutant leaves out a part of a WHERE. */
#include "world.h"

#include <assert.h>
#include <string.h>

static struct owner asker(const struct op *op)
{
	return (struct owner){ op->node + 1, op->node_epoch };
}

static struct node_row *row_of(struct world *w, const struct op *op)
{
	return &w->db.nodes[op->node + 1];
}

void notify_all(struct world *w)
{
	for (unsigned i = 0; i < w->n_nodes; i++) {
		if (!w->nodes[i].is_alive || w->nodes[i].is_cut_db)
			continue;
		if (!w->is_calm && happens(w->scenario.missed_notify))
			continue;
		event_add(w, between(300, 5 * MS), EV_NOTIFY, i, 0, NULL);
	}
}

/* ---- nodes ---- */

static void enter(struct world *w, struct op *op)
{
	if (node_enter(row_of(w, op), db_now(w)))
		w->truth.renewed_us[op->node + 1] = w->now_us;
	if (op->predecessor != NOBODY) {
		struct node_row *before = &w->db.nodes[op->predecessor];

		if (before->epoch > 0 && before->lease_until_us != LEASE_NONE &&
		    node_leave(before, before->epoch)) {
			truth_buried(w, op->predecessor, false);
			notify_all(w);
		}
	}
	op->applied = DONE;
}

static void renew(struct world *w, struct op *op)
{
	uint64_t floor = breaks(w, MUTANT_GARBAGE_FLOOR) ? 0 : op->number;

	op->applied = REFUSED;
	if (!node_renew(row_of(w, op), op->node_epoch, floor, op->flag, db_now(w)))
		return;
	w->truth.renewed_us[op->node + 1] = w->now_us;
	op->applied = DONE;
}

static void leave(struct world *w, struct op *op)
{
	op->applied = DONE;
	if (!node_leave(row_of(w, op), op->node_epoch))
		return;
	truth_buried(w, op->node + 1, false);
	notify_all(w);
}

/* ---- looks ---- */

static void bury_others(struct world *w, struct op *op)
{
	const struct node_row *mine = row_of(w, op);
	bool may = node_may_bury(mine, op->node_epoch, db_now(w));
	bool any = false;

	if (breaks(w, MUTANT_BURY_GRACE))
		may = node_is_live(mine, op->node_epoch, db_now(w));
	for (unsigned i = 1; may && i <= w->n_nodes; i++) {
		int64_t now_us = db_now(w);

		if (breaks(w, MUTANT_BURY_EARLY))
			now_us = wall_now(w, &w->nodes[op->node]);
		if (i == op->node + 1 || !node_bury(&w->db.nodes[i], now_us))
			continue;
		truth_buried(w, i, true);
		any = true;
	}
	if (any)
		notify_all(w);
}

static void windows_end(struct world *w)
{
	for (unsigned i = 0; i < BATCHES_MAX; i++) {
		struct batch *b = &w->db.batches[i];

		if (b->state != BATCH_RUNS || b->until_us > db_now(w))
			continue;
		b->state = BATCH_ENDS;
		notify_all(w);
	}
}

static bool is_in_my_name(const struct span *s, const struct op *op)
{
	return !s->row.is_finished && s->row.owner.node == op->node + 1 &&
	       s->row.owner.epoch == op->node_epoch;
}

static bool is_free(const struct world *w, const struct span *s)
{
	if (s->row.is_finished)
		return false;
	return breaks(w, MUTANT_CLAIM_LEASE) ||
	       owner_is_gone(&s->row.owner, &w->db.nodes[s->row.owner.node]);
}

static void look(struct world *w, struct op *op)
{
	struct look *l = &op->look;

	bury_others(w, op);
	windows_end(w);
	memset(l, 0, sizeof(*l));
	for (unsigned i = 1; i <= w->n_nodes; i++)
		l->is_live[i] = w->db.nodes[i].lease_until_us > db_now(w) &&
				!w->db.nodes[i].draining;
	for (unsigned u = 0; u < w->n_upstreams; u++) {
		const struct owner *owner = &w->db.upstreams[u].owner;

		l->upstreams[u] = *owner;
		l->is_gone[u] = owner_is_gone(owner, &w->db.nodes[owner->node]);
	}
	for (unsigned b = 0; b < BATCHES_MAX; b++)
		l->batches[b] = w->db.batches[b].state;
	for (unsigned i = 0; i < w->db.n_spans; i++) {
		const struct span *s = &w->db.spans[i];
		const struct batch *b = &w->db.batches[s->batch];

		if (is_in_my_name(s, op))
			l->mine |= 1u << i;
		else if (is_free(w, s) && b->state == BATCH_ENDS)
			l->has_free_ended = true;
		else if (is_free(w, s) && b->state == BATCH_RUNS)
			l->has_free[b->model] = true;
	}
	op->applied = DONE;
}

/* ---- upstreams ---- */

static void take(struct world *w, struct op *op)
{
	struct upstream_row *row = &w->db.upstreams[op->upstream];
	uint64_t before = row->epoch;

	op->applied = REFUSED;
	if (breaks(w, MUTANT_TAKE_LEASE) && row->owner.node != op->node + 1)
		row->owner = (struct owner){ NOBODY, 0 };
	if (!upstream_take(row, asker(op), row_of(w, op), &w->db.nodes[row->owner.node], db_now(w)))
		return;
	op->applied = DONE;
	op->epoch_now = row->epoch;
	if (row->epoch != before)
		truth_taken(w, op->upstream, row->owner, row->epoch);
}

static void release(struct world *w, struct op *op)
{
	struct upstream_row *row = &w->db.upstreams[op->upstream];
	uint64_t epoch = breaks(w, MUTANT_RELEASE_EPOCH) ? row->epoch : op->epoch;
	struct owner by = breaks(w, MUTANT_RELEASE_EPOCH) ? row->owner : asker(op);

	op->applied = REFUSED;
	if (row->owner.node == NOBODY || !upstream_release(row, by, epoch))
		return;
	op->applied = DONE;
	truth_released(w, op->upstream, op);
	notify_all(w);
}

/* ---- spans ---- */

static bool claim_one(struct world *w, struct op *op, unsigned i, bool is_mine)
{
	struct span *s = &w->db.spans[i];
	const struct node_row *owners = &w->db.nodes[s->row.owner.node];

	if (breaks(w, MUTANT_CLAIM_LEASE) && !is_mine)
		s->row.owner = (struct owner){ NOBODY, 0 };
	if (!span_claim(&s->row, asker(op), owners, (op->held >> i & 1) != 0))
		return false;
	truth_claimed(w, i, asker(op), s->row.epoch);
	op->span = (uint16_t)i;
	op->epoch_now = s->row.epoch;
	op->batch_state = w->db.batches[s->batch].state;
	op->n_pieces = breaks(w, MUTANT_CLAIM_PIECES) ? op->n_before[i] : s->n_pieces;
	memcpy(op->pieces, s->pieces, op->n_pieces * sizeof(s->pieces[0]));
	return true;
}

/* Mine first, then those of batches that have ended, then in order. `models`: in op->object. */
static bool claim_best(struct world *w, struct op *op)
{
	for (unsigned rank = 0; rank < 3; rank++) {
		for (unsigned i = 0; i < w->db.n_spans; i++) {
			const struct span *s = &w->db.spans[i];
			const struct batch *b = &w->db.batches[s->batch];
			bool is_mine = is_in_my_name(s, op);

			if (b->state != BATCH_RUNS && b->state != BATCH_ENDS)
				continue;
			if (rank == 0 && !(is_mine && (op->held >> i & 1) == 0 &&
					   !breaks(w, MUTANT_CLAIM_ANSWER)))
				continue;
			if (rank > 0 && (is_mine || !is_free(w, s)))
				continue;
			if (rank == 1 && b->state != BATCH_ENDS)
				continue;
			if (rank == 2 && (op->object >> b->model & 1) == 0)
				continue;
			if (claim_one(w, op, i, is_mine))
				return true;
		}
	}
	return false;
}

static void claim(struct world *w, struct op *op)
{
	struct node_row *mine = row_of(w, op);
	bool may = breaks(w, MUTANT_CLAIM_TICKET)
			   ? node_is_live(mine, op->node_epoch, db_now(w))
			   : ticket_take(mine, op->node_epoch, op->number, db_now(w));

	if (breaks(w, MUTANT_CLAIM_NODE))
		may = true;
	op->applied = may && claim_best(w, op) ? DONE : REFUSED;
}

static bool held(const struct world *w, const struct op *op, unsigned i, uint64_t epoch,
		 enum mutant none, enum mutant no_node)
{
	const struct span *s = &w->db.spans[i];
	struct node_row as_if = { .epoch = op->node_epoch };
	const struct node_row *mine = breaks(w, no_node) ? &as_if : &w->db.nodes[op->node + 1];

	if (breaks(w, none))
		return !s->row.is_finished;
	return span_is_held(&s->row, asker(op), epoch, mine);
}

/* Whether the piece's row is new. */
static bool piece_insert(struct span *s, uint16_t key)
{
	for (unsigned i = 0; i < s->n_pieces; i++)
		if (s->pieces[i] == key)
			return false;
	assert(s->n_pieces < PIECES_MAX);
	s->pieces[s->n_pieces++] = key;
	return true;
}

static void settle(struct world *w, struct op *op)
{
	const struct object *o = &w->objects[op->object];

	op->lost = 0;
	op->applied = DONE;
	for (unsigned i = 0; i < o->n_pieces; i++) {
		const struct piece *p = &o->pieces[i];
		struct span *s = &w->db.spans[p->span];

		if (!held(w, op, p->span, p->epoch, MUTANT_SETTLE_EPOCH, MUTANT_SETTLE_NODE)) {
			op->lost |= 1u << i;
			w->figures.refused++;
			continue;
		}
		bool is_new = piece_insert(s, o->key);
		w->db.was_named[o->key] = true;
		truth_settled(w, op, p, is_new);
		if (!is_new && !breaks(w, MUTANT_SETTLE_COUNTS))
			continue;
		for (unsigned at = p->first; at < p->first + p->n; at++) {
			if (line_errs(o->entries[at].line))
				s->counts.failed++;
			else
				s->counts.completed++;
		}
	}
}

static void give_back(struct world *w, struct op *op)
{
	struct span_row *row = &w->db.spans[op->span].row;

	op->applied = REFUSED;
	if (breaks(w, MUTANT_GIVE_BACK_EPOCH) && !row->is_finished)
		row->owner = (struct owner){ NOBODY, 0 };
	else if (!span_give_back(row, asker(op), op->epoch, row_of(w, op)))
		return;
	op->applied = DONE;
	truth_given_back(w, op);
	notify_all(w);
}

static void finish(struct world *w, struct op *op)
{
	struct span *s = &w->db.spans[op->span];
	struct batch *b = &w->db.batches[s->batch];
	unsigned open = 0;

	op->applied = REFUSED;
	if (!held(w, op, op->span, op->epoch, MUTANT_FINISH_EPOCH, MUTANT_FINISH_EPOCH))
		return;
	s->row.is_finished = true;
	s->output = op->object != NONE ? w->objects[op->object].key : NONE;
	s->errors = op->object2 != NONE ? w->objects[op->object2].key : NONE;
	for (unsigned i = 0; i < 2; i++) {
		uint16_t o = i == 0 ? op->object : op->object2;

		if (o == NONE)
			continue;
		w->db.was_named[w->objects[o].key] = true;
		for (unsigned at = 0; at < w->objects[o].n; at++)
			s->counts.failed += w->objects[o].entries[at].attempt == ENTRY_FILLED;
	}
	truth_finished(w, op);
	s->n_pieces = 0;
	op->applied = DONE;
	for (unsigned i = 0; i < b->n_spans; i++)
		open += w->db.spans[b->first_span + i].row.is_finished ? 0 : 1;
	if (breaks(w, MUTANT_FINISH_UNLOCKED) ? op->flag : open == 0)
		b->state = BATCH_IS_OVER;
}

/* ---- garbage ---- */

/* Some row names this object. */
bool database_names(const struct world *w, unsigned key)
{
	for (unsigned i = 0; i < w->db.n_spans; i++) {
		const struct span *s = &w->db.spans[i];

		if (w->db.batches[s->batch].is_deleted)
			continue;
		if (s->row.is_finished && (s->output == key || s->errors == key))
			return true;
		for (unsigned at = 0; at < s->n_pieces; at++)
			if (s->pieces[at] == key)
				return true;
	}
	return false;
}

/* What a reader of a batch's results would go on to read. */
void database_keys_of(const struct world *w, unsigned batch, uint64_t *names)
{
	const struct batch *b = &w->db.batches[batch];

	for (unsigned i = b->first_span; i < b->first_span + b->n_spans && !b->is_deleted; i++) {
		const struct span *s = &w->db.spans[i];

		for (unsigned at = 0; at < s->n_pieces; at++)
			names[s->pieces[at] / 64] |= UINT64_C(1) << s->pieces[at] % 64;
		if (s->output != NONE)
			names[s->output / 64] |= UINT64_C(1) << s->output % 64;
		if (s->errors != NONE)
			names[s->errors / 64] |= UINT64_C(1) << s->errors % 64;
	}
}

static enum object_fate fate_of(const struct world *w, unsigned key)
{
	const struct object *o = &w->objects[w->bucket.objects[key]];
	const struct node_row *row = &w->db.nodes[o->name.owner.node];
	struct node_row as_if = { 0 };
	int64_t seen_us = w->db.seen_us[key];
	int64_t now_us = db_now(w);

	if (breaks(w, MUTANT_GARBAGE_ROWS) && !w->db.was_named[key])
		return OBJECT_STAYS;
	if (breaks(w, MUTANT_GARBAGE_AGE))
		row = &as_if;
	if (breaks(w, MUTANT_GARBAGE_SEEN))
		seen_us = o->put_us;
	return object_fate(&o->name, row, database_names(w, key), seen_us, now_us, SIM_GARBAGE_US);
}

/* Of what was listed: marks, and answers what goes. */
static void mark(struct world *w, struct op *op)
{
	for (unsigned key = 0; key < w->n_objects; key++) {
		uint64_t bit = UINT64_C(1) << key % 64;

		if ((op->names[key / 64] & bit) == 0)
			continue;
		op->names[key / 64] &= ~bit;
		if (w->bucket.objects[key] == NONE)
			continue; /* gone since; the name alone would tell as much */
		enum object_fate fate = fate_of(w, key);
		if (fate == OBJECT_IS_MARKED)
			w->db.seen_us[key] = db_now(w);
		else if (fate == OBJECT_GOES)
			op->names[key / 64] |= bit;
	}
	op->applied = DONE;
}

/* ---- all ---- */

void database_apply(struct world *w, struct op *op)
{
	static void (*const does[])(struct world *, struct op *) = {
		[OP_ENTER] = enter,   [OP_RENEW] = renew,         [OP_LOOK] = look,
		[OP_TAKE] = take,     [OP_RELEASE] = release,     [OP_CLAIM] = claim,
		[OP_SETTLE] = settle, [OP_GIVE_BACK] = give_back, [OP_FINISH] = finish,
		[OP_LEAVE] = leave,   [OP_MARK] = mark,
	};

	does[op->kind](w, op);
	op->node_epoch_now = row_of(w, op)->epoch;
}
