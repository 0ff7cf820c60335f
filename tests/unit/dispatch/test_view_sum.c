/* Views of several nodes: as text and back, and their sum. */
#include "unit.h"

#include <math.h>

#include "dispatch/model.h"
#include "dispatch/view_sum.h"
#include "dispatch/view_text.h"

#define LANE(name, n)                                                                      \
	{                                                                                  \
		.upstream = SLICE("u"), .model = SLICE(name), .in_flight = (n), .limit = { \
			.requests = 16,                                                    \
			.reason = "fixed",                                                 \
			.batch = (n)                                                       \
		}                                                                          \
	}

static const struct view_decision decision = { 99, { .requests = 8, .reason = "probe" } };

/* Node A drives a, node B drives b, and has online requests at a. */
static struct view_lane a_lanes[] = { LANE("m", 5), LANE("x", 0) };
static struct view_lane a_lanes_elsewhere[] = { LANE("x", 0), LANE("m", 0) };
static struct view_lane b_lanes[] = { LANE("m", 7) };
static struct view_lane b_lanes_elsewhere[] = { LANE("m", 0), LANE("only-here", 0) };

static struct view_upstream of_a[] = {
	{ .name = SLICE("a"),
	  .driven = true,
	  .up = true,
	  .batch = 5,
	  .online = 1,
	  .weight = 3,
	  .engine = "vllm",
	  .running = 4,
	  .waiting = NAN,
	  .cache = 0.5,
	  .lanes = a_lanes,
	  .lane_count = 2 },
	{ .name = SLICE("b"),
	  .state = STALL_ELSEWHERE,
	  .said = SLICE("another node drives it"),
	  .up = true,
	  .running = NAN,
	  .waiting = NAN,
	  .cache = NAN,
	  .lanes = b_lanes_elsewhere,
	  .lane_count = 2 },
};
static struct view_upstream of_b[] = {
	{ .name = SLICE("a"),
	  .state = STALL_ELSEWHERE,
	  .said = SLICE("another node drives it"),
	  .up = true,
	  .online = 2,
	  .running = NAN,
	  .waiting = NAN,
	  .cache = NAN,
	  .lanes = a_lanes_elsewhere,
	  .lane_count = 2 },
	{ .name = SLICE("b"),
	  .driven = true,
	  .state = STALL_DOWN,
	  .said = SLICE("refused\tit"),
	  .batch = 7,
	  .running = NAN,
	  .waiting = NAN,
	  .cache = NAN,
	  .lanes = b_lanes,
	  .lane_count = 1 },
};

#define FLOW(m, o, b, n)                        \
	{                                       \
		SLICE(m), SLICE(o), SLICE(b), n \
	}
static const struct view_flow flows_a[] = { FLOW("m", "org-1", "batch-1", 1),
					    FLOW("m", "org-1", "batch-1", 2),
					    FLOW("(others)", "org-2", "batch-2", 4) };
static const struct view_flow flows_b[] = { FLOW("m", "org-1", "batch-1", 8),
					    FLOW("m", "org-2", "batch-3", 16) };
static const struct view_model models_a[] = { { SLICE("x"), 0, 1, 0 },
					      { SLICE("m"), 2, 15.5, 3 },
					      { SLICE(OTHER_MODELS), 1, 0.5, 4 } };
static const struct view_model models_b[] = { { SLICE("m"), 2, 16, 24 }, { SLICE(OTHER_MODELS) } };

static struct scheduling_view view_a = { .upstreams = of_a,
					 .upstream_count = 2,
					 .lane_count = 4,
					 .models = models_a,
					 .model_count = 2,
					 .other_models = true,
					 .flows = flows_a,
					 .flow_count = 3,
					 .online_requests = 1 };
static struct scheduling_view view_b = { .upstreams = of_b,
					 .upstream_count = 2,
					 .lane_count = 3,
					 .models = models_b,
					 .model_count = 1,
					 .flows = flows_b,
					 .flow_count = 2,
					 .online_requests = 2,
					 .online_waiting = 1 };

static char text[8000];

static void through_text(const struct scheduling_view *v, struct scheduling_view *ret)
{
	AUTO(buf_free) struct buf to = BUF(sizeof(text) - 1);
	struct error err;

	view_write(&to, v);
	assert_true(!to.failed && slice_copy(buf_slice(&to), text, sizeof(text)));
	if (!view_read(text, ret, &err))
		fail_msg("%s", err.message);
}

static int setup(void **state)
{
	(void)state;
	a_lanes[0].decisions = &decision;
	a_lanes[0].decision_count = 1;
	a_lanes_elsewhere[1].limit.online = 2;
	return 0;
}

static void a_view_goes_through_text(void **state)
{
	struct scheduling_view v;

	(void)state;
	through_text(&view_a, &v);
	assert_int_equal(v.upstream_count, 1); /* of b it has nothing to say */
	const struct view_upstream *a = &v.upstreams[0];
	assert_true(slice_is(a->name, "a") && a->up && a->batch == 5 && a->online == 1);
	assert_true(a->weight == 3 && a->running == 4 && isnan(a->waiting) && a->cache == 0.5);
	assert_string_equal(a->engine, "vllm");
	assert_int_equal(a->lane_count, 2);
	const struct view_lane *m = &a->lanes[0];
	assert_true(slice_is(m->model, "m") && slice_is(m->upstream, "a") && m->in_flight == 5);
	assert_string_equal(m->limit.reason, "fixed");
	assert_int_equal(m->decision_count, 1);
	assert_true(m->decisions[0].at == 99 && m->decisions[0].limit.requests == 8);
	assert_true(v.model_count == 2 && v.other_models && v.models[1].slots == 15.5);
	assert_true(slice_is(v.models[2].name, OTHER_MODELS) && v.models[2].slots == 0.5);
	assert_int_equal(v.flow_count, 2); /* the two spans of batch-1 are one */
	assert_true(slice_is(v.flows[0].batch, "batch-1") && v.flows[0].waiting_again == 3);
	scheduling_view_done(&v);
	through_text(&view_b, &v);
	assert_int_equal(v.upstream_count, 2);
	assert_int_equal(v.upstreams[0].lane_count, 1); /* where something is in flight */
	assert_true(v.upstreams[1].state == STALL_DOWN &&
		    slice_is(v.upstreams[1].said, "refused\tit"));
	scheduling_view_done(&v);
}

static void what_makes_no_sense_is_refused(void **state)
{
	const char *bad[] = { "lane\tm\t1\t0\t1\tr\t1\t0\t0\t0\t0\t0\t0\n",
			      "decision\t1\t1\tr\t1\t0\t0\t0\t0\t0\t0\n",
			      "upstream\tu\n",
			      "online\t1\n",
			      "model\tm\t1\n",
			      "model\tm\tnan\t0\n",
			      "model\tm\t1e300\t0\n",
			      "others\tm\t-1\t0\n" };
	struct scheduling_view v;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), "%s", bad[i]);
		assert_false(view_read(text, &v, &err));
		assert_int_equal(err.kind, ERR_INVALID);
	}
	snprintf(text, sizeof(text), "unheard of\t1\nonline\t1\t2\tmore\n\n");
	assert_true(view_read(text, &v, &err));
	assert_true(v.online_requests == 1 && v.upstream_count == 0 && v.model_count == 0);
	scheduling_view_done(&v);
}

/* Each state that is read has a word, which is shown. */
static void states_are_those_of_upstreams(void **state)
{
	struct scheduling_view v;
	struct error err;

	(void)state;
	for (unsigned i = 0; i <= STALL_HELD + 2; i++) {
		bool has_word = i <= STALL_HELD && stall_words(i)->upstream != NULL;
		snprintf(text, sizeof(text),
			 "upstream\tu\t0\t0\t%u\t\t1\t1\t1\t1\t1\t\tnan\tnan\tnan\t1\n", i);
		assert_int_equal(view_read(text, &v, &err), has_word);
		if (has_word)
			scheduling_view_done(&v);
	}
}

static struct scheduling_view sum_of(const struct scheduling_view *first,
				     const struct scheduling_view *second, enum view_whose whose,
				     const char *org)
{
	const struct scheduling_view *views[] = { first, second };
	const struct view_asked asked = { .whose = whose, .org = org };
	struct scheduling_view v;
	struct error err;

	assert_true(view_sum(views, 2, &asked, &v, &err));
	return v;
}

static void upstreams_are_their_drivers(const struct scheduling_view *v)
{
	const struct view_upstream *a = &v->upstreams[0], *b = &v->upstreams[1];

	assert_int_equal(v->upstream_count, 2);
	assert_true(slice_is(a->name, "a") && slice_is(b->name, "b"));
	assert_true(a->state == STALL_NONE && a->batch == 5 && a->online == 3 && a->running == 4);
	assert_true(b->state == STALL_DOWN && slice_is(b->said, "refused\tit") && b->batch == 7);
	assert_int_equal(a->lane_count, 2);
	assert_true(slice_is(a->lanes[0].model, "m") && a->lanes[0].in_flight == 5);
	assert_true(a->lanes[0].limit.online == 2 && a->lanes[0].decision_count == 1);
	assert_true(b->lane_count == 1 && b->lanes[0].in_flight == 7);
}

static void the_sum_is_the_same_on_both(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct scheduling_view v = sum_of(i == 0 ? &view_a : &view_b,
						  i == 0 ? &view_b : &view_a, VIEW_ALL, NULL);
		upstreams_are_their_drivers(&v);
		assert_true(v.online_requests == 3 && v.online_waiting == 1);
		assert_true(v.model_count == 2 && v.other_models);
		assert_true(slice_is(v.models[0].name, "m") && slice_is(v.models[1].name, "x"));
		assert_true(v.models[0].slots == 31.5 && v.models[0].batches == 2);
		assert_int_equal(v.models[0].waiting_again, 27);
		assert_true(v.models[2].batches == 1 && v.models[2].waiting_again == 4);
		scheduling_view_done(&v);
	}
}

/* Its online requests alone found a down: whoever drives it knows better. */
static void who_does_not_drive_is_not_believed(void **state)
{
	struct scheduling_view told, *const others[] = { &view_b, &told };

	(void)state;
	of_b[0].state = STALL_DOWN;
	of_b[0].said = SLICE("refused");
	of_b[0].up = false;
	through_text(&view_b, &told);
	for (int i = 0; i < 2; i++) {
		struct scheduling_view v = sum_of(others[i], &view_a, VIEW_ALL, NULL);
		upstreams_are_their_drivers(&v);
		assert_true(v.upstreams[0].up && v.upstreams[0].said.n == 0);
		scheduling_view_done(&v);
	}
	scheduling_view_done(&told);
	of_b[0].online = a_lanes_elsewhere[1].limit.online = 0;
	through_text(&view_b, &told);
	assert_int_equal(told.upstream_count, 1); /* it has nothing to say of it */
	scheduling_view_done(&told);
}

static void an_organization_sees_its_own_of_all(void **state)
{
	struct scheduling_view v = sum_of(&view_a, &view_b, VIEW_ORG, "org-2");

	(void)state;
	assert_true(v.model_count == 1 && slice_is(v.models[0].name, "m") && v.other_models);
	assert_true(v.models[0].batches == 1 && v.models[0].waiting_again == 16);
	assert_true(v.models[1].batches == 1 && v.models[1].waiting_again == 4);
	assert_true(v.upstreams[0].lane_count == 1 && v.upstreams[1].lane_count == 1);
	scheduling_view_done(&v);
	v = sum_of(&view_a, &view_b, VIEW_ORG, "org-1");
	assert_true(v.models[0].batches == 1 && !v.other_models);
	scheduling_view_done(&v);
	v = sum_of(&view_a, &view_b, VIEW_ORG, "org-3");
	assert_true(v.model_count == 0 && !v.other_models && v.lane_count == 0);
	scheduling_view_done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_view_goes_through_text),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(states_are_those_of_upstreams),
		cmocka_unit_test(the_sum_is_the_same_on_both),
		cmocka_unit_test(an_organization_sees_its_own_of_all),
		cmocka_unit_test(who_does_not_drive_is_not_believed), /* the last: B is changed */
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
