/* node.c: a node's lease, its upstreams, how it drains, and its sweeps. */
#include "world.h"

#include <string.h>

/* ---- the lease ---- */

bool node_may_send(const struct world *w, const struct node *n)
{
	if (!n->is_entered)
		return false;
	if (breaks(w, MUTANT_DEADLINE_NONE))
		return true;
	if (breaks(w, MUTANT_DEADLINE_WALL))
		return lease_may_send(n->deadline_us, wall_now(w, n));
	return lease_may_send(n->deadline_us, mono_now(w, n));
}

void node_start(struct world *w, struct node *n)
{
	struct op *op;

	n->is_alive = true;
	n->epoch = 1;
	for (unsigned u = 0; u < UPSTREAMS_MAX; u++) {
		n->drives[u].account.limit = w->upstreams[u].limit;
		n->free_since_us[u] = NEVER;
	}
	op = op_new(w, n, OP_ENTER);
	op->predecessor = n->predecessor;
	op_send(w, op);
}

void node_renew_now(struct world *w, struct node *n)
{
	struct op *op;

	if (n->is_renewing)
		return;
	n->is_renewing = true;
	op = op_new(w, n, OP_RENEW);
	op->number = work_floor(w, n);
	op->flag = n->is_draining;
	op_send(w, op);
}

static void renewed(struct world *w, struct node *n, const struct op *op)
{
	int64_t deadline_us = lease_deadline_us(op->asked_mono_us);

	n->is_renewing = false;
	if (op->outcome != DONE) {
		event_add(w, LEASE_RENEW_AGAIN_US, EV_RENEW, op->node, 0, NULL);
		return;
	}
	if (breaks(w, MUTANT_DEADLINE_ANSWER))
		deadline_us = lease_deadline_us(mono_now(w, n));
	if (breaks(w, MUTANT_MARGIN))
		deadline_us += LEASE_MARGIN_US;
	if (breaks(w, MUTANT_DEADLINE_WALL))
		deadline_us = w->db.nodes[op->node + 1].lease_until_us - LEASE_MARGIN_US;
	if (deadline_us > n->deadline_us)
		n->deadline_us = deadline_us;
	event_add(w, LEASE_RENEW_US, EV_RENEW, op->node, 0, NULL);
	node_turn(w, n);
}

/* It is told its row's epoch: all it has is another's, or nobody's. */
static void was_buried(struct world *w, struct node *n, uint64_t epoch)
{
	trace(w, "node %u was buried, goes on as epoch %u", node_number(w, n), (unsigned)epoch);
	if (n->is_draining) {
		n->is_alive = false; /* nothing is left to give back */
		return;
	}
	n->epoch = epoch;
	n->is_renewing = n->is_looking = n->is_claiming = n->is_sweeping = false;
	n->ticket = 0;
	if (!breaks(w, MUTANT_REBIRTH)) {
		n->deadline_us = LEASE_NONE;
		work_drop_all(n);
		for (unsigned u = 0; u < UPSTREAMS_MAX; u++) {
			memset(&n->drives[u], 0, sizeof(n->drives[u]));
			n->drives[u].account.limit = w->upstreams[u].limit;
		}
	}
	node_renew_now(w, n);
	node_look_now(w, n);
}

/* ---- looks ---- */

void node_look_now(struct world *w, struct node *n)
{
	if (n->is_looking) {
		n->looks_again = true;
		return;
	}
	n->is_looking = true;
	n->looks_again = false;
	op_send(w, op_new(w, n, OP_LOOK));
}

static size_t candidates(const struct world *w, const struct look *l, unsigned u,
			 struct upstream_candidate *c)
{
	for (unsigned i = 0; i < w->n_nodes; i++) {
		c[i] = (struct upstream_candidate){
			.node = i + 1,
			.is_able = l->is_live[i + 1] && (w->nodes[i].reach >> u & 1) != 0,
		};
		for (unsigned o = 0; o < w->n_upstreams; o++)
			if (!l->is_gone[o] && l->upstreams[o].node == i + 1)
				c[i].driven++;
	}
	return w->n_nodes;
}

static bool drains_any(const struct node *n)
{
	for (unsigned u = 0; u < UPSTREAMS_MAX; u++)
		if (n->drives[u].is_held && n->drives[u].is_draining)
			return true;
	return false;
}

static void upstream_ask(struct world *w, struct node *n, unsigned u, enum op_kind kind)
{
	struct op *op = op_new(w, n, kind);

	n->drives[u].is_asked = true;
	op->upstream = u;
	op->epoch = n->drives[u].epoch;
	op_send(w, op);
}

static void upstream_looked(struct world *w, struct node *n, struct look *l, unsigned u)
{
	struct upstream_candidate c[NODES_MAX];
	uint64_t me = node_number(w, n);
	struct drive *d = &n->drives[u];
	size_t n_c = candidates(w, l, u, c);
	bool is_mine = l->upstreams[u].node == me && l->upstreams[u].epoch == n->epoch;

	if (!l->is_gone[u])
		n->free_since_us[u] = NEVER;
	else if (n->free_since_us[u] == NEVER)
		n->free_since_us[u] = mono_now(w, n);
	if (d->is_asked || n->is_draining)
		return;
	if (is_mine && !d->is_held) {
		upstream_ask(w, n, u, OP_TAKE);
	} else if (l->is_gone[u] && !d->is_held) {
		if (!upstream_falls_to(me, c, n_c, mono_now(w, n) - n->free_since_us[u]))
			return;
		l->is_gone[u] = false; /* for those that are looked at after it */
		l->upstreams[u] = node_owner(w, n);
		upstream_ask(w, n, u, OP_TAKE);
	} else if (is_mine && !drains_any(n) && !breaks(w, MUTANT_MOVE_NEVER)) {
		d->is_draining = upstream_is_to_move(me, c, n_c);
	}
}

static void looked(struct world *w, struct node *n, struct op *op)
{
	struct look *l = &op->look;

	n->is_looking = false;
	if (n->looks_again)
		event_add(w, 5 * MS, EV_NOTIFY, op->node, 0, NULL);
	if (op->outcome != DONE) {
		if (op->outcome == UNKNOWN)
			n->looks_again = true;
		return;
	}
	for (unsigned b = 0; b < BATCHES_MAX; b++)
		if (l->batches[b] == BATCH_ENDS)
			work_has_ended(w, n, b);
	for (unsigned u = 0; u < w->n_upstreams; u++)
		if ((n->reach >> u & 1) != 0)
			upstream_looked(w, n, l, u);
	n->seen_mine = l->mine;
	n->seen_ended = l->has_free_ended;
	memcpy(n->seen_free, l->has_free, sizeof(n->seen_free));
	node_turn(w, n);
}

/* ---- upstreams ---- */

static void taken(struct world *w, struct node *n, const struct op *op)
{
	struct drive *d = &n->drives[op->upstream];

	d->is_asked = false;
	if (op->outcome != DONE)
		return; /* a look tells */
	d->is_held = true;
	d->is_draining = n->is_draining;
	d->epoch = op->epoch_now;
	node_turn(w, n);
}

static void released(struct world *w, struct node *n, const struct op *op)
{
	struct drive *d = &n->drives[op->upstream];

	d->is_asked = d->is_held = d->is_draining = false;
	node_turn(w, n);
}

static void upstreams_turn(struct world *w, struct node *n)
{
	for (unsigned u = 0; u < w->n_upstreams; u++) {
		struct drive *d = &n->drives[u];

		if (!d->is_held || !d->is_draining || d->is_asked)
			continue;
		if (d->account.in_flight == 0 || breaks(w, MUTANT_RELEASE_EARLY))
			upstream_ask(w, n, u, OP_RELEASE);
	}
}

/* ---- drain ---- */

void node_drain(struct world *w, struct node *n)
{
	if (n->is_draining || !n->is_alive)
		return;
	trace(w, "node %u drains", node_number(w, n));
	w->figures.drains++;
	n->is_draining = true;
	n->drain_since_us = mono_now(w, n);
	if (!n->is_entered || breaks(w, MUTANT_DRAIN)) {
		n->is_alive = false;
		truth_drained(w, n);
		return;
	}
	for (unsigned u = 0; u < UPSTREAMS_MAX; u++)
		n->drives[u].is_draining = true;
	node_renew_now(w, n);
	event_add(w, DRAIN_LINES_US + MS, EV_WAKE, node_number(w, n) - 1, 0, NULL);
	event_add(w, DRAIN_ALL_US + MS, EV_WAKE, node_number(w, n) - 1, 0, NULL);
	node_turn(w, n);
}

static void drain_turn(struct world *w, struct node *n)
{
	int64_t drained_us = mono_now(w, n) - n->drain_since_us;
	bool has_drives = false;

	if (drained_us >= DRAIN_ALL_US) {
		node_kill(w, n); /* its lease ends as that of any dead node */
		return;
	}
	for (unsigned i = 0; drained_us >= DRAIN_LINES_US && i < SPANS_MAX; i++)
		if (n->holds[i].in_flight > 0)
			work_drop_lines(w, n, i);
	upstreams_turn(w, n);
	for (unsigned u = 0; u < w->n_upstreams; u++)
		has_drives |= n->drives[u].is_held || n->drives[u].is_asked;
	if (n->is_leaving || has_drives || n->is_claiming || !work_is_none(n))
		return;
	n->is_leaving = true;
	op_send(w, op_new(w, n, OP_LEAVE));
}

void node_turn(struct world *w, struct node *n)
{
	if (!n->is_alive || !n->is_entered)
		return;
	work_turn(w, n);
	upstreams_turn(w, n);
	if (n->is_draining && n->is_alive)
		drain_turn(w, n);
}

/* ---- sweeps: list, mark, delete; several nodes at a time do no harm ---- */

void node_sweep(struct world *w, struct node *n)
{
	event_add(w, SIM_SWEEP_US, EV_SWEEP, node_number(w, n) - 1, 0, NULL);
	if (n->is_sweeping || !n->is_entered || n->is_draining)
		return;
	n->is_sweeping = true;
	op_send(w, op_new(w, n, OP_LIST));
}

static void swept(struct world *w, struct node *n, const struct op *op)
{
	struct op *next;

	n->is_sweeping = false;
	if (op->outcome != DONE || op->kind == OP_DELETE)
		return;
	n->is_sweeping = true;
	next = op_new(w, n, op->kind == OP_LIST ? OP_MARK : OP_DELETE);
	memcpy(next->names, op->names, sizeof(next->names));
	op_send(w, next);
}

/* ---- answers ---- */

static bool is_asked_again(const struct op *op)
{
	switch (op->kind) {
	case OP_ENTER:
	case OP_RELEASE:
	case OP_SETTLE:
	case OP_GIVE_BACK:
	case OP_FINISH:
	case OP_LEAVE:
	case OP_PUT:
	case OP_READ:
		return op->outcome == UNKNOWN || op->outcome == READ_ONLY;
	default:
		return false;
	}
}

static void entered(struct world *w, struct node *n)
{
	trace(w, "node %u is up, reaches %x", node_number(w, n), n->reach);
	n->is_entered = true;
	node_renew_now(w, n);
	event_add(w, 0, EV_LOOK, node_number(w, n) - 1, 0, NULL);
	event_add(w, between(0, SIM_SWEEP_US), EV_SWEEP, node_number(w, n) - 1, 0, NULL);
}

void node_answer(struct world *w, struct node *n, struct op *op)
{
	bool is_known = op->outcome == DONE || op->outcome == REFUSED;

	if (op->node_epoch != n->epoch)
		return;                         /* asked before it was buried */
	if (is_known && op->kind == OP_ENTER) { /* it may be buried before it is up */
		n->epoch = op->node_epoch_now;
		entered(w, n);
		return;
	}
	if (is_known && op->kind < OP_BUCKET && op->node_epoch_now > op->node_epoch) {
		if (op->kind == OP_LEAVE) {
			n->is_alive = false;
			truth_drained(w, n);
			return;
		}
		was_buried(w, n, op->node_epoch_now);
		return;
	}
	if (is_asked_again(op) && !(op->kind == OP_SETTLE && breaks(w, MUTANT_SETTLE_TWICE))) {
		op_again(w, op);
		return;
	}
	switch (op->kind) {
	case OP_RENEW:
		renewed(w, n, op);
		break;
	case OP_LOOK:
		looked(w, n, op);
		break;
	case OP_TAKE:
		taken(w, n, op);
		break;
	case OP_RELEASE:
		released(w, n, op);
		break;
	case OP_MARK:
	case OP_LIST:
	case OP_DELETE:
		swept(w, n, op);
		break;
	case OP_ENTER:
	case OP_LEAVE:
		break;
	default:
		work_answer(w, n, op);
		break;
	}
}
