/* world.c: virtual time, and a run of it. */
#include "world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "random.h"

/* After the calm, batches have so long to end, and garbage so long to go. */
#define CALM_MAX_US (3000 * S) /* the slowest upstream, all lines one after another */
#define CALM_STEP_US (5 * S)

uint32_t chance(uint32_t below)
{
	return sim_random(below);
}

int64_t between(int64_t low, int64_t high)
{
	return low + (int64_t)((double)(high - low) * sim_random_unit());
}

void trace(const struct world *w, const char *text, ...)
{
	va_list args;

	if (!w->is_traced)
		return;
	printf("%9.3f  ", (double)w->now_us / (double)S);
	va_start(args, text);
	vprintf(text, args);
	va_end(args);
	printf("\n");
}

/* ---- events: a heap, the earliest first; at one time, the one that was added first ---- */

static bool is_before(const struct event *a, const struct event *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

static void event_insert(struct world *w, struct event e)
{
	unsigned at = w->n_events++;

	assert(at < EVENTS_MAX);
	e.order = w->order++;
	while (at > 0) {
		unsigned above = (at - 1) / 2;

		if (!is_before(&e, &w->events[above]))
			break;
		w->events[at] = w->events[above];
		at = above;
	}
	w->events[at] = e;
}

static struct event event_first(struct world *w)
{
	struct event first = w->events[0], last = w->events[--w->n_events];
	unsigned at = 0;

	for (;;) {
		unsigned child = 2 * at + 1;

		if (child >= w->n_events)
			break;
		if (child + 1 < w->n_events && is_before(&w->events[child + 1], &w->events[child]))
			child++;
		if (!is_before(&w->events[child], &last))
			break;
		w->events[at] = w->events[child];
		at = child;
	}
	w->events[at] = last;
	return first;
}

void event_add(struct world *w, int64_t after_us, enum event_kind kind, unsigned node, unsigned x,
	       struct op *op)
{
	event_insert(w, (struct event){ .at_us = w->now_us + after_us,
					.kind = (uint8_t)kind,
					.node = (uint8_t)node,
					.x = (uint16_t)x,
					.op = op });
}

static bool is_of_a_node(const struct event *e)
{
	return e->kind <= EV_NODE_KINDS && e->kind != EV_APPLY && e->kind != EV_ARRIVE;
}

static void arrived(struct world *w, const struct event *e)
{
	const struct upstream *u = &w->upstreams[w->attempts[e->x].upstream];

	event_add(w, between(u->low_us, u->high_us), EV_ANSWERED, e->node, e->x, NULL);
}

static void node_event(struct world *w, const struct event *e)
{
	struct node *n = &w->nodes[e->node];

	switch (e->kind) {
	case EV_ANSWER:
		op_end(w, e->op, e->op->applied);
		break;
	case EV_TIMEOUT:
		op_end(w, e->op, UNKNOWN);
		break;
	case EV_RETRY_OP:
		if (e->op->node_epoch == n->epoch)
			op_send(w, e->op);
		break;
	case EV_SEND:
		work_send_late(w, n, e->x);
		break;
	case EV_ANSWERED:
		work_answered(w, n, e->x,
			      !happens(w->upstreams[w->attempts[e->x].upstream].failing));
		break;
	case EV_RENEW:
		node_renew_now(w, n);
		break;
	case EV_LOOK:
		if (!breaks(w, MUTANT_LOOK_NEVER))
			event_add(w, LOOK_US, EV_LOOK, e->node, 0, NULL);
		node_look_now(w, n);
		break;
	case EV_NOTIFY:
		if (n->is_entered)
			node_look_now(w, n);
		break;
	case EV_SWEEP:
		node_sweep(w, n);
		break;
	default:
		node_turn(w, n);
		break;
	}
	step_taken(w, n);
}

static void event_run(struct world *w, const struct event *e)
{
	struct node *n = &w->nodes[e->node];

	if (is_of_a_node(e) && n->is_alive && n->paused_until_us > w->now_us) {
		struct event later = *e;

		later.at_us = n->paused_until_us;
		event_insert(w, later);
		return;
	}
	w->figures.events++;
	if (is_of_a_node(e) && n->is_alive)
		node_event(w, e);
	else if (e->kind == EV_APPLY)
		op_arrive(w, e->op);
	else if (e->kind == EV_ARRIVE)
		arrived(w, e);
	else if (e->kind == EV_START)
		node_start(w, n);
	else if (e->kind == EV_DEATH_CHECK)
		truth_death_check(w, &w->deaths[e->x]);
	else if (!is_of_a_node(e))
		fault_event(w, e);
	if (e->kind == EV_APPLY || e->kind == EV_ANSWER || e->kind == EV_TIMEOUT ||
	    e->kind == EV_RETRY_OP)
		op_forget(w, e->op);
}

/* ---- a run ---- */

static void run_until(struct world *w, int64_t until_us)
{
	while (w->n_events > 0 && w->events[0].at_us <= until_us && w->truth.broken == NULL) {
		struct event e = event_first(w);

		w->now_us = e.at_us;
		event_run(w, &e);
	}
	if (w->truth.broken == NULL)
		w->now_us = until_us;
}

static bool batches_are_over(const struct world *w)
{
	for (unsigned b = 0; b < BATCHES_MAX; b++)
		if (w->db.batches[b].n_spans > 0 && w->db.batches[b].state != BATCH_IS_OVER)
			return false;
	return true;
}

static void world_clear(struct world *w, uint64_t seed, enum mutant mutant)
{
	w->seed = seed;
	w->mutant = mutant;
	w->now_us = w->heal_us = 0;
	w->is_calm = false;
	w->n_nodes = w->n_attempts = w->n_deaths = w->n_readers = w->n_events = w->order = 0;
	w->n_ops = 0;
	w->free_ops = NULL;
	/* Objects from where no part is named by its span: see MUTANT_PART_NAME. */
	w->n_objects = 2 * SPANS_MAX;
	for (unsigned i = 0; i < w->n_objects; i++) {
		w->bucket.objects[i] = NONE;
		w->db.seen_us[i] = LEASE_NONE;
		w->db.was_named[i] = false;
	}
	w->db.is_down = w->db.is_read_only = w->bucket.is_down = false;
	w->db.step_us = 0;
	memset(w->db.upstreams, 0, sizeof(w->db.upstreams));
	memset(w->db.batches, 0, sizeof(w->db.batches));
	memset(&w->truth, 0, sizeof(w->truth));
	memset(&w->figures, 0, sizeof(w->figures));
	for (unsigned i = 0; i < LINES_MAX; i++)
		w->truth.lines[i].committed = w->truth.lines[i].last = NONE;
	sim_seed = (seed + 1) * 0x9e3779b97f4a7c15u;
}

bool world_run(struct world *w, uint64_t seed, enum mutant mutant)
{
	int64_t end_us;

	world_clear(w, seed, mutant);
	scenario_make(w);
	run_until(w, w->scenario.calm_us);
	end_us = w->now_us + CALM_MAX_US;
	while (w->truth.broken == NULL && w->now_us < end_us && !batches_are_over(w))
		run_until(w, w->now_us + CALM_STEP_US);
	/* The longest pause, the latest message, garbage in its time, three sweeps. */
	end_us = w->now_us + SIM_GARBAGE_US + 4 * SIM_SWEEP_US;
	if (w->scenario.calm_us + 150 * S + SIM_GARBAGE_US > end_us)
		end_us = w->scenario.calm_us + 150 * S + SIM_GARBAGE_US;
	if (w->truth.broken == NULL)
		run_until(w, end_us);
	if (w->truth.broken == NULL)
		truth_at_end(w);
	return w->truth.broken == NULL;
}

void figures_add(struct figures *sum, const struct figures *f)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)f;

	for (size_t i = 0; i < sizeof(*f) / sizeof(*from); i++)
		to[i] += from[i];
}
