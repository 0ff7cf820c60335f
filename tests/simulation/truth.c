/* truth.c: what must hold. It judges by what really happened: who owns what since which
 * transaction, which lines were sent, which commit was the first to have them. Rows of the
 * database, which a broken rule would spoil, it reads only to compare. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>

void truth_broken(struct world *w, const char *rule, const char *detail, ...)
{
	va_list args;

	if (w->truth.broken != NULL)
		return;
	w->truth.broken = rule;
	w->truth.broken_us = w->now_us;
	va_start(args, detail);
	vsnprintf(w->truth.detail, sizeof(w->truth.detail), detail, args);
	va_end(args);
	trace(w, "BROKEN: %s: %s", rule, w->truth.detail);
}

/* `n`: whose fault it is alone; NULL: everybody's. */
void truth_disturbed(struct world *w, struct node *n, int64_t for_us)
{
	w->truth.disturbances++;
	if (w->now_us + for_us > w->truth.calm_from_us)
		w->truth.calm_from_us = w->now_us + for_us;
	if (n != NULL && w->now_us + for_us > n->trouble_us)
		n->trouble_us = w->now_us + for_us;
}

static bool is_tenure(const struct tenure *t, unsigned node, uint64_t node_epoch, uint64_t epoch)
{
	return t->node == node && t->node_epoch == node_epoch && t->epoch == epoch;
}

static bool is_buried(const struct world *w, const struct tenure *t)
{
	return t->node == NOBODY || t->node_epoch < w->truth.buried[t->node];
}

/* ---- upstreams ---- */

void truth_taken(struct world *w, unsigned upstream, struct owner by, uint64_t epoch)
{
	struct tenure *t = &w->truth.upstreams[upstream];

	trace(w, "upstream %u is driven by %u", upstream, (unsigned)by.node);
	if (!is_buried(w, t))
		truth_broken(w, "an upstream is taken from a node that drives it",
			     "upstream %u, of node %u by %u", upstream, t->node, (unsigned)by.node);
	*t = (struct tenure){ (unsigned)by.node, by.epoch, epoch };
	w->truth.taken_us[upstream] = w->now_us;
}

void truth_released(struct world *w, unsigned upstream, const struct op *op)
{
	struct tenure *t = &w->truth.upstreams[upstream];
	const struct node *n = &w->nodes[op->node];

	trace(w, "upstream %u is released by %u", upstream, op->node + 1);
	if (!is_tenure(t, op->node + 1, op->node_epoch, op->epoch))
		truth_broken(w, "a late release takes an upstream away", "upstream %u", upstream);
	else if (n->drives[upstream].account.in_flight > 0)
		truth_broken(w, "an upstream is released with lines in flight", "upstream %u: %u",
			     upstream, n->drives[upstream].account.in_flight);
	t->node = NOBODY;
}

/* ---- nodes ---- */

/* Lines that will run again: sent in this epoch of the node, and not acknowledged. */
static unsigned lines_lost(const struct world *w, unsigned node, uint64_t epoch)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < w->n_lines; i++) {
		const struct line *l = &w->truth.lines[i];
		const struct attempt *a;

		if (l->last == NONE || l->committed != NONE || l->is_filled)
			continue;
		a = &w->attempts[l->last];
		lost += a->node + 1u == node && a->node_epoch == epoch &&
			(a->state == ATTEMPT_FLIES || a->state == ATTEMPT_ANSWERED);
	}
	return lost;
}

/* `is_by_lease`: by another node, not by its own word. The rows have the next epoch by now. */
void truth_buried(struct world *w, unsigned node, bool is_by_lease)
{
	const struct node *n = &w->nodes[node - 1];
	uint64_t epoch = w->db.nodes[node].epoch - 1;
	unsigned in_flight = 0, limits = 0, lost = lines_lost(w, node, epoch);

	w->truth.buried[node] = epoch + 1;
	if (!is_by_lease)
		return;
	trace(w, "node %u is buried, epoch %u", node, (unsigned)epoch);
	w->figures.burials++;
	for (unsigned u = 0; u < w->n_upstreams && n->epoch == epoch; u++) {
		const struct upstream_account *a = &n->drives[u].account;

		in_flight += a->in_flight;
		limits += n->drives[u].is_held || a->in_flight + a->answered > 0 ? a->limit : 0;
	}
	if (n->epoch == epoch && lost > in_flight + 2 * limits)
		truth_broken(w, "more lines run again than were in flight and twice the limit",
			     "node %u: %u, %u in flight", node, lost, in_flight);
	/* An outage that all had is no reason. Between two of them, perhaps not all were served. */
	if (n->is_alive && w->truth.outage_before_us < w->truth.renewed_us[node] &&
	    n->trouble_us < w->truth.renewed_us[node])
		truth_broken(w, "a node is buried that was as well as the others", "node %u", node);
}

/* ---- spans ---- */

void truth_claimed(struct world *w, unsigned span, struct owner by, uint64_t epoch)
{
	struct tenure *t = &w->truth.spans[span];

	trace(w, "span %u is claimed by %u, epoch %u", span, (unsigned)by.node, (unsigned)epoch);
	if (!is_buried(w, t) && t->node != by.node)
		truth_broken(w, "a span is taken from a node that owns it", "span %u, of %u by %u",
			     span, t->node, (unsigned)by.node);
	if (by.epoch < w->truth.buried[by.node])
		truth_broken(w, "a buried node claims", "span %u, node %u", span,
			     (unsigned)by.node);
	*t = (struct tenure){ (unsigned)by.node, by.epoch, epoch };
}

static bool is_owner(const struct world *w, const struct op *op, unsigned span, uint64_t epoch)
{
	const struct tenure *t = &w->truth.spans[span];

	return is_tenure(t, op->node + 1, op->node_epoch, epoch) && !is_buried(w, t);
}

void truth_given_back(struct world *w, const struct op *op)
{
	trace(w, "span %u is given back by %u", op->span, op->node + 1);
	if (!is_owner(w, op, op->span, op->epoch))
		truth_broken(w, "a late write takes a span away", "span %u, of node %u by %u",
			     op->span, w->truth.spans[op->span].node, op->node + 1);
	w->truth.spans[op->span].node = NOBODY;
}

static bool is_there(const struct world *w, unsigned object)
{
	return w->bucket.objects[w->objects[object].key] != NONE;
}

void truth_settled(struct world *w, const struct op *op, const struct piece *p, bool is_new)
{
	const struct object *o = &w->objects[op->object];

	if (!is_tenure(&w->truth.spans[p->span], op->node + 1, op->node_epoch, p->epoch))
		truth_broken(w, "a zombie's lines are taken", "span %u, by node %u", p->span,
			     op->node + 1);
	if (!is_there(w, op->object))
		truth_broken(w, "a row names an object that is not there", "chunk %u", o->key);
	for (unsigned i = p->first; is_new && i < p->first + p->n; i++) {
		struct line *l = &w->truth.lines[o->entries[i].line];

		if (l->committed != NONE)
			truth_broken(w, "a line is acknowledged twice", "line %u",
				     o->entries[i].line);
		l->committed = o->entries[i].attempt;
		w->figures.lines++;
	}
}

/* The two parts of a span against what was acknowledged: each line once, in input order. */
static void parts_check(struct world *w, unsigned span, bool may_fill)
{
	const struct span *s = &w->db.spans[span];
	struct counts counts = { 0, 0 };
	unsigned seen = 0;

	for (unsigned p = 0; p < 2; p++) {
		uint16_t key = p == 0 ? s->output : s->errors;
		const struct object *o;
		int before = -1;

		if (key == NONE)
			continue;
		if (w->bucket.objects[key] == NONE) {
			truth_broken(w, "a part is not there", "span %u", span);
			return;
		}
		if (w->bucket.objects[key] != w->truth.parts[span][p])
			truth_broken(w, "a part is not the one that was acknowledged", "span %u",
				     span);
		o = &w->objects[w->bucket.objects[key]];
		for (unsigned i = 0; i < o->n; i++) {
			const struct entry *e = &o->entries[i];
			struct line *l = &w->truth.lines[e->line];
			bool is_filled = e->attempt == ENTRY_FILLED;

			if (span_of(e->line) != span || e->line <= before)
				truth_broken(w, "lines are out of order", "span %u", span);
			before = e->line;
			if (is_filled && (l->committed != NONE || !may_fill))
				truth_broken(w, "an acknowledged line is lost", "line %u", e->line);
			if (!is_filled && l->committed != e->attempt)
				truth_broken(w, "a line in a part was never acknowledged",
					     "line %u", e->line);
			if ((is_filled || line_errs(e->line)) != (p == 1))
				truth_broken(w, "a line is in the wrong file", "line %u", e->line);
			l->is_filled |= is_filled;
			counts.completed += p == 0;
			counts.failed += p == 1;
			seen++;
		}
	}
	if (seen != s->lines)
		truth_broken(w, "a line is missing, or twice in the output", "span %u: %u of %u",
			     span, seen, s->lines);
	if (counts.completed != s->counts.completed || counts.failed != s->counts.failed)
		truth_broken(w, "counts differ from the files",
			     "span %u: %u and %u, counted %u, %u", span, counts.completed,
			     counts.failed, s->counts.completed, s->counts.failed);
}

void truth_finished(struct world *w, const struct op *op)
{
	const struct batch *b = &w->db.batches[w->db.spans[op->span].batch];

	trace(w, "span %u is finished by %u", op->span, op->node + 1);
	if (!is_owner(w, op, op->span, op->epoch))
		truth_broken(w, "a zombie's part is taken", "span %u, by node %u", op->span,
			     op->node + 1);
	w->truth.parts[op->span][0] = op->object;
	w->truth.parts[op->span][1] = op->object2;
	parts_check(w, op->span, b->state == BATCH_ENDS);
	w->truth.spans[op->span].node = NOBODY;
}

/* A node hears that a span is not its own. That happens to those that were buried alone. */
void truth_refused(struct world *w, const struct node *n, unsigned span, uint64_t epoch)
{
	const struct tenure *t = &w->truth.spans[span];
	unsigned number = node_number(w, n);

	if (is_tenure(t, number, n->epoch, epoch) && !is_buried(w, t))
		truth_broken(w, "an owner's object is gone", "span %u", span);
	else if (n->epoch >= w->truth.buried[number])
		truth_broken(w, "a node that was not buried has lost a span", "span %u, node %u",
			     span, number);
}

/* ---- lines ---- */

/* A send after another may drive or own: only by a node that was stopped between its check, which
 * was right, and the send. */
static void stale_send(struct world *w, const struct attempt *a, const char *rule)
{
	int64_t stopped_us = w->now_us - a->checked_us;

	w->figures.stale_sends++;
	if (stopped_us < LEASE_STALE_US)
		truth_broken(w, rule, "line %u, by node %u, %lld ms after its check", a->line,
			     a->node + 1u, (long long)(stopped_us / MS));
}

void truth_sent(struct world *w, unsigned attempt)
{
	const struct attempt *a = &w->attempts[attempt];
	struct line *l = &w->truth.lines[a->line];
	const struct tenure *u = &w->truth.upstreams[a->upstream];
	const struct tenure *s = &w->truth.spans[span_of(a->line)];
	bool drives = is_tenure(u, a->node + 1u, a->node_epoch, a->upstream_epoch) &&
		      !is_buried(w, u);
	bool owns = is_tenure(s, a->node + 1u, a->node_epoch, a->span_epoch) && !is_buried(w, s);

	w->figures.sends++;
	if (!drives)
		stale_send(w, a, "two nodes send to one upstream");
	else if (!owns)
		stale_send(w, a, "a line is sent for a span of another");
	if (drives && owns && l->committed != NONE)
		truth_broken(w, "an acknowledged line is sent again", "line %u", a->line);
	if (l->last != NONE && w->attempts[l->last].state != ATTEMPT_FAILED) {
		const struct attempt *before = &w->attempts[l->last];

		w->figures.sent_again++;
		if (before->node == a->node && before->node_epoch == a->node_epoch &&
		    before->span_epoch == a->span_epoch && before->state != ATTEMPT_DROPPED)
			truth_broken(w, "one owner sends a line twice", "line %u", a->line);
	}
	l->last = (uint16_t)attempt;
	l->sends++;
	truth_account(w, &w->nodes[a->node], a->upstream);
}

void truth_account(struct world *w, const struct node *n, unsigned upstream)
{
	const struct upstream_account *a = &n->drives[upstream].account;

	if (a->in_flight > a->limit)
		truth_broken(w, "more lines are in flight than the limit allows", "upstream %u: %u",
			     upstream, a->in_flight);
	if (a->answered > 2 * a->limit)
		truth_broken(w, "more lines wait to be acknowledged than twice the limit",
			     "upstream %u: %u of %u", upstream, a->answered, a->limit);
}

/* ---- deaths ---- */

static bool is_well(const struct world *w, unsigned number)
{
	const struct node *n = &w->nodes[number - 1];

	return n->is_alive && n->is_entered && !n->is_draining;
}

static bool could_drive(const struct world *w, unsigned upstream)
{
	for (unsigned i = 0; i < w->n_nodes; i++)
		if (is_well(w, i + 1) && (w->nodes[i].reach >> upstream & 1) != 0)
			return true;
	return false;
}

void truth_died(struct world *w, struct node *n)
{
	struct death *d = &w->deaths[w->n_deaths];
	unsigned number = node_number(w, n);

	w->figures.deaths++;
	if (w->now_us < w->truth.calm_from_us || w->n_deaths == ARRAY_LEN(w->deaths)) {
		truth_disturbed(w, n, LEASE_US + 5 * S);
		return;
	}
	*d = (struct death){ .node = number - 1, .at_us = w->now_us, .node_epoch = n->epoch };
	for (unsigned u = 0; u < w->n_upstreams; u++)
		if (w->truth.upstreams[u].node == number && !is_buried(w, &w->truth.upstreams[u]) &&
		    could_drive(w, u))
			d->drove |= 1u << u;
	for (unsigned i = 0; i < w->db.n_spans; i++)
		if (w->truth.spans[i].node == number && !is_buried(w, &w->truth.spans[i]))
			d->owned |= 1u << i;
	truth_disturbed(w, n, LEASE_US + 5 * S);
	d->disturbances = w->truth.disturbances;
	event_add(w, 20 * S, EV_DEATH_CHECK, number - 1, w->n_deaths++, NULL);
}

/* 20 s after a death, with no other fault since: its upstreams are driven, its spans owned, unless
 * there is no slot for them. */
void truth_death_check(struct world *w, const struct death *d)
{
	if (w->truth.disturbances != d->disturbances || w->is_calm)
		return;
	for (unsigned u = 0; u < w->n_upstreams; u++) {
		const struct tenure *t = &w->truth.upstreams[u];

		if ((d->drove >> u & 1) == 0 || !could_drive(w, u))
			continue;
		w->figures.recoveries++;
		if (w->truth.taken_us[u] < d->at_us)
			truth_broken(w, "lines do not go on within 20 s of a death",
				     "nobody drives upstream %u", u);
		if (is_buried(w, t) || !is_well(w, t->node))
			continue; /* it moves, to spread evenly */
		const struct node *n = &w->nodes[t->node - 1];
		bool has_room = account_may_send(&n->drives[u].account);
		for (unsigned i = 0; i < w->db.n_spans; i++) {
			const struct span *s = &w->db.spans[i];
			const struct batch *b = &w->db.batches[s->batch];

			if ((d->owned >> i & 1) == 0 || s->row.is_finished || !has_room ||
			    b->state != BATCH_RUNS || b->model != w->upstreams[u].model)
				continue;
			if (is_buried(w, &w->truth.spans[i]))
				truth_broken(w, "lines do not go on within 20 s of a death",
					     "nobody has span %u", i);
		}
	}
}

void truth_drained(struct world *w, const struct node *n)
{
	unsigned number = node_number(w, n);

	trace(w, "node %u has drained", number);
	for (unsigned i = 0; i < w->db.n_spans; i++)
		if (w->truth.spans[i].node == number && !is_buried(w, &w->truth.spans[i]))
			truth_broken(w, "a node that drained kept a span", "node %u, span %u",
				     number, i);
	for (unsigned u = 0; u < w->n_upstreams; u++)
		if (w->truth.upstreams[u].node == number && !is_buried(w, &w->truth.upstreams[u]))
			truth_broken(w, "a node that drained kept an upstream", "node %u, %u",
				     number, u);
}

/* ---- the end ---- */

static void batch_check(struct world *w, unsigned batch)
{
	const struct batch *b = &w->db.batches[batch];

	if (b->state != BATCH_IS_OVER) {
		truth_broken(w, "a batch never ends", "batch %u", batch);
		return;
	}
	for (unsigned i = b->first_span; i < b->first_span + b->n_spans; i++) {
		if (!w->db.spans[i].row.is_finished)
			truth_broken(w, "a batch is over before its spans", "batch %u", batch);
		else if (!b->is_deleted)
			parts_check(w, i, true);
	}
}

static void garbage_check(struct world *w)
{
	for (unsigned key = 0; key < w->n_objects; key++)
		if (w->bucket.objects[key] != NONE && !database_names(w, key))
			truth_broken(w, "garbage stays for ever", "object %u of node %u, kind %d",
				     key, (unsigned)w->objects[key].name.owner.node,
				     (int)w->objects[key].kind);
}

static void spread_check(struct world *w)
{
	unsigned least = UINT32_MAX, most = 0;

	for (unsigned u = 0; u < w->n_upstreams; u++)
		if (is_buried(w, &w->truth.upstreams[u]) && could_drive(w, u))
			truth_broken(w, "an upstream is driven by nobody", "upstream %u", u);
	for (unsigned i = 0; i < w->n_nodes; i++) {
		unsigned driven = 0;

		if (!is_well(w, i + 1))
			continue;
		for (unsigned u = 0; u < w->n_upstreams; u++)
			driven += w->truth.upstreams[u].node == i + 1;
		least = driven < least ? driven : least;
		most = driven > most ? driven : most;
	}
	if (w->scenario.all_reach_all && most > least + 1)
		truth_broken(w, "upstreams are spread unevenly", "%u and %u", least, most);
}

void truth_at_end(struct world *w)
{
	for (unsigned b = 0; b < BATCHES_MAX; b++)
		if (w->db.batches[b].state != BATCH_ABSENT)
			batch_check(w, b);
	garbage_check(w);
	spread_check(w);
}
