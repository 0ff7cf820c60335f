/* The same random operations through the store and through the functions of cluster/protocol.h that
 * tests/simulation has held against faults: each has the same outcome, and the rows are the same at
 * the end. The clock is the test's. LOWTIDE_TEST_SEED runs another sequence, LOWTIDE_TEST_STEPS a
 * longer one. */
#include "cluster_test.h"

#include <inttypes.h>

#define NODES 6u
#define UPSTREAMS 3u
#define BATCHES 4u
#define BATCH_SPANS 12u
#define SPANS (BATCHES * BATCH_SPANS)
#define TENURES 512u /* the last ones */
#define OBJECTS 4096u
#define SPAN_PIECES 512u
#define AGE_US (45 * PROTOCOL_S)

struct object {
	struct object_name name;
	int64_t seen_us;
	bool is_gone;
};

struct model_span {
	struct span_row row;
	unsigned pieces[SPAN_PIECES], n_pieces; /* objects */
	unsigned output;                        /* object */
	uint64_t completed;
};

/* What somebody was once lent. */
struct tenure {
	struct owner by;
	unsigned span;
	uint64_t epoch;
};

static struct {
	int64_t now_us;
	struct node_row nodes[NODES + 1];
	uint64_t numbers[NODES + 1], tickets[NODES + 1];
	struct upstream_row upstreams[UPSTREAMS];
	struct model_span spans[SPANS];
	bool has_ended[BATCHES];
	struct tenure tenures[TENURES];
	unsigned n_tenures;
	struct object objects[OBJECTS];
	unsigned n_objects;
	unsigned done[16], refused[16];
} m;

static char batches[BATCHES][ID_SIZE];
static uint64_t random_state;

static unsigned below(unsigned n)
{
	random_state ^= random_state << 13; /* xorshift64 */
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 11) % n;
}

/* A node, mostly as it is, now and then as it was or will be. */
static struct owner somebody(void)
{
	unsigned id = 1 + below(NODES);
	uint64_t epoch = m.nodes[id].epoch;

	if (below(8) == 0)
		epoch = below(2) == 0 && epoch > 1 ? epoch - 1 : epoch + 1;
	return (struct owner){ id, epoch > 0 ? epoch : 1 };
}

static void same(unsigned op, bool is, bool expected)
{
	if (is != expected)
		fail_msg("operation %u: the store says %d, the protocol %d", op, is, expected);
	(is ? m.done : m.refused)[op]++;
}

static const struct tenure *some_tenure(void)
{
	unsigned kept = m.n_tenures < TENURES ? m.n_tenures : TENURES;
	unsigned back = below(4) == 0 ? below(kept) : below(kept < 24 ? kept : 24);

	return &m.tenures[(m.n_tenures - 1 - back) % TENURES];
}

static struct span_id id_of(unsigned span)
{
	struct span_id id = { .n = span % BATCH_SPANS };

	memcpy(id.batch, batches[span / BATCH_SPANS], ID_SIZE);
	return id;
}

static unsigned index_of(const struct span_id *id)
{
	for (unsigned b = 0; b < BATCHES; b++)
		if (strcmp(batches[b], id->batch) == 0)
			return b * BATCH_SPANS + id->n;
	fail_msg("no such batch");
	return 0;
}

static void object_text(unsigned object, char to[static OBJECT_NAME_SIZE])
{
	const struct object_name *n = &m.objects[object].name;

	snprintf(to, OBJECT_NAME_SIZE, "o-%" PRIu64 "-%" PRIu64 "-%" PRIu64, n->owner.node,
		 n->owner.epoch, n->number);
}

/* The node's next. */
static unsigned object_new(struct owner me)
{
	assert_true(m.n_objects < OBJECTS);
	m.objects[m.n_objects] = (struct object){ { me, ++m.numbers[me.node] }, LEASE_NONE, false };
	return m.n_objects++;
}

/* ---- nodes ---- */

static void op_enter(void)
{
	unsigned id = 1 + below(NODES), before = below(6) == 0 ? 1 + below(NODES) : NOBODY;
	bool is_new = node_enter(&m.nodes[id], m.now_us);
	struct node_row *old = &m.nodes[before];
	uint64_t epoch;

	MUST(store_node_enter(db, id, &about, before, &epoch, &err));
	if (before != NOBODY && old->epoch > 0 && old->lease_until_us != LEASE_NONE)
		node_leave(old, old->epoch);
	assert_int_equal(epoch, m.nodes[id].epoch);
	same(0, is_new, is_new);
}

static void op_renew(void)
{
	struct owner me = somebody();
	uint64_t epoch, floor = below((unsigned)m.numbers[me.node] + 1);
	bool renewed, draining = below(4) == 0;

	MUST(store_node_renew(db, me, floor, draining, &renewed, &epoch, &err));
	same(1, renewed, node_renew(&m.nodes[me.node], me.epoch, floor, draining, m.now_us));
	assert_int_equal(epoch, m.nodes[me.node].epoch);
}

static void op_bury(void)
{
	struct owner me = somebody();
	uint64_t buried, expected = 0;

	MUST(store_node_bury(db, me, &buried, &err));
	if (node_may_bury(&m.nodes[me.node], me.epoch, m.now_us))
		for (unsigned i = 1; i <= NODES; i++)
			expected += i != me.node && node_bury(&m.nodes[i], m.now_us);
	assert_int_equal(buried, expected);
	same(2, buried > 0, expected > 0);
}

static void op_leave(void)
{
	struct owner me = somebody();
	bool left;

	MUST(store_node_leave(db, me, &left, &err));
	same(3, left, node_leave(&m.nodes[me.node], me.epoch));
}

/* ---- upstreams ---- */

static const char *const upstream_names[UPSTREAMS] = { "http://a", "http://b", "http://c" };

static void op_take(void)
{
	struct owner me = somebody();
	unsigned u = below(UPSTREAMS);
	struct upstream_row *row = &m.upstreams[u];
	uint64_t epoch;
	bool taken;

	MUST(store_upstream_take(db, me, upstream_names[u], &taken, &epoch, &err));
	same(4, taken,
	     upstream_take(row, me, &m.nodes[me.node], &m.nodes[row->owner.node], m.now_us));
	if (taken)
		assert_int_equal(epoch, row->epoch);
}

static void op_release(void)
{
	unsigned u = below(UPSTREAMS);
	struct upstream_row *row = &m.upstreams[u];
	struct owner me = below(4) > 0 && row->owner.node != NOBODY ? row->owner : somebody();
	uint64_t epoch = row->epoch - (row->epoch > 0 && below(4) == 0);
	bool released;

	MUST(store_upstream_release(db, me, upstream_names[u], epoch, &released, &err));
	same(5, released, upstream_release(row, me, epoch));
}

/* ---- spans ---- */

static bool is_mine(const struct span_row *s, struct owner me)
{
	return !s->is_finished && s->owner.node == me.node && s->owner.epoch == me.epoch;
}

static bool is_claimable(unsigned span, struct owner me, bool is_held)
{
	struct span_row copy = m.spans[span].row;

	return span_claim(&copy, me, &m.nodes[copy.owner.node], is_held);
}

/* What the order puts first: 0 in its name, 1 ended, 2 any other. 3: there is none. */
static unsigned first_place(struct owner me, const bool *is_held)
{
	unsigned place = 3;

	for (unsigned i = 0; i < SPANS; i++) {
		if (!is_claimable(i, me, is_held[i]))
			continue;
		unsigned of = is_mine(&m.spans[i].row, me)   ? 0
			      : m.has_ended[i / BATCH_SPANS] ? 1
							     : 2;
		place = of < place ? of : place;
	}
	return place;
}

static void claim_is_right(struct owner me, const struct span_lent *lent, const bool *is_held)
{
	unsigned i = index_of(&lent->id);
	struct model_span *s = &m.spans[i];
	unsigned place = is_mine(&s->row, me) ? 0 : m.has_ended[i / BATCH_SPANS] ? 1 : 2;

	assert_int_equal(place, first_place(me, is_held));
	assert_true(span_claim(&s->row, me, &m.nodes[s->row.owner.node], is_held[i]));
	assert_int_equal(lent->epoch, s->row.epoch);
	assert_int_equal(lent->n_pieces, s->n_pieces);
	assert_int_equal(lent->counts.completed, s->completed);
	assert_int_equal(lent->has_ended, m.has_ended[i / BATCH_SPANS]);
	m.tenures[m.n_tenures++ % TENURES] = (struct tenure){ me, i, s->row.epoch };
}

static void op_claim(void)
{
	struct owner me = somebody();
	struct node_row *mine = &m.nodes[me.node];
	uint64_t ticket = below(8) > 0 ? ++m.tickets[me.node] : m.tickets[me.node];
	bool is_held[SPANS] = { false }, forgets = below(4) == 0, lent;
	struct span_id held[SPANS];
	struct span_lent s;
	size_t n = 0;

	for (unsigned i = 0; i < SPANS; i++)
		if (is_mine(&m.spans[i].row, me) && !(forgets && below(4) == 0)) {
			is_held[i] = true;
			held[n++] = id_of(i);
		}
	struct span_wanted w = { ticket, models, 1, held, n };
	MUST(store_span_claim(db, me, &w, &s, &lent, &err));
	bool may = ticket_take(mine, me.epoch, ticket, m.now_us);
	same(6, lent, may && first_place(me, is_held) < 3);
	if (lent)
		claim_is_right(me, &s, is_held);
	span_lent_done(&s);
}

static bool is_held_by(const struct tenure *t, struct owner me)
{
	return span_is_held(&m.spans[t->span].row, me, t->epoch, &m.nodes[me.node]);
}

static bool has_piece(const struct model_span *s, unsigned object)
{
	for (unsigned i = 0; i < s->n_pieces; i++)
		if (s->pieces[i] == object)
			return true;
	return false;
}

/* In the order of the call: the protocol's, one piece after another. */
static void settle_is_right(struct owner me, unsigned chunk, const struct tenure *const *of,
			    const struct piece_settled *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct model_span *s = &m.spans[of[i]->span];

		same(7, p[i].is_held, is_held_by(of[i], me));
		if (!p[i].is_held || has_piece(s, chunk))
			continue;
		assert_true(s->n_pieces < SPAN_PIECES);
		s->pieces[s->n_pieces++] = chunk;
		s->completed += p[i].counts.completed;
	}
}

/* A new chunk, or one that was settled before, whose answer was lost. */
static void op_settle(void)
{
	struct piece_settled p[6];
	const struct tenure *of[6];
	char name[OBJECT_NAME_SIZE];
	size_t n = 0;

	if (m.n_tenures == 0)
		return;
	struct owner me = some_tenure()->by;
	bool again = below(4) == 0 && m.n_objects > 0;
	unsigned chunk = again ? m.n_objects - 1 - below(m.n_objects < 20 ? m.n_objects : 20)
			       : object_new(me);
	me = again ? m.objects[chunk].name.owner : me;
	if (m.objects[chunk].is_gone)
		return;
	for (unsigned tries = 0; tries < 20 && n < 6; tries++) {
		const struct tenure *t = some_tenure();
		bool is_new = t->by.node == me.node || below(4) == 0;
		for (size_t i = 0; i < n; i++)
			is_new = is_new && of[i]->span != t->span;
		if (!is_new)
			continue;
		of[n] = t;
		p[n++] = (struct piece_settled){ .span = id_of(t->span),
						 .epoch = t->epoch,
						 .counts.completed = 1 + below(3) };
	}
	object_text(chunk, name);
	for (unsigned times = 0; times < 1 + (below(4) == 0); times++) {
		MUST(store_pieces_settle(db, me, name, p, n, &err));
		settle_is_right(me, chunk, of, p, n);
	}
}

static void op_give_back(void)
{
	bool given;

	if (m.n_tenures == 0)
		return;
	const struct tenure *t = some_tenure();
	struct owner me = below(8) > 0 ? t->by : somebody();
	struct span_id id = id_of(t->span);
	MUST(store_span_give_back(db, me, &id, t->epoch, &given, &err));
	same(8, given, span_give_back(&m.spans[t->span].row, me, t->epoch, &m.nodes[me.node]));
}

static unsigned open_spans(unsigned batch)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BATCH_SPANS; i++)
		n += !m.spans[batch * BATCH_SPANS + i].row.is_finished;
	return n;
}

static void op_finish(void)
{
	struct span_end end = { .counts.completed = 10 };
	bool finished, last;

	if (m.n_tenures == 0 || below(4) > 0)
		return;
	const struct tenure *t = some_tenure();
	struct owner me = below(8) > 0 ? t->by : somebody();
	struct span_id id = id_of(t->span);
	struct model_span *s = &m.spans[t->span];
	unsigned part = object_new(t->by); /* no epoch to come has objects */
	object_text(part, end.output.name);
	MUST(store_span_finish(db, me, &id, t->epoch, &end, &finished, &last, &err));
	same(9, finished, span_finish(&s->row, me, t->epoch, &m.nodes[me.node]));
	if (!finished)
		return;
	s->n_pieces = 0;
	s->completed = 10;
	s->output = part;
	assert_int_equal(last, open_spans(t->span / BATCH_SPANS) == 0);
}

/* ---- garbage ---- */

static bool is_named(unsigned object)
{
	for (unsigned i = 0; i < SPANS; i++)
		if (has_piece(&m.spans[i], object) ||
		    (m.spans[i].row.is_finished && m.spans[i].output == object))
			return true;
	return false;
}

static enum object_fate fate_of(unsigned object)
{
	const struct object *o = &m.objects[object];

	return object_fate(&o->name, &m.nodes[o->name.owner.node], is_named(object), o->seen_us,
			   m.now_us, AGE_US);
}

static void op_mark(void)
{
	struct object_listed listed[64];
	uint64_t marked, expected = 0;
	size_t n = 0;
	unsigned first = m.n_objects > 0 ? below(m.n_objects) : 0;

	for (unsigned i = first; i < m.n_objects && n < 64; i++) {
		if (m.objects[i].is_gone)
			continue;
		object_text(i, listed[n].name);
		listed[n++].made = m.objects[i].name;
		if (fate_of(i) != OBJECT_IS_MARKED)
			continue;
		m.objects[i].seen_us = m.now_us;
		expected++;
	}
	MUST(store_garbage_mark(db, listed, n, &marked, &err));
	assert_int_equal(marked, expected);
	same(10, marked > 0, expected > 0);
}

static void op_sweep(void)
{
	char(*due)[OBJECT_NAME_SIZE], name[OBJECT_NAME_SIZE];
	size_t n, expected = 0;

	MUST(store_garbage_due(db, AGE_US, OBJECTS, &due, &n, &err));
	for (unsigned i = 0; i < m.n_objects; i++) {
		bool is_due = false;
		if (m.objects[i].is_gone || fate_of(i) != OBJECT_GOES)
			continue;
		object_text(i, name);
		for (size_t at = 0; at < n; at++)
			is_due |= strcmp(due[at], name) == 0;
		assert_true(is_due);
		m.objects[i].is_gone = true;
		expected++;
	}
	assert_int_equal(n, expected);
	MUST(store_garbage_forget(db, due, n, &err));
	free(due);
	same(11, n > 0, expected > 0);
}

/* ---- all ---- */

static void time_passes(void)
{
	int64_t us = (int64_t)below(4) * PROTOCOL_S + below(3);

	if (below(40) == 0)
		us += 16 * PROTOCOL_S; /* an outage */
	clock_forward_us(us);
	m.now_us += us;
}

static void batch_ends(void)
{
	unsigned b = below(BATCHES);
	bool moved;

	if (below(25) > 0)
		return;
	MUST(store_batch_move(store, batches[b], 1u << BATCH_IN_PROGRESS, BATCH_CANCELLING, EPOCH_S,
			      &moved, &err));
	m.has_ended[b] |= moved;
	same(12, moved, moved);
}

static void rows_are_the_same(void)
{
	PGresult *r = by_hand(
		"SELECT id, epoch, ticket, floor, draining,"
		" coalesce((extract(epoch FROM nullif(lease_until, '-infinity')) * 1000000)"
		"::bigint, -9223372036854775808),"
		" (extract(epoch FROM nullif(held_since, '-infinity')) * 1000000)::bigint"
		" FROM nodes");
	unsigned n = 0;

	for (int i = 0; i < PQntuples(r); i++) {
		const struct node_row *row = &m.nodes[atoi(PQgetvalue(r, i, 0))];
		assert_int_equal(strtoull(PQgetvalue(r, i, 1), NULL, 10), row->epoch);
		assert_int_equal(strtoull(PQgetvalue(r, i, 2), NULL, 10), row->ticket);
		assert_int_equal(strtoull(PQgetvalue(r, i, 3), NULL, 10), row->floor);
		assert_int_equal(PQgetvalue(r, i, 4)[0] == 't', row->draining);
		assert_int_equal(strtoll(PQgetvalue(r, i, 5), NULL, 10), row->lease_until_us);
		assert_int_equal(strtoll(PQgetvalue(r, i, 6), NULL, 10), row->held_since_us);
	}
	for (unsigned i = 1; i <= NODES; i++)
		n += m.nodes[i].epoch > 0;
	assert_int_equal(PQntuples(r), n);
	PQclear(r);
	r = by_hand("SELECT coalesce(node, 0), node_epoch, epoch, upstream FROM upstream_leases");
	for (int i = 0; i < PQntuples(r); i++) {
		const struct upstream_row *row = &m.upstreams[PQgetvalue(r, i, 3)[7] - 'a'];
		assert_int_equal(strtoull(PQgetvalue(r, i, 0), NULL, 10), row->owner.node);
		assert_int_equal(strtoull(PQgetvalue(r, i, 1), NULL, 10), row->owner.epoch);
		assert_int_equal(strtoull(PQgetvalue(r, i, 2), NULL, 10), row->epoch);
	}
	PQclear(r);
}

static void spans_are_the_same(void)
{
	PGresult *r = by_hand(
		"SELECT batch, n, coalesce(node, 0), node_epoch, epoch, finished, completed,"
		" (SELECT count(*) FROM journal_pieces AS p"
		" WHERE p.batch = s.batch AND p.span = s.n) FROM spans AS s");

	assert_int_equal(PQntuples(r), SPANS);
	for (int i = 0; i < PQntuples(r); i++) {
		struct span_id id = { .n = (uint32_t)atoi(PQgetvalue(r, i, 1)) };
		snprintf(id.batch, ID_SIZE, "%s", PQgetvalue(r, i, 0));
		const struct model_span *s = &m.spans[index_of(&id)];
		assert_int_equal(strtoull(PQgetvalue(r, i, 2), NULL, 10), s->row.owner.node);
		assert_int_equal(strtoull(PQgetvalue(r, i, 3), NULL, 10), s->row.owner.epoch);
		assert_int_equal(strtoull(PQgetvalue(r, i, 4), NULL, 10), s->row.epoch);
		assert_int_equal(PQgetvalue(r, i, 5)[0] == 't', s->row.is_finished);
		assert_int_equal(strtoull(PQgetvalue(r, i, 6), NULL, 10), s->completed);
		assert_int_equal(strtoull(PQgetvalue(r, i, 7), NULL, 10), s->n_pieces);
	}
	PQclear(r);
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void the_store_does_as_the_protocol(void **state)
{
	static void (*const does[])(void) = {
		op_enter,  op_renew,   op_renew,     op_renew,    op_renew, op_bury,  op_bury,
		op_take,   op_take,    op_release,   op_claim,    op_claim, op_claim, op_settle,
		op_settle, op_settle,  op_give_back, op_finish,   op_mark,  op_sweep, time_passes,
		op_renew,  batch_ends, op_settle,    time_passes,
	};
	unsigned steps = from_environment("LOWTIDE_TEST_STEPS", 6000);
	static const char *const names[] = { "enter",   "renew", "bury",      "leave",     "take",
					     "release", "claim", "settle",    "give back", "finish",
					     "mark",    "sweep", "batch ends" };

	(void)state;
	random_state = 0x9e3779b97f4a7c15u * (1 + from_environment("LOWTIDE_TEST_SEED", 1));
	m.now_us = EPOCH_S * PROTOCOL_S;
	for (unsigned b = 0; b < BATCHES; b++) {
		struct batch made = put_spans(b % 2 == 0 ? &ours : &theirs, "m", BATCH_SPANS,
					      10000 * DAY);
		memcpy(batches[b], made.id, ID_SIZE);
	}
	for (unsigned i = 0; i < steps; i++) {
		if (below(150) == 0)
			op_leave();
		else
			does[below(ARRAY_LEN(does))]();
		if (i % 256 == 0) {
			rows_are_the_same();
			spans_are_the_same();
		}
	}
	rows_are_the_same();
	spans_are_the_same();
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		print_message("%s: %u, refused %u\n", names[i], m.done[i], m.refused[i]);
	for (unsigned i = 0;
	     i < ARRAY_LEN(names) && steps == 6000 && getenv("LOWTIDE_TEST_SEED") == NULL; i++)
		assert_true(m.done[i] > 0); /* it came to all of it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CLUSTER(the_store_does_as_the_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
