/* op.c: requests to the database and the bucket, and all that may become of one on its way. A node
 * knows an outcome, or that it does not know it: then the request was carried out, may yet be, or
 * never will. */
#include "world.h"

#include <assert.h>

struct op *op_new(struct world *w, struct node *n, enum op_kind kind)
{
	struct op *op = w->free_ops;

	if (op != NULL) {
		w->free_ops = op->next_free;
	} else {
		assert(w->n_ops < OPS_MAX);
		op = &w->ops[w->n_ops++];
	}
	/* Not the union and the pieces: whoever answers fills them. */
	op->kind = kind;
	op->node = (unsigned)(n - w->nodes);
	op->node_epoch = n->epoch;
	op->refs = 0;
	op->is_done = false;
	op->outcome = op->applied = UNKNOWN;
	op->fails_fast = false;
	op->flag = false;
	op->predecessor = NOBODY;
	op->node_epoch_now = 0;
	op->epoch = op->epoch_now = op->number = 0;
	op->lost = op->held = 0;
	op->n_pieces = 0;
	op->asked_mono_us = mono_now(w, n);
	op->asked_us = w->now_us;
	return op;
}

void op_forget(struct world *w, struct op *op)
{
	assert(op->refs > 0);
	if (--op->refs > 0)
		return;
	op->next_free = w->free_ops;
	w->free_ops = op;
}

static void op_event(struct world *w, struct op *op, int64_t after_us, enum event_kind kind)
{
	op->refs++;
	event_add(w, after_us, kind, op->node, 0, op);
}

/* One way, without faults: mostly short, now and then not. */
static int64_t way_us(void)
{
	uint32_t c = chance(100);

	if (c < 90)
		return between(300, 4 * MS);
	return c < 98 ? between(4 * MS, 40 * MS) : between(40 * MS, 400 * MS);
}

static bool is_cut(const struct node *n, const struct op *op)
{
	return op->kind < OP_BUCKET ? n->is_cut_db : n->is_cut_bucket;
}

void op_send(struct world *w, struct op *op)
{
	const struct scenario *s = &w->scenario;
	struct node *n = &w->nodes[op->node];
	int64_t to_us = way_us();
	int64_t timeout_us = op->kind == OP_RENEW ? LEASE_RENEW_TIMEOUT_US : OP_TIMEOUT_US;
	bool is_lost = is_cut(n, op), may_fail = !w->is_calm;

	w->figures.transactions += op->kind < OP_BUCKET ? 1 : 0;
	op->back_us = way_us();
	if (may_fail && happens(s->lost)) {
		is_lost = true;
		truth_disturbed(w, n, OP_TIMEOUT_US);
	} else if (may_fail && happens(s->late)) {
		to_us = between(OP_TIMEOUT_US / 4, s->late_us);
		truth_disturbed(w, n, to_us);
		fault_beside(w, n);
	} else if (may_fail && happens(s->broken)) {
		op->fails_fast = true; /* done, and the connection breaks before the answer */
		truth_disturbed(w, n, OP_TIMEOUT_US);
	} else if (may_fail && happens(s->answer_lost)) {
		op->back_us = NEVER;
		truth_disturbed(w, n, OP_TIMEOUT_US);
	}
	if (!is_lost)
		op_event(w, op, to_us, EV_APPLY);
	op_event(w, op, timeout_us, EV_TIMEOUT);
}

/* The same once more, after a while: its outcome was not known, or the database took no writes. */
void op_again(struct world *w, const struct op *op)
{
	struct op *again = op_new(w, &w->nodes[op->node], op->kind);
	struct op *next_free = again->next_free;

	*again = *op;
	again->next_free = next_free;
	again->refs = 0;
	again->is_done = again->fails_fast = false;
	op_event(w, again, DROP_AGAIN_US, EV_RETRY_OP);
}

/* It reaches its store. */
void op_arrive(struct world *w, struct op *op)
{
	bool is_db = op->kind < OP_BUCKET;

	if (is_db ? w->db.is_down : w->bucket.is_down)
		return; /* nobody answers */
	if (is_db && w->db.is_read_only)
		op->applied = READ_ONLY;
	else if (is_db)
		database_apply(w, op);
	else
		bucket_apply(w, op);
	if (op->is_done || op->back_us == NEVER || is_cut(&w->nodes[op->node], op))
		return;
	if (op->fails_fast)
		op->applied = UNKNOWN;
	op_event(w, op, op->back_us, EV_ANSWER);
}

/* The node has its answer, or gives it up; what comes later is for nobody. */
void op_end(struct world *w, struct op *op, enum outcome outcome)
{
	struct node *n = &w->nodes[op->node];

	if (op->is_done)
		return;
	op->is_done = true;
	op->outcome = outcome;
	w->figures.unknown += outcome == UNKNOWN ? 1 : 0;
	node_answer(w, n, op);
}
