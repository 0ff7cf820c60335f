/* work.c: a node's spans: what is claimed, which lines are sent, how answers are settled, parts. */
#include "world.h"

#include <assert.h>
#include <string.h>

static unsigned index_of(const struct world *w, const struct node *n)
{
	return (unsigned)(n - w->nodes);
}

static uint32_t all_lines(const struct world *w, unsigned span)
{
	return (1u << w->db.spans[span].lines) - 1;
}

static unsigned model_of(const struct world *w, unsigned span)
{
	return w->db.batches[w->db.spans[span].batch].model;
}

static bool serves(const struct world *w, const struct node *n, unsigned model)
{
	for (unsigned u = 0; u < w->n_upstreams; u++)
		if (n->drives[u].is_held && !n->drives[u].is_draining &&
		    w->upstreams[u].model == model)
			return true;
	return false;
}

bool work_is_none(const struct node *n)
{
	for (unsigned i = 0; i < SPANS_MAX; i++)
		if (n->holds[i].state != HOLD_NONE)
			return false;
	for (unsigned i = 0; i < CHUNKS_MAX; i++)
		if (n->chunks[i].state != CHUNK_NONE)
			return false;
	return n->n_buffer == 0;
}

void work_drop_all(struct node *n)
{
	memset(n->holds, 0, sizeof(n->holds));
	memset(n->chunks, 0, sizeof(n->chunks));
	n->n_buffer = 0;
	n->seen_mine = 0;
}

/* The number under which every object of this epoch is decided. */
uint64_t work_floor(const struct world *w, const struct node *n)
{
	uint64_t floor = n->number + 1;

	for (unsigned i = 0; i < CHUNKS_MAX; i++) {
		const struct object *o = &w->objects[n->chunks[i].object];

		if (n->chunks[i].state != CHUNK_NONE && o->name.number < floor)
			floor = o->name.number;
	}
	for (unsigned i = 0; i < SPANS_MAX; i++) {
		const struct hold *h = &n->holds[i];

		for (unsigned p = 0; p < 2; p++) {
			if ((h->state != HOLD_PUTS && h->state != HOLD_FINISHES) ||
			    h->parts[p] == NONE)
				continue;
			if (w->objects[h->parts[p]].name.number < floor)
				floor = w->objects[h->parts[p]].name.number;
		}
	}
	return floor;
}

static unsigned object_new(struct world *w, struct node *n, enum object_kind kind)
{
	unsigned i = w->n_objects++;
	struct object *o = &w->objects[i];

	assert(i < OBJECTS_MAX);
	o->kind = kind;
	o->name = (struct object_name){ node_owner(w, n), ++n->number };
	o->key = (uint16_t)i;
	o->put_us = db_now(w);
	o->n = o->n_pieces = 0;
	w->bucket.objects[i] = NONE;
	w->db.seen_us[i] = LEASE_NONE;
	w->db.was_named[i] = false;
	return i;
}

static void object_put(struct world *w, struct node *n, unsigned object)
{
	struct op *op = op_new(w, n, OP_PUT);

	op->object = (uint16_t)object;
	op_send(w, op);
}

static struct hold *hold_of(struct node *n, const struct attempt *a)
{
	struct hold *h = &n->holds[span_of(a->line)];

	return h->state != HOLD_NONE && h->epoch == a->span_epoch ? h : NULL;
}

static uint32_t bit_of(const struct world *w, unsigned line)
{
	return 1u << (line - w->db.spans[span_of(line)].first_line);
}

/* ---- lines ---- */

static void line_leaves(struct world *w, unsigned attempt)
{
	struct attempt *a = &w->attempts[attempt];
	int64_t way_us = between(300, 3 * MS);

	a->sent_us = w->now_us;
	truth_sent(w, attempt);
	if (!w->is_calm && happens(w->scenario.late)) {
		way_us = between(S, w->scenario.late_us);
		w->figures.late_arrivals++;
		truth_disturbed(w, &w->nodes[a->node], way_us);
	}
	event_add(w, way_us, EV_ARRIVE, a->node, attempt, NULL);
}

/* Its check was before a pause. */
void work_send_late(struct world *w, struct node *n, unsigned attempt)
{
	n->is_sending_late = false;
	line_leaves(w, attempt);
	node_turn(w, n);
}

/* False: it was stopped in between. */
static bool line_send(struct world *w, struct node *n, unsigned u, unsigned span, unsigned at)
{
	struct hold *h = &n->holds[span];
	unsigned i = w->n_attempts++;
	struct attempt *a = &w->attempts[i];

	assert(i < ATTEMPTS_MAX);
	*a = (struct attempt){ .line = (uint16_t)(w->db.spans[span].first_line + at),
			       .node = (uint8_t)index_of(w, n),
			       .upstream = (uint8_t)u,
			       .node_epoch = n->epoch,
			       .span_epoch = h->epoch,
			       .upstream_epoch = n->drives[u].epoch,
			       .checked_us = w->now_us };
	h->out |= 1u << at;
	h->in_flight++;
	n->drives[u].account.in_flight++;
	if (!w->is_calm && happens(w->scenario.pause_at_step)) {
		n->is_sending_late = true;
		node_pause(w, n, between(w->scenario.pause_low_us, w->scenario.pause_high_us));
		event_add(w, 0, EV_SEND, a->node, i, NULL);
		return false;
	}
	line_leaves(w, i);
	return true;
}

static bool account_room(const struct world *w, const struct upstream_account *a)
{
	if (breaks(w, MUTANT_ANSWERED))
		return a->in_flight < a->limit && a->answered < 2 * a->limit;
	return account_may_send(a);
}

static bool next_line(const struct world *w, const struct node *n, unsigned model, unsigned *span,
		      unsigned *at)
{
	for (unsigned i = 0; i < w->db.n_spans; i++) {
		const struct hold *h = &n->holds[i];
		uint32_t left = all_lines(w, i) & ~(h->done | h->out);

		if (h->state != HOLD_RUNS || h->has_ended || h->is_unwanted || left == 0 ||
		    model_of(w, i) != model)
			continue;
		*span = i;
		*at = (unsigned)__builtin_ctz(left);
		return true;
	}
	return false;
}

/* False: it was stopped. */
static bool lines_send(struct world *w, struct node *n)
{
	unsigned span, at;

	for (unsigned u = 0; u < w->n_upstreams; u++) {
		struct drive *d = &n->drives[u];

		while (d->is_held && !d->is_draining && account_room(w, &d->account) &&
		       next_line(w, n, w->upstreams[u].model, &span, &at) && node_may_send(w, n))
			if (!line_send(w, n, u, span, at))
				return false;
	}
	return true;
}

/* Of a span whose batch has ended, or of a node that drains and waits no longer. */
void work_drop_lines(struct world *w, struct node *n, unsigned span)
{
	struct hold *h = &n->holds[span];

	for (unsigned i = 0; i < w->n_attempts && h->in_flight > 0; i++) {
		struct attempt *a = &w->attempts[i];

		if (a->state != ATTEMPT_FLIES || a->node != index_of(w, n) ||
		    a->node_epoch != n->epoch || span_of(a->line) != span ||
		    a->span_epoch != h->epoch)
			continue;
		a->state = ATTEMPT_DROPPED;
		n->drives[a->upstream].account.in_flight--;
		h->in_flight--;
		h->out &= ~bit_of(w, a->line);
	}
}

void work_has_ended(struct world *w, struct node *n, unsigned batch)
{
	for (unsigned i = 0; i < w->db.n_spans; i++) {
		struct hold *h = &n->holds[i];

		if (h->state == HOLD_NONE || h->has_ended || w->db.spans[i].batch != batch)
			continue;
		h->has_ended = true;
		work_drop_lines(w, n, i);
	}
}

void work_answered(struct world *w, struct node *n, unsigned attempt, bool is_ok)
{
	struct attempt *a = &w->attempts[attempt];
	struct upstream_account *account = &n->drives[a->upstream].account;
	struct hold *h = hold_of(n, a);

	if (a->node_epoch != n->epoch || a->state != ATTEMPT_FLIES)
		return;
	account->in_flight--;
	a->state = is_ok ? ATTEMPT_ANSWERED : ATTEMPT_FAILED;
	if (h != NULL)
		h->in_flight--;
	if (h != NULL && !is_ok)
		h->out &= ~bit_of(w, a->line);
	if (h != NULL && is_ok) {
		assert(n->n_buffer < ENTRIES_MAX);
		n->buffer[n->n_buffer++] = (uint16_t)attempt;
		h->answered++;
		account->answered++;
		truth_account(w, n, a->upstream);
	}
	node_turn(w, n);
}

/* ---- chunks ---- */

static unsigned chunks_in(const struct node *n, enum chunk_state state)
{
	unsigned count = 0;

	for (unsigned i = 0; i < CHUNKS_MAX; i++)
		count += n->chunks[i].state == state;
	return count;
}

static void chunk_settle(struct world *w, struct node *n, unsigned slot)
{
	struct op *op = op_new(w, n, OP_SETTLE);

	n->chunks[slot].state = CHUNK_SETTLES;
	op->slot = slot;
	op->object = n->chunks[slot].object;
	op_send(w, op);
}

static void chunk_put(struct world *w, struct node *n, unsigned object)
{
	unsigned slot = 0;

	while (n->chunks[slot].state != CHUNK_NONE)
		slot++;
	n->chunks[slot].object = (uint16_t)object;
	n->chunks[slot].state = CHUNK_PUTS;
	object_put(w, n, object);
	if (breaks(w, MUTANT_SETTLE_EARLY))
		chunk_settle(w, n, slot);
}

/* The buffer as pieces, span by span. */
static void chunk_fill(struct world *w, struct node *n, struct object *o)
{
	for (unsigned span = 0; span < w->db.n_spans; span++) {
		struct piece *p = &o->pieces[o->n_pieces];

		*p = (struct piece){ .span = (uint16_t)span, .first = o->n };
		for (unsigned i = 0; i < n->n_buffer; i++) {
			const struct attempt *a = &w->attempts[n->buffer[i]];

			if (span_of(a->line) != span || hold_of(n, a) == NULL)
				continue;
			p->epoch = a->span_epoch;
			o->entries[o->n++] = (struct entry){ a->line, n->buffer[i] };
			p->n++;
		}
		o->n_pieces += p->n > 0 ? 1 : 0;
	}
}

static void flush(struct world *w, struct node *n)
{
	unsigned object;

	if (n->n_buffer == 0 || chunks_in(n, CHUNK_NONE) == 0)
		return;
	if (chunks_in(n, CHUNK_PUTS) > 0 && n->n_buffer < 3)
		return; /* the next one fills meanwhile */
	for (unsigned i = 0; i < n->n_buffer; i++) {
		const struct attempt *a = &w->attempts[n->buffer[i]];

		if (hold_of(n, a) == NULL) /* lost since */
			n->drives[a->upstream].account.answered--;
	}
	object = object_new(w, n, OBJECT_CHUNK);
	chunk_fill(w, n, &w->objects[object]);
	n->n_buffer = 0;
	if (w->objects[object].n > 0)
		chunk_put(w, n, object);
}

static void piece_settled(struct world *w, struct node *n, const struct object *o,
			  const struct piece *p, bool is_lost)
{
	for (unsigned i = p->first; i < p->first + p->n; i++) {
		const struct attempt *a = &w->attempts[o->entries[i].attempt];
		struct hold *h = hold_of(n, a);

		n->drives[a->upstream].account.answered--;
		if (h == NULL)
			continue;
		h->answered--;
		if (is_lost)
			continue;
		h->done |= bit_of(w, a->line);
		h->got[a->line - w->db.spans[p->span].first_line] = o->entries[i].attempt;
	}
	if (is_lost && n->holds[p->span].state != HOLD_NONE &&
	    n->holds[p->span].epoch == p->epoch) {
		truth_refused(w, n, p->span, p->epoch);
		n->holds[p->span].state = HOLD_NONE;
	}
}

static void chunk_settled(struct world *w, struct node *n, const struct op *op)
{
	const struct object *o = &w->objects[op->object];

	if (op->outcome != DONE) { /* a mutant's: the lines once more, in another chunk */
		unsigned again = object_new(w, n, OBJECT_CHUNK);
		struct object *copy = &w->objects[again];

		copy->n = o->n;
		copy->n_pieces = o->n_pieces;
		memcpy(copy->entries, o->entries, sizeof(copy->entries));
		memcpy(copy->pieces, o->pieces, sizeof(copy->pieces));
		n->chunks[op->slot].state = CHUNK_NONE;
		chunk_put(w, n, again);
		return;
	}
	n->chunks[op->slot].state = CHUNK_NONE;
	for (unsigned i = 0; i < o->n_pieces; i++)
		piece_settled(w, n, o, &o->pieces[i], (op->lost >> i & 1) != 0);
	node_turn(w, n);
}

/* ---- parts ---- */

static bool others_are_finished(const struct world *w, unsigned span)
{
	const struct batch *b = &w->db.batches[w->db.spans[span].batch];

	for (unsigned i = b->first_span; i < b->first_span + b->n_spans; i++)
		if (i != span && !w->db.spans[i].row.is_finished)
			return false;
	return true;
}

static void span_ask(struct world *w, struct node *n, unsigned span, enum op_kind kind)
{
	const struct hold *h = &n->holds[span];
	struct op *op = op_new(w, n, kind);

	op->span = (uint16_t)span;
	op->epoch = h->epoch;
	op->object = h->parts[0];
	op->object2 = h->parts[1];
	op->flag = others_are_finished(w, span); /* a mutant's snapshot */
	op_send(w, op);
}

static void part_add(struct object *o, unsigned line, unsigned attempt)
{
	o->entries[o->n++] = (struct entry){ (uint16_t)line, (uint16_t)attempt };
}

/* Its lines in input order; those that have not ended are filled, as failed ones. */
static void parts_write(struct world *w, struct node *n, unsigned span)
{
	const struct span *s = &w->db.spans[span];
	struct hold *h = &n->holds[span];
	unsigned parts[2] = { object_new(w, n, OBJECT_OUTPUT), object_new(w, n, OBJECT_ERRORS) };

	for (unsigned at = 0; at < s->lines; at++) {
		unsigned line = s->first_line + at;
		bool is_done = (h->done >> at & 1) != 0;

		part_add(&w->objects[parts[!is_done || line_errs(line)]], line,
			 is_done ? h->got[at] : ENTRY_FILLED);
	}
	h->state = HOLD_PUTS;
	for (unsigned p = 0; p < 2; p++) {
		struct object *o = &w->objects[parts[p]];

		if (breaks(w, MUTANT_PART_NAME))
			o->key = (uint16_t)(span * 2 + p);
		h->parts[p] = o->n > 0 ? (uint16_t)parts[p] : NONE;
		h->is_put[p] = o->n == 0;
	}
	for (unsigned p = 0; p < 2; p++)
		if (!h->is_put[p])
			object_put(w, n, h->parts[p]);
}

static void part_put(struct world *w, struct node *n, unsigned object)
{
	for (unsigned i = 0; i < w->db.n_spans; i++) {
		struct hold *h = &n->holds[i];

		if (h->state != HOLD_PUTS)
			continue;
		for (unsigned p = 0; p < 2; p++)
			if (h->parts[p] == object)
				h->is_put[p] = true;
		if (!h->is_put[0] || !h->is_put[1])
			continue;
		h->state = HOLD_FINISHES;
		span_ask(w, n, i, OP_FINISH);
	}
}

/* ---- spans ---- */

static void span_turn(struct world *w, struct node *n, unsigned span)
{
	struct hold *h = &n->holds[span];
	struct span_account a;

	h->is_unwanted = n->is_draining || !serves(w, n, model_of(w, span));
	if (h->state != HOLD_RUNS)
		return;
	a = (struct span_account){ .lines = w->db.spans[span].lines,
				   .done = (unsigned)__builtin_popcount(h->done),
				   .in_flight = h->in_flight,
				   .answered = h->answered,
				   .has_ended = h->has_ended,
				   .is_unwanted = h->is_unwanted };
	if (breaks(w, MUTANT_PART_EARLY) && h->has_ended)
		a.answered = 0;
	if (breaks(w, MUTANT_GIVE_BACK_EARLY) && h->is_unwanted && !h->has_ended)
		a.answered = 0;
	switch (span_next_step(&a)) {
	case SPAN_IS_WRITTEN:
		parts_write(w, n, span);
		break;
	case SPAN_IS_GIVEN_BACK:
		h->state = HOLD_GIVES_BACK;
		span_ask(w, n, span, OP_GIVE_BACK);
		break;
	default:
		break;
	}
}

/* Models for which it has fewer lines than it may send: a little ahead of need, and no more. */
static uint32_t models_wanted(const struct world *w, const struct node *n)
{
	uint32_t wanted = 0;

	for (unsigned m = 0; m < w->n_models; m++) {
		unsigned room = 0, lines = 0;

		for (unsigned u = 0; u < w->n_upstreams; u++)
			if (n->drives[u].is_held && !n->drives[u].is_draining &&
			    w->upstreams[u].model == m)
				room += w->upstreams[u].limit;
		for (unsigned i = 0; i < w->db.n_spans; i++)
			if (n->holds[i].state != HOLD_NONE && !n->holds[i].has_ended &&
			    model_of(w, i) == m)
				lines += (unsigned)__builtin_popcount(
					all_lines(w, i) & ~(n->holds[i].done | n->holds[i].out));
		if (lines < room && n->seen_free[m])
			wanted |= 1u << m;
	}
	return wanted;
}

static void claim_turn(struct world *w, struct node *n)
{
	uint32_t held = 0, wanted = models_wanted(w, n);
	struct op *op;

	for (unsigned i = 0; i < w->db.n_spans; i++)
		held |= n->holds[i].state != HOLD_NONE ? 1u << i : 0;
	if (n->is_claiming || n->is_draining || !node_may_send(w, n))
		return;
	if (wanted == 0 && !n->seen_ended && (n->seen_mine & ~held) == 0)
		return;
	n->is_claiming = true;
	op = op_new(w, n, OP_CLAIM);
	op->held = held;
	op->number = ++n->ticket;
	op->object = (uint16_t)wanted;
	for (unsigned i = 0; i < w->db.n_spans; i++)
		op->n_before[i] = (uint8_t)w->db.spans[i].n_pieces;
	op_send(w, op);
}

static void claimed(struct world *w, struct node *n, const struct op *op)
{
	struct hold *h = &n->holds[op->span];

	n->is_claiming = false;
	n->seen_mine = 0; /* until the next look */
	if (op->outcome != DONE) {
		n->seen_ended = false;
		memset(n->seen_free, 0, sizeof(n->seen_free));
		if (op->outcome == UNKNOWN)
			node_look_now(w, n);
		node_turn(w, n);
		return;
	}
	*h = (struct hold){ .state = op->n_pieces > 0 ? HOLD_LOADS : HOLD_RUNS,
			    .epoch = op->epoch_now,
			    .has_ended = op->batch_state == BATCH_ENDS };
	if (op->n_pieces > 0) {
		struct op *read = op_new(w, n, OP_READ);

		read->span = op->span;
		read->epoch = op->epoch_now;
		read->n_pieces = op->n_pieces;
		memcpy(read->pieces, op->pieces, sizeof(op->pieces[0]) * op->n_pieces);
		op_send(w, read);
	}
	node_turn(w, n);
}

/* Its pieces are here: the lines in them have ended. */
static void loaded(struct world *w, struct node *n, const struct op *op)
{
	struct hold *h = &n->holds[op->span];

	if (h->state != HOLD_LOADS || h->epoch != op->epoch)
		return;
	if (op->outcome == REFUSED) { /* gone, because the span is another's */
		truth_refused(w, n, op->span, op->epoch);
		h->state = HOLD_NONE;
		return;
	}
	for (unsigned i = 0; i < op->n_pieces; i++) {
		const struct object *o = &w->objects[op->pieces[i]];

		for (unsigned at = 0; at < o->n; at++) {
			unsigned line = o->entries[at].line;

			if (span_of(line) != op->span)
				continue;
			h->done |= bit_of(w, line);
			h->got[line - w->db.spans[op->span].first_line] = o->entries[at].attempt;
		}
	}
	h->state = HOLD_RUNS;
	node_turn(w, n);
}

/* ---- all ---- */

void work_turn(struct world *w, struct node *n)
{
	if (n->is_sending_late)
		return; /* it stands between a check and its send */
	for (unsigned i = 0; i < w->db.n_spans; i++)
		if (n->holds[i].state != HOLD_NONE)
			span_turn(w, n, i);
	flush(w, n);
	if (lines_send(w, n))
		claim_turn(w, n);
}

void work_answer(struct world *w, struct node *n, struct op *op)
{
	switch (op->kind) {
	case OP_PUT:
		if (w->objects[op->object].kind != OBJECT_CHUNK) {
			part_put(w, n, op->object);
			break;
		}
		for (unsigned i = 0; i < CHUNKS_MAX; i++)
			if (n->chunks[i].state == CHUNK_PUTS && n->chunks[i].object == op->object)
				chunk_settle(w, n, i);
		node_turn(w, n);
		break;
	case OP_SETTLE:
		chunk_settled(w, n, op);
		break;
	case OP_CLAIM:
		claimed(w, n, op);
		break;
	case OP_READ:
		loaded(w, n, op);
		break;
	default: /* done, or refused: either way it is no longer this node's */
		if (n->holds[op->span].epoch == op->epoch)
			n->holds[op->span].state = HOLD_NONE;
		node_turn(w, n);
		break;
	}
}
