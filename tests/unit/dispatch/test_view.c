/* What dispatch does, as numbers: each upstream, each model that has a label, and the rest in one
 * row. */
#include "memory_fault.h"

#include <math.h>

#include "dispatch/dispatch_impl.h"
#include "dispatch/flow_impl.h"
#include "dispatch/lane.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"
#include "dispatch/view_impl.h"

/* Two upstreams of two models each, of which one has no label; made by hand, nothing runs. */
struct world {
	struct budget budget;
	struct dispatch d;
	struct target ta, tb;
	struct upstream *a, *b; /* of these */
	struct model labelled, invented;
	struct lane lanes[4];
};

static void lane_make(struct lane *lane, struct upstream *u, struct model *m)
{
	const struct limit_config config = { .fixed = 8, .max = 16, .reserve = 0 };

	lane->upstream = u;
	lane->model = m;
	lane->next_of_upstream = target_of(u)->lanes;
	target_of(u)->lanes = lane;
	lane->limit = limit_new(&config, 1);
	assert_non_null(lane->limit);
}

static void world_make(struct world *w)
{
	*w = (struct world){
		.ta.upstream = { .config = { .name = (char *)"a",
					     .weight = 3,
					     .max_concurrency = 16 },
				 .slots = { .sent = 5, .online = 2 },
				 .counts = { 1, 2, 3, 4, 5, 6, 7, 8 } },
		.tb.upstream = { .config = { .name = (char *)"b", .max_concurrency = 9 },
				 .retired = true },
		.labelled = { .name = (char *)"m", .known = true, .batches = 2, .slots = 1.5 },
		.invented = { .name = (char *)"x", .batches = 1, .slots = 0.5 },
	};
	w->a = w->ta.watches.upstream = &w->ta.upstream;
	w->b = w->tb.watches.upstream = &w->tb.upstream;
	dispatch_thread_begin();
	budget_init(&w->budget, 1 << 20);
	w->d.config.budget = &w->budget;
	w->d.upstreams = w->a;
	w->a->next = w->b;
	w->d.models = &w->invented;
	w->invented.next = &w->labelled;
	w->d.online_count = 4;
	w->d.online_waiting = 3;
	lane_make(&w->lanes[0], w->a, &w->labelled);
	lane_make(&w->lanes[1], w->a, &w->invented);
	lane_make(&w->lanes[2], w->b, &w->labelled);
	lane_make(&w->lanes[3], w->b, &w->invented);
}

static void world_free(struct world *w)
{
	for (size_t i = 0; i < ARRAY_LEN(w->lanes); i++)
		limit_free(w->lanes[i].limit);
	assert_int_equal(w->budget.bytes, 0);
}

static struct scheduling_view view_of(struct world *w, bool decisions)
{
	struct scheduling_view v;
	struct error err;

	assert_true(view_make(&w->d, &(struct view_asked){ .decisions = decisions }, &v, &err));
	assert_true(w->budget.uses[BUDGET_CALLS].bytes > 0);
	return v;
}

static struct scheduling_view view_for(struct world *w, enum view_whose whose, const char *org)
{
	struct scheduling_view v;
	struct error err;

	assert_true(view_make(&w->d, &(struct view_asked){ whose, org, false }, &v, &err));
	assert_int_equal(v.whose, whose);
	assert_int_equal(v.upstream_count, 2);
	return v;
}

static void upstreams_and_their_lanes(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	w.lanes[0].slots.sent = 4;
	w.lanes[0].slots.held = 5;
	struct scheduling_view v = view_of(&w, true);
	assert_int_equal(v.upstream_count, 2);
	assert_int_equal(v.lane_count, 2);
	const struct view_upstream *a = &v.upstreams[0], *b = &v.upstreams[1];
	assert_true(slice_is(a->name, "a") && slice_is(b->name, "b"));
	assert_true(!a->retired && b->retired && b->draining && a->up);
	assert_int_equal(a->weight, 3);
	assert_int_equal(a->max_concurrency, 16);
	assert_int_equal(a->batch, 5);
	assert_int_equal(a->online, 2);
	assert_int_equal(a->sent_batch, 1);
	assert_int_equal(a->answered_2xx, 2);
	assert_int_equal(a->answered_4xx, 3);
	assert_int_equal(a->answered_throttled, 4);
	assert_int_equal(a->answered_5xx, 5);
	assert_int_equal(a->broken, 6);
	assert_int_equal(a->sent_online, 7);
	assert_int_equal(a->tokens, 8);
	assert_true(a->lanes == v.lanes && a->lane_count == 1 && b->lanes == v.lanes + 1);
	assert_true(slice_is(v.lanes[0].upstream, "a") && slice_is(v.lanes[0].model, "m"));
	assert_true(slice_is(v.lanes[1].upstream, "b") && v.lanes[1].retired);
	assert_int_equal(v.lanes[0].in_flight, 4);
	assert_int_equal(v.lanes[0].not_durable, 1);
	assert_float_equal(v.lanes[0].limit.requests, 8, 0);
	assert_string_equal(v.lanes[0].limit.reason, "fixed");
	scheduling_view_done(&v);
	world_free(&w);
}

static void models_and_the_others(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	struct scheduling_view v = view_of(&w, false);
	assert_int_equal(v.model_count, 1);
	assert_true(v.other_models);
	assert_true(slice_is(v.models[0].name, "m") && slice_is(v.models[1].name, OTHER_MODELS));
	assert_int_equal(v.models[0].batches, 2);
	assert_int_equal(v.models[1].batches, 1);
	assert_float_equal(v.models[1].slots, 0.5, 0);
	assert_int_equal(v.online_requests, 4);
	assert_int_equal(v.online_waiting, 3);
	scheduling_view_done(&v);

	w.invented.labelled = true;
	v = view_of(&w, false);
	assert_int_equal(v.model_count, 2);
	assert_int_equal(v.lane_count, 4);
	assert_false(v.other_models);
	assert_true(slice_is(v.models[2].name, OTHER_MODELS) && v.models[2].batches == 0);
	scheduling_view_done(&v);
	world_free(&w);
}

/* Without a key: names that clients gave are among the others, also those that have a label. */
static void models_that_upstreams_list(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	w.invented.labelled = true;
	struct scheduling_view v = view_for(&w, VIEW_LISTED, NULL);
	assert_int_equal(v.model_count, 1);
	assert_true(slice_is(v.models[0].name, "m") && v.models[0].batches == 2);
	assert_true(v.other_models && v.models[1].batches == 1);
	assert_int_equal(v.lane_count, 2);
	assert_true(slice_is(v.lanes[0].model, "m") && slice_is(v.lanes[1].model, "m"));
	scheduling_view_done(&v);
	world_free(&w);
}

static bool no_segment(void *batch, struct segment_cursor *ret)
{
	(void)batch;
	(void)ret;
	return false;
}

static bool no_look(void *batch, uint64_t record, struct line_look *ret)
{
	(void)batch;
	(void)record;
	(void)ret;
	return false;
}

static void flow_make(struct flow *f, struct model *m, const char *org, unsigned waiting)
{
	*f = (struct flow){ .id = "batch-1",
			    .waiting = waiting,
			    .entry = { .batch = f, .org_weight = 1 } };
	snprintf(f->entry.org, sizeof(f->entry.org), "%s", org);
	m->retry.waiting += waiting;
	schedule_add(m->schedule, &f->entry);
}

static void models_of_an_organization(void **state)
{
	const struct schedule_ops ops = { .segment_next = no_segment, .look = no_look };
	struct flow flows[3]; /* two of m, one of the model without a label */
	struct world w;

	(void)state;
	world_make(&w);
	w.labelled.schedule = schedule_open(&ops);
	w.invented.schedule = schedule_open(&ops);
	flow_make(&flows[0], &w.labelled, "org-a", 3);
	flow_make(&flows[1], &w.labelled, "org-b", 4);
	flow_make(&flows[2], &w.invented, "org-b", 5);

	struct scheduling_view v = view_for(&w, VIEW_ORG, "org-a");
	assert_true(v.model_count == 1 && !v.other_models && v.lane_count == 2);
	assert_true(slice_is(v.models[0].name, "m"));
	assert_true(v.models[0].batches == 1 && v.models[0].waiting_again == 3);
	assert_true(v.models[1].batches == 0 && v.models[1].waiting_again == 0);
	scheduling_view_done(&v);

	v = view_for(&w, VIEW_ORG, "org-b");
	assert_true(v.model_count == 1 && v.other_models && v.lane_count == 2);
	assert_true(v.models[0].batches == 1 && v.models[0].waiting_again == 4);
	assert_true(v.models[1].batches == 1 && v.models[1].waiting_again == 5);
	scheduling_view_done(&v);

	v = view_for(&w, VIEW_ORG, "org-c");
	assert_true(v.model_count == 0 && !v.other_models && v.lane_count == 0);
	assert_true(v.models[0].batches == 0);
	scheduling_view_done(&v);

	struct error err;
	assert_true(view_make(&w.d, &(struct view_asked){ .flows = true }, &v, &err));
	assert_int_equal(v.flow_count, 3); /* of the latest model first */
	assert_true(slice_is(v.flows[0].model, OTHER_MODELS) && slice_is(v.flows[0].org, "org-b"));
	assert_true(v.flows[0].waiting_again == 5 && slice_is(v.flows[0].batch, "batch-1"));
	assert_true(slice_is(v.flows[1].model, "m") && slice_is(v.flows[2].model, "m"));
	assert_int_equal(v.flows[1].waiting_again + v.flows[2].waiting_again, 7);
	scheduling_view_done(&v);

	schedule_remove(w.labelled.schedule, &flows[0].entry);
	schedule_remove(w.labelled.schedule, &flows[1].entry);
	schedule_remove(w.invented.schedule, &flows[2].entry);
	schedule_close(w.labelled.schedule);
	schedule_close(w.invented.schedule);
	world_free(&w);
}

static void the_last_decisions_the_oldest_first(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	for (unsigned i = 0; i < DECISIONS_MAX + 3; i++)
		w.lanes[0].decisions[w.lanes[0].decision_count++ % DECISIONS_MAX] =
			(struct decision){ .at = i, .state = { .work_ms = i } };
	struct scheduling_view v = view_of(&w, true);
	const struct view_lane *lane = &v.lanes[0];
	assert_int_equal(lane->decision_count, DECISIONS_MAX);
	for (unsigned i = 0; i < DECISIONS_MAX; i++) {
		assert_int_equal(lane->decisions[i].at, i + 3);
		assert_float_equal(lane->decisions[i].limit.work_s, (i + 3) / 1000.0, 1e-12);
	}
	assert_int_equal(v.lanes[1].decision_count, 0);
	scheduling_view_done(&v);
	v = view_of(&w, false);
	assert_int_equal(v.lanes[0].decision_count, 0);
	scheduling_view_done(&v);
	world_free(&w);
}

/* An upstream waits where it says so itself, or where all its lanes do. */
static void states_and_what_was_said(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	snprintf(w.lanes[0].circuit.said.text, sizeof(w.lanes[0].circuit.said.text), "HTTP 500");
	snprintf(w.a->circuit.said.text, sizeof(w.a->circuit.said.text), "HTTP 401");
	w.lanes[0].circuit.stall = STALL_DOWN;
	struct scheduling_view v = view_of(&w, false);
	assert_int_equal(v.upstreams[0].state, STALL_NONE);
	assert_int_equal(v.upstreams[0].said.n, 0);
	scheduling_view_done(&v);

	w.lanes[1].closed = true;
	v = view_of(&w, false);
	assert_int_equal(v.upstreams[0].state, STALL_DOWN);
	assert_false(v.upstreams[0].up);
	assert_true(slice_is(v.upstreams[0].said, "HTTP 500"));
	scheduling_view_done(&v);

	w.a->circuit.stall = STALL_REFUSED;
	w.a->circuit.breaker.trips = 2;
	w.lanes[0].circuit.breaker.trips = 3;
	v = view_of(&w, false);
	assert_int_equal(v.upstreams[0].state, STALL_REFUSED);
	assert_true(slice_is(v.upstreams[0].said, "HTTP 401"));
	assert_int_equal(v.upstreams[0].trips, 5);
	scheduling_view_done(&v);
	world_free(&w);
}

static void metrics_of_an_engine(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	w.a->has_gauges = true;
	w.ta.watches.metrics.due_ms = sys.monotonic_ms();
	w.a->gauges =
		(struct gauges){ .kind = GAUGES_VLLM, .running = 3, .waiting = 1, .cache = -1 };
	struct scheduling_view v = view_of(&w, false);
	assert_string_equal(v.upstreams[0].engine, "vllm");
	assert_float_equal(v.upstreams[0].running, 3, 0);
	assert_float_equal(v.upstreams[0].waiting, 1, 0);
	assert_true(isnan(v.upstreams[0].cache));
	assert_null(v.upstreams[1].engine);
	assert_true(isnan(v.upstreams[1].running) && isnan(v.upstreams[1].waiting));
	scheduling_view_done(&v);
	world_free(&w);
}

static void nothing_is_known(void **state)
{
	struct world w = { 0 };

	(void)state;
	budget_init(&w.budget, 0);
	w.d.config.budget = &w.budget;
	struct scheduling_view v = view_of(&w, true);
	assert_int_equal(v.upstream_count + v.lane_count + v.model_count, 0);
	assert_true(slice_is(v.models[0].name, OTHER_MODELS));
	scheduling_view_done(&v);
	assert_int_equal(w.budget.bytes, 0);
}

static void without_memory_it_fails(void **state)
{
	struct world w;

	(void)state;
	world_make(&w);
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct scheduling_view v;
		struct error err;
		memory_fail(&s);
		bool ok = view_make(&w.d, &(struct view_asked){ .decisions = true }, &v, &err);
		memory_restore(&s);
		if (ok)
			scheduling_view_done(&v);
		else
			assert_no_memory(&err);
		assert_int_equal(ok, !s.fired);
	}
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upstreams_and_their_lanes),
		cmocka_unit_test(models_and_the_others),
		cmocka_unit_test(models_that_upstreams_list),
		cmocka_unit_test(models_of_an_organization),
		cmocka_unit_test(the_last_decisions_the_oldest_first),
		cmocka_unit_test(states_and_what_was_said),
		cmocka_unit_test(metrics_of_an_engine),
		cmocka_unit_test(nothing_is_known),
		cmocka_unit_test(without_memory_it_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
