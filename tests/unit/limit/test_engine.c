/* test_engine.c: what the engine's metrics advise, poll by poll. */
#include "unit.h"

#include <math.h>

#include "limit/common.h"
#include "limit/engine.h"

struct world {
	struct engine e;
	struct curve c;
	struct engine_view v;
};

static void begin(struct world *w, double cap)
{
	*w = (struct world){ .v = { .now_us = SECOND,
				    .cap = cap,
				    .holds = true,
				    .own = (unsigned)cap,
				    .batch = (unsigned)cap,
				    .allowed = cap } };
	engine_init(&w->e, w->v.now_us);
}

static struct engine_advice poll(struct world *w, double running, double waiting, double cache)
{
	struct gauges g = { .running = running, .waiting = waiting, .cache = cache };

	w->v.now_us += SECOND / 2;
	return engine_gauges(&w->e, &g, &w->v, &w->c);
}

static void a_queue_that_lasts_lowers(void **state)
{
	struct world w;
	struct engine_advice a = { .kind = ENGINE_NOTHING };

	(void)state;
	begin(&w, 40);
	assert_int_equal(poll(&w, 20, 20, 0).kind, ENGINE_NOTHING); /* it may be the next step's */
	assert_int_equal(poll(&w, 20, 20, 0).kind, ENGINE_NOTHING);
	a = poll(&w, 20, 20, 0);
	assert_int_equal(a.kind, ENGINE_LOWER);
	assert_int_equal(a.reason, LIMIT_ENGINE_QUEUE);
	assert_true(fabs(a.cap - 19) < 1e-9); /* one of 20 slots stays free */
	assert_true(engine_knows_slots(&w.e, w.v.now_us));
	assert_true(engine_has_queue(&w.e));
	assert_false(engine_is_reason(&w.e, w.v.now_us));
	engine_lowered(&w.e, a.reason, w.v.now_us);
	assert_true(engine_is_reason(&w.e, w.v.now_us));
	assert_false(engine_is_reason(&w.e, w.v.now_us + MINUTE));
}

static void a_full_cache_lowers(void **state)
{
	struct world w;
	struct engine_advice a;

	(void)state;
	begin(&w, 40);
	a = poll(&w, 40, 0, 0.99);
	assert_int_equal(a.kind, ENGINE_LOWER);
	assert_int_equal(a.reason, LIMIT_ENGINE_CACHE);
	assert_true(fabs(a.cap - 36) < 1e-9);
}

static void while_search_grows_it_hurries(void **state)
{
	struct world w;
	struct engine_advice a;

	(void)state;
	begin(&w, 8);
	w.v.grows = true;
	w.v.holds = false;
	a = poll(&w, 8, 0, 0);
	assert_int_equal(a.kind, ENGINE_GROW);
	assert_true(fabs(a.cap - 12) < 1e-9);
	w.v.batch = 4; /* not while less is in flight than may be */
	assert_int_equal(poll(&w, 8, 0, 0).kind, ENGINE_NOTHING);
}

static void more_slots_are_tried_now_and_then(void **state)
{
	struct world w;
	struct engine_advice a = { .kind = ENGINE_NOTHING };

	(void)state;
	begin(&w, 40);
	for (int i = 0; i < 3; i++)
		a = poll(&w, 20, 20, 0);
	assert_int_equal(a.kind, ENGINE_LOWER);
	w.v.cap = a.cap;
	w.v.own = w.v.batch = 19;
	for (int i = 0; i < 200 && a.kind != ENGINE_TRY; i++)
		a = poll(&w, 19, 0, 0);
	assert_int_equal(a.kind, ENGINE_TRY);
	assert_true(fabs(a.cap - 21) < 1e-9);
	w.v.cap = a.cap;
	a = poll(&w, 21, 0, 0);
	for (int i = 0; i < 20 && a.kind != ENGINE_TRY; i++)
		a = poll(&w, 21, 0, 0);
	assert_int_equal(a.kind, ENGINE_TRY);
	assert_true(fabs(a.cap - 20) < 1e-9); /* there are 21 */
}

static void others_are_seen_at_once_and_gone_after_two_polls(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 10);
	poll(&w, 10, 0, 0);
	assert_true(w.e.others <= 0);
	poll(&w, 16, 0, 0);
	assert_true(fabs(w.e.others - 6) < 1e-9);
	poll(&w, 10, 0, 0);
	assert_true(fabs(w.e.others - 6) < 1e-9);
	poll(&w, 10, 0, 0);
	assert_true(w.e.others <= 0);
	assert_true(fabs(w.e.others_most - 6) < 1e-9);
}

static void metrics_that_never_change_are_not_believed(void **state)
{
	struct world w;
	struct engine_advice a = { .kind = ENGINE_NOTHING };

	(void)state;
	begin(&w, 10);
	for (int i = 0; i < 60 && a.kind != ENGINE_DISTRUST; i++) {
		engine_answered(&w.e);
		a = poll(&w, 10, 500, 0);
	}
	assert_int_equal(a.kind, ENGINE_DISTRUST);
	assert_false(engine_is_fresh(&w.e, w.v.now_us));
	assert_false(engine_knows_slots(&w.e, w.v.now_us));
	assert_true(w.e.others <= 0);
	assert_int_equal(poll(&w, 10, 500, 0).kind, ENGINE_NOTHING);
	w.v.now_us += MINUTE;
	poll(&w, 10, 0, 0);
	assert_true(engine_is_fresh(&w.e, w.v.now_us));
}

static void a_fixed_limit_wants_no_advice(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 40);
	w.v.fixed = true;
	for (int i = 0; i < 10; i++)
		assert_int_equal(poll(&w, 20, 20, 1).kind, ENGINE_NOTHING);
}

static void metrics_grow_stale_and_are_lost(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 10);
	assert_false(engine_is_fresh(&w.e, w.v.now_us));
	poll(&w, 16, 0, 0);
	assert_true(engine_is_fresh(&w.e, w.v.now_us));
	assert_false(engine_is_fresh(&w.e, w.v.now_us + 5 * SECOND));
	engine_lost(&w.e);
	assert_false(engine_is_fresh(&w.e, w.v.now_us));
	assert_true(w.e.others <= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_that_lasts_lowers),
		cmocka_unit_test(a_full_cache_lowers),
		cmocka_unit_test(while_search_grows_it_hurries),
		cmocka_unit_test(more_slots_are_tried_now_and_then),
		cmocka_unit_test(others_are_seen_at_once_and_gone_after_two_polls),
		cmocka_unit_test(metrics_that_never_change_are_not_believed),
		cmocka_unit_test(a_fixed_limit_wants_no_advice),
		cmocka_unit_test(metrics_grow_stale_and_are_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
