/* test_engine.c: what the engine's metrics lead to, poll by poll. */
#include "unit.h"

#include <math.h>

#include "base/attr.h"

#include "limit/common.h"
#include "limit/engine.h"

struct world {
	struct engine e;
	struct curve c;
	struct engine_view v;
	double deferred, preemptions;
};

static void begin(struct world *w, double own)
{
	*w = (struct world){ .v = { .now_us = SECOND, .steps = 60 } };
	engine_init(&w->e, w->v.now_us);
	w->v.cap = w->v.taken = w->v.allowed = own;
	w->v.own_low = w->v.own_high = w->v.own_asked = w->v.own_least = own;
}

static void own(struct world *w, double n)
{
	w->v.cap = w->v.taken = w->v.allowed = n;
	w->v.own_low = w->v.own_high = w->v.own_asked = w->v.own_least = n;
}

static struct engine_advice poll(struct world *w, double running, double waiting)
{
	struct gauges g = { .running = running,
			    .waiting = waiting,
			    .cache = -1,
			    .deferred = w->deferred,
			    .preemptions = w->preemptions,
			    .prefix_queries = -1,
			    .prefix_hits = -1,
			    .output_tokens = -1,
			    .slots = -1 };

	w->v.now_us += SECOND / 4;
	return engine_gauges(&w->e, &g, &w->v, &w->c);
}

/* Polls an engine of `slots` in a closed loop that follows the cap. */
static double settle(struct world *w, double slots, unsigned polls)
{
	struct engine_advice a = { .cap = w->v.cap };

	for (unsigned i = 0; i < polls; i++) {
		double n = w->v.taken;
		for (unsigned k = 0; k < CURVE_FIRST; k++) /* throughput grows with what runs */
			curve_learn(&w->c, n, fmax(0, log(n / slots)), 0.1);
		a = poll(w, fmin(n, slots), fmax(0, n - slots));
		own(w, a.kind == ENGINE_LEAD ? floor(a.cap) : n);
	}
	return a.cap;
}

static void it_grows_to_the_slots_and_hardly_beyond(void **state)
{
	const double slots[] = { 4, 8, 64, 256 };
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
		double most = 0;
		begin(&w, 4);
		for (unsigned n = 0; n < 60; n++)
			most = fmax(most, settle(&w, slots[i], 1));
		assert_true(most <= slots[i] + fmax(2, slots[i] / 4));
		assert_true(w.v.cap >= slots[i] + 2 && w.v.cap <= slots[i] + fmax(3, slots[i] / 8));
		assert_int_equal(engine_reason(&w.e), LIMIT_ENGINE_QUEUE);
	}
}

/* 8 in 36 readings, 7 in 16, 6 in 3, as vLLM 0.32 shows 8 slots. */
static void readings_that_blink_take_nothing_away(void **state)
{
	const unsigned shown[] = { 8, 7, 8, 8, 7, 8, 6, 8, 7, 8, 8 };
	struct world w;

	(void)state;
	begin(&w, 4);
	settle(&w, 8, 20);
	for (unsigned i = 0; i < 500; i++) {
		struct engine_advice a = poll(&w, shown[i % ARRAY_LEN(shown)], 2);
		assert_true(a.cap >= 10 && a.cap <= 11);
		assert_true(w.e.others.now <= 0);
	}
}

static void an_engine_that_is_not_full_says_nothing_of_its_slots(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	settle(&w, 64, 40);
	own(&w, 3); /* no more lines */
	for (unsigned i = 0; i < 400; i++)
		poll(&w, 3, i % 2);
	assert_true(w.e.slots >= 64);
}

static void fewer_slots_and_more_are_found(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	settle(&w, 64, 40);
	assert_true(settle(&w, 16, 12) <= 16 + 4); /* 3 s */
	assert_true(settle(&w, 64, 24) >= 64);     /* 6 s */
}

static void what_waits_for_its_own_kind_is_no_queue(void **state)
{
	struct world w;
	struct engine_advice a;

	(void)state;
	begin(&w, 4);
	settle(&w, 8, 20);
	w.deferred = 6;
	for (unsigned i = 0; i < 100; i++)
		a = poll(&w, 6, 6);
	assert_true(a.cap >= 10);
	assert_true(fabs(engine_deferred(&w.e, w.v.now_us) - 6) < 1e-9);
	w.deferred = 100; /* at most as many as there are slots */
	poll(&w, 6, 100);
	assert_true(fabs(engine_deferred(&w.e, w.v.now_us) - w.e.slots) < 1e-9);
}

static void preemptions_are_the_reason_while_they_last(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	settle(&w, 8, 20);
	w.preemptions = 5;
	assert_true(poll(&w, 6, 4).cap >= 10);
	assert_int_equal(engine_reason(&w.e), LIMIT_ENGINE_CACHE);
	poll(&w, 6, 4);
	assert_int_equal(engine_reason(&w.e), LIMIT_ENGINE_QUEUE);
}

static void beside_online_nothing_waits(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	w.v.beside_online = true;
	settle(&w, 64, 60);
	assert_true(w.e.slots >= 62);
	own(&w, 60);
	for (unsigned i = 0; i < 4; i++)
		assert_true(fabs(poll(&w, 60, 0).cap - w.e.slots) <= 5);
}

/* A queue of a step or two, seen at 24 of 64 slots: that there are more is found all the same. */
static void beside_online_more_slots_are_found(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	settle(&w, 24, 40);
	w.v.beside_online = true;
	settle(&w, 64, 4 * 90);
	assert_true(w.e.slots >= 62);
	/* and no more is tried for where there is none */
	settle(&w, 64, 40);
	for (unsigned i = 0; i < 4 * 300; i++) {
		own(&w, 64);
		poll(&w, 64, 0);
	}
	assert_true(w.e.slots <= 64);
}

static void where_nothing_is_to_wait_the_slots_are_the_cap(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	settle(&w, 8, 20);
	w.v.unqueued = true;
	for (unsigned i = 0; i < 100; i++) {
		own(&w, 8);
		assert_true(fabs(poll(&w, 8, 0).cap - 8) < 1e-9);
	}
}

static enum limit_doubt doubt_of(struct world *w, double running, double waiting, unsigned polls)
{
	for (unsigned i = 0; i < polls; i++) {
		engine_answered(&w->e);
		struct engine_advice a = poll(w, running, waiting);
		if (a.kind == ENGINE_LEAD)
			own(w, floor(a.cap));
	}
	return w->e.doubt;
}

static void what_never_runs_tells_no_slots(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	assert_int_equal(doubt_of(&w, 0, 3, 20), LIMIT_DOUBT_SILENT); /* a pooling model */
	assert_false(engine_leads(&w.e, w.v.now_us));
	assert_true(w.e.others.now <= 0);
	assert_int_equal(doubt_of(&w, 3, 0, 1), LIMIT_DOUBT_NONE);
}

static void figures_that_stand_still_are_found_out_within_10_s(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	assert_int_equal(doubt_of(&w, 4, 0, 40), LIMIT_DOUBT_HIDDEN);
	assert_false(engine_is_fresh(&w.e, w.v.now_us));
	assert_int_equal(poll(&w, 4, 0).kind, ENGINE_NOTHING);
	w.v.now_us += MINUTE;
	own(&w, 4); /* and then it has to be right for a while before it leads */
	assert_int_equal(poll(&w, 4, 0).kind, ENGINE_NOTHING);
	for (unsigned i = 0; i < 45; i++)
		poll(&w, 4, 0);
	assert_true(engine_leads(&w.e, w.v.now_us));
}

/* Others fill 64 slots and a queue; `felt`: what is let through waits, too. */
static enum limit_doubt crowd_of(bool felt)
{
	struct world w;

	begin(&w, 2);
	for (unsigned i = 0; i < 40; i++) { /* 10 s */
		engine_answered(&w.e);
		own(&w, fmax(2, engine_let_through(&w.e, w.v.now_us)));
		poll(&w, 64, 10 + i % 3 + (felt ? w.v.taken : 0));
		if (w.e.doubt != LIMIT_DOUBT_NONE)
			break;
	}
	return w.e.doubt;
}

static void a_crowd_that_nobody_feels_is_not_believed(void **state)
{
	(void)state;
	assert_int_equal(crowd_of(false), LIMIT_DOUBT_CROWD);
	assert_int_equal(crowd_of(true), LIMIT_DOUBT_NONE);
}

/* That cap is no knee: search has to look for one. */
static void where_it_still_grew_search_starts_over(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	double cap = settle(&w, 64, 6);
	assert_int_equal(engine_lost(&w.e, cap, w.v.now_us).kind, ENGINE_DISTRUST);
	begin(&w, 4);
	cap = settle(&w, 8, 40);
	assert_int_equal(engine_lost(&w.e, cap, w.v.now_us).kind, ENGINE_NOTHING);
	assert_int_equal(engine_lost(&w.e, cap, w.v.now_us).kind, ENGINE_NOTHING);
}

/* A queue of a moment, then nobody asks for an hour: what was counted is over. */
static void what_was_counted_does_not_outlast_a_pause(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 2);
	for (unsigned i = 0; i < 8 && engine_let_through(&w.e, w.v.now_us) <= 0; i++)
		poll(&w, 64, 10);
	assert_true(engine_let_through(&w.e, w.v.now_us) > 0);
	assert_true(engine_let_through(&w.e, w.v.now_us + 6 * SECOND) <= 0);
	w.v.now_us += 60 * MINUTE;
	poll(&w, 2, 0);
	assert_true(engine_let_through(&w.e, w.v.now_us) <= 0);
	assert_true(w.e.others.now <= 0);
}

static void a_doubt_is_forgiven_after_an_hour(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	for (unsigned i = 0; i < 3; i++) {
		own(&w, 20);
		while (w.e.distrust_until_us <= w.v.now_us) {
			engine_answered(&w.e);
			poll(&w, 4, 0);
		}
		uint64_t for_us = w.e.distrust_until_us - w.v.now_us;
		assert_true(for_us == (i == 1 ? 4 : 1) * MINUTE);
		w.v.now_us = w.e.distrust_until_us + (i == 1 ? 61 * MINUTE : 0);
	}
}

/* Nor does it keep a doubt for good. */
static void a_fixed_limit_is_told_of_doubts_and_their_end(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 20);
	w.v.fixed = true;
	assert_int_equal(doubt_of(&w, 4, 0, 20), LIMIT_DOUBT_HIDDEN);
	w.v.now_us = w.e.distrust_until_us;
	assert_int_equal(doubt_of(&w, 20, 0, 60), LIMIT_DOUBT_NONE);
}

static void a_fixed_limit_wants_no_advice(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 40);
	w.v.fixed = true;
	for (int i = 0; i < 10; i++)
		assert_int_equal(poll(&w, 20, 20).kind, ENGINE_NOTHING);
}

static void metrics_grow_stale_and_are_lost(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 10);
	assert_false(engine_is_fresh(&w.e, w.v.now_us));
	poll(&w, 16, 0);
	assert_true(engine_is_fresh(&w.e, w.v.now_us));
	assert_false(engine_is_fresh(&w.e, w.v.now_us + 5 * SECOND));
	assert_int_equal(engine_lost(&w.e, 10, w.v.now_us).kind, ENGINE_NOTHING);
	assert_false(engine_is_fresh(&w.e, w.v.now_us));
	assert_true(w.e.others.now <= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_grows_to_the_slots_and_hardly_beyond),
		cmocka_unit_test(readings_that_blink_take_nothing_away),
		cmocka_unit_test(an_engine_that_is_not_full_says_nothing_of_its_slots),
		cmocka_unit_test(fewer_slots_and_more_are_found),
		cmocka_unit_test(what_waits_for_its_own_kind_is_no_queue),
		cmocka_unit_test(preemptions_are_the_reason_while_they_last),
		cmocka_unit_test(beside_online_nothing_waits),
		cmocka_unit_test(beside_online_more_slots_are_found),
		cmocka_unit_test(where_nothing_is_to_wait_the_slots_are_the_cap),
		cmocka_unit_test(what_never_runs_tells_no_slots),
		cmocka_unit_test(figures_that_stand_still_are_found_out_within_10_s),
		cmocka_unit_test(a_crowd_that_nobody_feels_is_not_believed),
		cmocka_unit_test(where_it_still_grew_search_starts_over),
		cmocka_unit_test(what_was_counted_does_not_outlast_a_pause),
		cmocka_unit_test(a_doubt_is_forgiven_after_an_hour),
		cmocka_unit_test(a_fixed_limit_is_told_of_doubts_and_their_end),
		cmocka_unit_test(a_fixed_limit_wants_no_advice),
		cmocka_unit_test(metrics_grow_stale_and_are_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
