/* test_fill.c: which lane gets a line, with lanes made by hand; fill.c is linked with lines, a
 * schedule and memory of the test's own. What is sent stays in flight. */
#include "unit.h"

#include "dispatch/attempt.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/fill.h"
#include "dispatch/flow_impl.h"
#include "dispatch/lane.h"
#include "dispatch/line.h"
#include "dispatch/line_transfer.h"
#include "dispatch/online_impl.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"

#define MOST 64u

/* ---- what fill.c calls ---- */

struct schedule {
	unsigned left; /* lines */
};

static uint64_t now_us;
static unsigned looks; /* at whether there is a line */
static bool memory = true;
static struct line pool[4096];
static unsigned pool_n;
static struct flow flow;

bool on_dispatch_thread(void)
{
	return true;
}

static uint64_t test_monotonic_us(void)
{
	return now_us;
}

bool schedule_has_line(const struct schedule *s)
{
	looks++;
	return s->left > 0;
}

bool schedule_has_prefixes(const struct schedule *s)
{
	(void)s;
	return false;
}

bool schedule_next(struct schedule *s, const struct schedule_lane *lane, int64_t now_s,
		   struct schedule_line *ret)
{
	(void)lane;
	(void)now_s;
	*ret = (struct schedule_line){ .tokens = 1 };
	if (s->left == 0)
		return false;
	s->left--;
	return true;
}

void schedule_each(struct schedule *s, void (*each)(void *ctx, struct schedule_batch *b), void *ctx)
{
	(void)s;
	(void)each;
	(void)ctx;
}

void schedule_hold(struct schedule *s, struct schedule_batch *b, bool held)
{
	(void)s;
	(void)b;
	(void)held;
}

struct schedule *schedule_open(const struct schedule_ops *ops)
{
	(void)ops;
	return NULL;
}

void schedule_close(struct schedule *s)
{
	(void)s;
}

bool watches_gauges_current(const struct watches *w, uint64_t now_ms)
{
	(void)w;
	(void)now_ms;
	return false;
}

struct line *line_new(struct model *m, const struct schedule_line *scheduled)
{
	struct line *l = &pool[pool_n++ % ARRAY_LEN(pool)];

	flow.model = m;
	*l = (struct line){ .flow = &flow, .scheduled = *scheduled };
	return l;
}

struct line *line_due(struct model *m, uint64_t now_ms, unsigned avoid)
{
	(void)m;
	(void)now_ms;
	(void)avoid;
	return NULL;
}

struct line *line_last(struct model *m, uint64_t now_ms)
{
	(void)m;
	(void)now_ms;
	return NULL;
}

void line_wait(struct line *l, uint64_t due_ms)
{
	(void)due_ms;
	l->flow->model->schedule->left++;
}

bool line_send(struct dispatch *d, struct lane *lane, struct line *l)
{
	(void)d;
	l->slot = (struct slot){ .lane = &lane->slots,
				 .batch = &flow.slots,
				 .probe = lane_open_circuit(lane),
				 .units = 1 };
	slot_take(&l->slot, now_us / 1000);
	rate_limit_take(&lane->upstream->rate_limit, l->scheduled.tokens, now_us / 1000);
	l->mark = limit_batch_sent(lane->limit, 1, now_us);
	return true;
}

bool memory_has(const struct memory *m, double answer_bytes)
{
	(void)m;
	(void)answer_bytes;
	return memory;
}

void memory_await(const struct memory *m)
{
	(void)m;
}

void memory_resume(struct memory *m)
{
	(void)m;
}

void line_transfers_trim(struct upstream *u)
{
	(void)u;
}

bool online_fill(struct dispatch *d)
{
	(void)d;
	return false;
}

/* ---- upstreams and models, each with each ---- */

struct world {
	struct dispatch d;
	struct target targets[MOST];
	struct model models[MOST];
	struct schedule schedules[MOST];
	struct lane lanes[MOST * MOST];
	unsigned lane_n;
};

static struct world *world_new(unsigned upstreams, unsigned models, unsigned concurrency)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct limit_config config = { .fixed = concurrency, .max = 1000, .reserve = 0 };

	assert_non_null(w);
	now_us = 100000000;
	sys.monotonic_us = test_monotonic_us;
	for (unsigned i = upstreams; i-- > 0;) {
		w->targets[i].upstream = (struct upstream){ .next = w->d.upstreams,
							    .number = i,
							    .asked = true,
							    .config = { .weight = 1,
									.max_concurrency = 1000 } };
		w->d.upstreams = &w->targets[i].upstream;
	}
	for (unsigned j = models; j-- > 0;) {
		struct model *m = &w->models[j];
		*m = (struct model){ .next = w->d.models,
				     .schedule = &w->schedules[j],
				     .batches = 1 };
		w->d.models = m;
		for (unsigned i = upstreams; i-- > 0;) {
			struct lane *lane = &w->lanes[w->lane_n++];
			struct upstream *u = &w->targets[i].upstream;
			*lane = (struct lane){ .slots.of = &u->slots,
					       .upstream = u,
					       .model = m,
					       .next_of_upstream = target_of(u)->lanes,
					       .next_of_model = m->lanes,
					       .limit = limit_new(&config, now_us) };
			assert_non_null(lane->limit);
			target_of(u)->lanes = m->lanes = lane;
		}
	}
	return w;
}

static void world_free(struct world *w)
{
	for (unsigned i = 0; i < w->lane_n; i++)
		limit_free(w->lanes[i].limit);
	free(w);
	memory = true;
}

static struct lane *lane_of(struct world *w, unsigned upstream, unsigned model)
{
	struct lane *lane = w->models[model].lanes;

	while (lane->upstream != &w->targets[upstream].upstream)
		lane = lane->next_of_model;
	return lane;
}

/* ---- tests ---- */

static void every_slot_is_filled_at_once(void **state)
{
	struct world *w = world_new(3, 1, 4);

	(void)state;
	w->schedules[0].left = 100;
	assert_true(dispatch_fill(&w->d));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(lane_of(w, i, 0)->slots.sent, 4);
		assert_int_equal(lane_of(w, i, 0)->offer.lines, 0);
		assert_int_equal(lane_slots(lane_of(w, i, 0)), 4);
	}
	assert_false(dispatch_fill(&w->d));
	world_free(w);
}

static void without_lines_there_is_an_offer_and_nothing_to_do(void **state)
{
	struct world *w = world_new(1, 1, 4);

	(void)state;
	assert_false(dispatch_fill(&w->d));
	assert_int_equal(lane_of(w, 0, 0)->offer.lines, 4);
	assert_int_equal(lane_slots(lane_of(w, 0, 0)), 4);
	assert_int_equal(dispatch_fill_timeout(&w->d), -1);
	world_free(w);
}

static void models_share_what_the_upstream_takes(void **state)
{
	struct world *w = world_new(1, 3, 8);

	(void)state;
	w->targets[0].upstream.config.max_concurrency = 12;
	for (unsigned j = 0; j < 3; j++)
		w->schedules[j].left = 100;
	dispatch_fill(&w->d);
	for (unsigned j = 0; j < 3; j++)
		assert_int_equal(lane_of(w, 0, j)->slots.sent, 4);
	/* full by what one model sent: the others' offers fell with it */
	assert_int_equal(lane_of(w, 0, 0)->offer.lines, 0);
	world_free(w);
}

static void weights_share_lines(void **state)
{
	struct world *w = world_new(2, 1, 100);

	(void)state;
	w->targets[1].upstream.config.weight = 3;
	w->schedules[0].left = 40;
	dispatch_fill(&w->d);
	assert_in_range(lane_of(w, 0, 0)->slots.sent, 9, 11);
	assert_in_range(lane_of(w, 1, 0)->slots.sent, 29, 31);
	world_free(w);
}

static void one_that_is_down_gets_one_probe(void **state)
{
	struct world *w = world_new(1, 2, 8);
	struct breaker *b = &w->targets[0].upstream.circuit.breaker;

	(void)state;
	w->schedules[0].left = w->schedules[1].left = 100;
	*b = (struct breaker){ .state = BREAKER_DOWN, .probe_at_ms = now_us / 1000 + 500 };
	assert_false(dispatch_fill(&w->d));
	assert_int_equal(dispatch_fill_timeout(&w->d), 500);
	now_us += 500000;
	dispatch_fill(&w->d);
	assert_int_equal(w->targets[0].upstream.slots.sent, 1);
	assert_int_equal(w->targets[0].upstream.slots.probes, 1);
	now_us += 1000000; /* it has not ended: no other */
	assert_false(dispatch_fill(&w->d));
	world_free(w);
}

/* The slow start begins with the first line that is no probe, not with a question. */
static void a_gate_opens_where_a_line_is_sent(void **state)
{
	struct world *w = world_new(1, 1, 40);
	struct lane *lane = lane_of(w, 0, 0);

	(void)state;
	lane->gate_shut = true;
	dispatch_fill(&w->d);
	assert_int_equal(lane->offer.lines, 10); /* a quarter, were it opened now */
	assert_true(lane->gate_shut);
	assert_int_equal(limit_state(lane->limit, now_us).reason, LIMIT_FIXED);
	assert_int_equal((int)limit_state(lane->limit, now_us).limit, 40);
	w->schedules[0].left = 100;
	dispatch_fill(&w->d);
	assert_false(lane->gate_shut);
	assert_int_equal(lane->slots.sent, 10);
	assert_int_equal((int)limit_state(lane->limit, now_us).limit, 10);
	world_free(w);
}

static void a_minute_that_is_full_stops_all_lanes(void **state)
{
	struct world *w = world_new(1, 2, 8);

	(void)state;
	rate_limit_configure(&w->targets[0].upstream.rate_limit, 60, 0, now_us / 1000);
	w->schedules[0].left = w->schedules[1].left = 100;
	dispatch_fill(&w->d);
	assert_in_range(w->targets[0].upstream.slots.sent, 1, 3);
	assert_int_equal(lane_of(w, 0, 0)->offer.lines, 0);
	assert_int_equal(lane_of(w, 0, 1)->offer.lines, 0);
	assert_in_range(dispatch_fill_timeout(&w->d), 1, 2000);
	world_free(w);
}

static void a_line_alone_keeps_the_others_out(void **state)
{
	struct world *w = world_new(1, 2, 8);

	(void)state;
	w->targets[0].upstream.slots.alone = 1;
	w->schedules[1].left = 10;
	assert_false(dispatch_fill(&w->d));
	assert_int_equal(dispatch_fill_timeout(&w->d), -1);
	world_free(w);
}

static void questions_change_nothing(void **state)
{
	struct world *w = world_new(2, 2, 0);

	(void)state;
	w->schedules[0].left = 1;
	dispatch_fill(&w->d);
	struct lane before[4];
	memcpy(before, w->lanes, sizeof(before));
	struct limit_state was = limit_state(w->lanes[0].limit, now_us);
	for (unsigned i = 0; i < 100; i++) {
		now_us += 1000;
		(void)dispatch_fill_timeout(&w->d);
		(void)lane_slots(&w->lanes[i % 4]);
	}
	assert_memory_equal(before, w->lanes, sizeof(before));
	struct limit_state is = limit_state(w->lanes[0].limit, now_us - 100000);
	assert_true(is.limit >= was.limit && is.limit <= was.limit);
	assert_int_equal(is.reason, was.reason);
	assert_int_equal(is.batch, was.batch);
	world_free(w);
}

static void without_memory_nothing_is_sent(void **state)
{
	struct world *w = world_new(1, 1, 8);

	(void)state;
	memory = false;
	w->schedules[0].left = 10;
	assert_false(dispatch_fill(&w->d));
	world_free(w);
}

/* A line looks at each lane of its model, and at each of its upstream, and not at each of each. */
static void a_line_costs_lanes(void **state)
{
	struct world *w = world_new(50, 50, 4);
	unsigned sent = 0;

	(void)state;
	w->schedules[0].left = 200;
	looks = 0;
	dispatch_fill(&w->d);
	for (unsigned i = 0; i < 50; i++)
		sent += lane_of(w, i, 0)->slots.sent;
	assert_int_equal(sent, 200);
	assert_true(looks < 200 * (50 + 50) * 2);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_slot_is_filled_at_once),
		cmocka_unit_test(without_lines_there_is_an_offer_and_nothing_to_do),
		cmocka_unit_test(models_share_what_the_upstream_takes),
		cmocka_unit_test(weights_share_lines),
		cmocka_unit_test(one_that_is_down_gets_one_probe),
		cmocka_unit_test(a_gate_opens_where_a_line_is_sent),
		cmocka_unit_test(a_minute_that_is_full_stops_all_lanes),
		cmocka_unit_test(a_line_alone_keeps_the_others_out),
		cmocka_unit_test(questions_change_nothing),
		cmocka_unit_test(without_memory_nothing_is_sent),
		cmocka_unit_test(a_line_costs_lanes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
