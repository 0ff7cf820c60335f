/* faults.c: what a seed is like, and what befalls its nodes and stores. */
#include "world.h"

#include <assert.h>
#include <string.h>

enum fault_kind {
	FAULT_PAUSE,
	FAULT_DEATH,
	FAULT_DB_DOWN,
	FAULT_DB_FAILOVER,
	FAULT_BUCKET_DOWN,
	FAULT_CUT_DB,
	FAULT_CUT_BUCKET,
	FAULT_CUT_BOTH,
	FAULT_DRAIN,
	FAULT_ADD,
	FAULT_COUNT,
};

/* ---- nodes ---- */

unsigned node_add(struct world *w, uint32_t reach, unsigned predecessor, int64_t after_us)
{
	unsigned i = w->n_nodes;
	struct node *n = &w->nodes[i];

	if (i == NODES_MAX)
		return NODES_MAX;
	w->n_nodes++;
	memset(n, 0, sizeof(*n));
	n->reach = reach;
	n->predecessor = predecessor;
	n->drift_ppm = between(-LEASE_DRIFT_PPM, LEASE_DRIFT_PPM);
	n->offset_us = between(0, 1000000 * S);
	n->wall_us = between(-3600 * S, 3600 * S);
	n->deadline_us = LEASE_NONE;
	w->db.nodes[i + 1] = (struct node_row){ 0 };
	w->truth.buried[i + 1] = 0;
	event_add(w, after_us, EV_START, i, 0, NULL);
	return i;
}

void node_pause(struct world *w, struct node *n, int64_t for_us)
{
	trace(w, "node %u stops for %lld ms", node_number(w, n), (long long)(for_us / MS));
	w->figures.pauses++;
	if (w->now_us + for_us > n->paused_until_us)
		n->paused_until_us = w->now_us + for_us;
	truth_disturbed(w, n, for_us);
}

/* With its disk, or started again beside it: then the new start knows the old one, and that it runs
 * no more. */
void node_kill(struct world *w, struct node *n)
{
	bool has_disk = chance(2) == 0;

	if (!n->is_alive)
		return;
	trace(w, "node %u dies", node_number(w, n));
	n->is_alive = false;
	truth_died(w, n);
	if (w->is_calm || n->is_draining)
		return;
	if (!w->scenario.is_one_death && chance(3) > 0)
		node_add(w, n->reach, has_disk ? node_number(w, n) : NOBODY,
			 between(S / 2, 30 * S));
}

void step_taken(struct world *w, struct node *n)
{
	const struct scenario *s = &w->scenario;

	if (w->is_calm || !n->is_alive)
		return;
	if (happens(s->pause_at_step))
		node_pause(w, n, between(s->pause_low_us, s->pause_high_us));
	if (happens(s->death_at_step))
		node_kill(w, n);
}

static struct node *any_node(struct world *w)
{
	unsigned at = chance(w->n_nodes);

	for (unsigned i = 0; i < w->n_nodes; i++) {
		struct node *n = &w->nodes[(at + i) % w->n_nodes];

		if (n->is_alive)
			return n;
	}
	return NULL;
}

/* ---- faults ---- */

static void cut(struct world *w, struct node *n, bool db, bool bucket, int64_t low_us)
{
	int64_t for_us = between(low_us, 50 * S);

	trace(w, "node %u is cut off for %lld ms", node_number(w, n), (long long)(for_us / MS));
	n->is_cut_db |= db;
	n->is_cut_bucket |= bucket;
	truth_disturbed(w, n, for_us);
	event_add(w, for_us, EV_HEAL_CUT, node_number(w, n) - 1, 0, NULL);
}

/* A message is late, and perhaps its node cannot ask again before its lease is over. */
void fault_beside(struct world *w, struct node *n)
{
	uint32_t c = chance(6);

	if (c == 0)
		node_pause(w, n, between(LEASE_US, 3 * LEASE_US));
	else if (c == 1)
		cut(w, n, true, true, LEASE_US);
}

static void db_down(struct world *w, bool is_failover)
{
	int64_t for_us = chance(2) == 0 ? between(S, 6 * S) : between(S, 40 * S);

	trace(w, "the database is %s for %lld ms", is_failover ? "read-only" : "down",
	      (long long)(for_us / MS));
	w->figures.outages++;
	w->truth.outage_before_us = w->truth.outage_us;
	w->truth.outage_us = w->now_us;
	if (is_failover)
		w->db.is_read_only = true;
	else
		w->db.is_down = true;
	truth_disturbed(w, NULL, for_us + 3 * S);
	event_add(w, for_us, EV_HEAL_DB, 0, is_failover, NULL);
}

static bool may_fault(const struct world *w, enum fault_kind kind)
{
	return (w->scenario.kinds >> kind & 1) != 0;
}

static void fault_of(struct world *w, enum fault_kind kind, struct node *n)
{
	switch (kind) {
	case FAULT_PAUSE:
		node_pause(w, n, between(w->scenario.pause_low_us, w->scenario.pause_high_us));
		break;
	case FAULT_DEATH:
		node_kill(w, n);
		break;
	case FAULT_DB_DOWN:
	case FAULT_DB_FAILOVER:
		if (!w->db.is_down && !w->db.is_read_only)
			db_down(w, kind == FAULT_DB_FAILOVER);
		if (chance(2) == 0) /* what took the database away took this node away too */
			cut(w, n, true, false, LEASE_US);
		break;
	case FAULT_BUCKET_DOWN:
		w->figures.outages++;
		w->bucket.is_down = true;
		truth_disturbed(w, NULL, 30 * S);
		event_add(w, between(S, 30 * S), EV_HEAL_BUCKET, 0, 0, NULL);
		break;
	case FAULT_CUT_DB:
		cut(w, n, true, false, S);
		break;
	case FAULT_CUT_BUCKET:
		cut(w, n, false, true, S);
		break;
	case FAULT_CUT_BOTH:
		cut(w, n, true, true, S);
		break;
	case FAULT_DRAIN:
		if (w->now_us >= n->paused_until_us)
			node_drain(w, n);
		truth_disturbed(w, n, DRAIN_LINES_US + 2 * S);
		break;
	default:
		node_add(w, 1 + chance((1u << w->n_upstreams) - 1), NOBODY, 0);
		break;
	}
}

static void fault_happens(struct world *w)
{
	struct node *n = any_node(w);
	enum fault_kind kind = chance(FAULT_COUNT);

	if (w->is_calm)
		return;
	event_add(w, between(0, 2 * w->scenario.faults_every_us), EV_FAULT, 0, 0, NULL);
	if (n != NULL && may_fault(w, kind))
		fault_of(w, kind, n);
}

/* ---- the clients ---- */

static void reader_starts(struct world *w)
{
	unsigned r = w->n_readers;
	unsigned batch = chance(BATCHES_MAX);

	event_add(w, between(0, 40 * S), EV_READER, 0, NONE, NULL);
	if (r == ARRAY_LEN(w->readers) || w->db.batches[batch].state == BATCH_ABSENT)
		return;
	w->n_readers++;
	memset(w->readers[r].names, 0, sizeof(w->readers[r].names));
	database_keys_of(w, batch, w->readers[r].names);
	event_add(w, between(0, SIM_GARBAGE_US - S), EV_READER, 0, r, NULL);
}

/* What a download had a list of is there for as long as garbage stays. */
static void reader_reads(struct world *w, unsigned r)
{
	for (unsigned key = 0; key < w->n_objects; key++)
		if ((w->readers[r].names[key / 64] >> key % 64 & 1) != 0 &&
		    w->bucket.objects[key] == NONE)
			truth_broken(w, "an object goes while a client reads it", "object %u", key);
	w->n_readers--;
	if (r == w->n_readers)
		return;
	memcpy(&w->readers[r], &w->readers[w->n_readers], sizeof(w->readers[r]));
	for (unsigned i = 0; i < w->n_events; i++)
		if (w->events[i].kind == EV_READER && w->events[i].x == w->n_readers)
			w->events[i].x = (uint16_t)r;
}

static void batch_event(struct world *w, const struct event *e)
{
	struct batch *b = &w->db.batches[e->x];

	if (e->kind == EV_CREATE) {
		b->state = BATCH_RUNS;
	} else if (e->kind == EV_CANCEL && b->state == BATCH_RUNS) {
		b->state = BATCH_ENDS;
	} else if (e->kind == EV_DELETE) {
		if (b->state == BATCH_IS_OVER)
			b->is_deleted = true;
		else if (!w->is_calm)
			event_add(w, between(S, 20 * S), EV_DELETE, 0, e->x, NULL);
		return;
	}
	notify_all(w);
}

/* ---- the end of faults ---- */

static void heal(struct world *w)
{
	uint32_t reached = 0;

	trace(w, "all is calm");
	w->is_calm = true;
	w->heal_us = w->now_us;
	w->db.is_down = w->db.is_read_only = w->bucket.is_down = false;
	for (unsigned i = 0; i < w->n_nodes; i++) {
		struct node *n = &w->nodes[i];

		n->is_cut_db = n->is_cut_bucket = false;
		if (n->is_alive && !n->is_draining)
			reached |= n->reach;
	}
	if (reached != (1u << w->n_upstreams) - 1)
		node_add(w, (1u << w->n_upstreams) - 1, NOBODY, 0);
}

void fault_event(struct world *w, const struct event *e)
{
	switch (e->kind) {
	case EV_FAULT:
		fault_happens(w);
		break;
	case EV_HEAL_DB:
		w->db.is_down = w->db.is_read_only = false;
		if (e->x != 0 && w->db.step_us == 0) /* another machine, with a clock of its own */
			w->db.step_us = chance(2) == 0 ? LEASE_STEP_US : between(0, LEASE_STEP_US);
		break;
	case EV_HEAL_BUCKET:
		w->bucket.is_down = false;
		break;
	case EV_HEAL_CUT:
		w->nodes[e->node].is_cut_db = w->nodes[e->node].is_cut_bucket = false;
		break;
	case EV_READER:
		if (e->x == NONE)
			reader_starts(w);
		else
			reader_reads(w, e->x);
		break;
	case EV_CALM:
		heal(w);
		break;
	default:
		batch_event(w, e);
		break;
	}
}

/* ---- a seed ---- */

static void stores_make(struct world *w)
{
	w->db.drift_ppm = between(-LEASE_DRIFT_PPM, LEASE_DRIFT_PPM);
	w->n_models = 1 + chance(MODELS_MAX);
	w->n_upstreams = w->n_models + chance(UPSTREAMS_MAX - w->n_models + 1);
	for (unsigned u = 0; u < w->n_upstreams; u++) {
		int64_t low_us = chance(3) > 0 ? between(20 * MS, 2 * S) : between(S, 9 * S);

		w->upstreams[u] = (struct upstream){ .model = u % w->n_models,
						     .limit = 1 + chance(4),
						     .low_us = low_us,
						     .high_us = low_us + between(0, 5 * S),
						     .failing = chance(4) == 0 ? 500 : 0 };
	}
}

static void batches_make(struct world *w)
{
	unsigned batches = 1 + chance(BATCHES_MAX), spans = 0;

	for (unsigned b = 0; b < batches; b++) {
		unsigned n = 1 + chance(SPANS_MAX / BATCHES_MAX);

		w->db.batches[b] = (struct batch){
			.model = chance(w->n_models),
			.first_span = spans,
			.n_spans = n,
			.until_us = chance(4) == 0 ? between(10 * S, 120 * S) : NEVER,
		};
		for (unsigned i = 0; i < n; i++, spans++)
			w->db.spans[spans] = (struct span){ .batch = b,
							    .first_line = spans * SPAN_LINES_MAX,
							    .lines = 1 + chance(SPAN_LINES_MAX),
							    .output = NONE,
							    .errors = NONE };
		event_add(w, between(0, 30 * S), EV_CREATE, 0, b, NULL);
		if (chance(5) == 0)
			event_add(w, between(30 * S, 90 * S), EV_CANCEL, 0, b, NULL);
		if (chance(2) == 0)
			event_add(w, between(20 * S, 90 * S), EV_DELETE, 0, b, NULL);
	}
	w->db.n_spans = spans;
	w->n_lines = spans * SPAN_LINES_MAX;
}

static void troubles_make(struct world *w)
{
	struct scenario *s = &w->scenario;
	bool has_noise = chance(2) == 0;

	s->calm_us = between(30 * S, 110 * S);
	s->pause_low_us = MS;
	s->pause_high_us = chance(3) == 0 ? 110 * S : 40 * S;
	s->is_one_death = chance(5) == 0;
	if (s->is_one_death) {
		s->kinds = 1u << FAULT_DEATH;
		s->faults_every_us = 30 * S;
		return;
	}
	s->faults_every_us = between(3 * S, 20 * S);
	s->kinds = chance(4) == 0 ? (1u << FAULT_COUNT) - 1 : chance(1u << FAULT_COUNT);
	s->missed_notify = chance(2) == 0 ? 3000 : 0;
	s->late_us = between(5 * S, 70 * S);
	if (has_noise) {
		unsigned rough = chance(3) == 0 ? 10 : 1;

		s->lost = rough * chance(150);
		s->answer_lost = rough * chance(150);
		s->broken = rough * chance(150);
		s->late = rough * chance(100);
	}
	s->pause_at_step = chance(2) == 0 ? chance(60) : 0;
	s->death_at_step = chance(3) == 0 ? chance(20) : 0;
}

void scenario_make(struct world *w)
{
	unsigned nodes = 1 + chance(4);
	uint32_t all;

	stores_make(w);
	all = (1u << w->n_upstreams) - 1;
	w->scenario = (struct scenario){ .all_reach_all = chance(2) == 0 };
	troubles_make(w);
	if (w->scenario.all_reach_all)
		w->scenario.kinds &= ~(1u << FAULT_ADD);
	for (unsigned i = 0; i < nodes; i++) {
		uint32_t reach = w->scenario.all_reach_all ? all : 1 + chance(all);

		node_add(w, i == 0 && w->scenario.is_one_death ? all : reach, NOBODY,
			 between(0, 3 * S));
	}
	batches_make(w);
	event_add(w, w->scenario.calm_us, EV_CALM, 0, 0, NULL);
	event_add(w, between(5 * S, 5 * S + 2 * w->scenario.faults_every_us), EV_FAULT, 0, 0, NULL);
	event_add(w, between(0, 40 * S), EV_READER, 0, NONE, NULL);
}
