/* test_search.c: phases by themselves, against an engine that is a formula: throughput grows with
 * requests in flight up to a knee, and beyond it nothing more comes. */
#include "unit.h"

#include <math.h>

#include "limit/common.h"
#include "limit/search.h"

#define MAX 1000

struct world {
	struct search s;
	double knee;
	uint64_t now_us;
	bool may_probe, found;
	unsigned answers;
};

static void begin(struct world *w, double knee)
{
	*w = (struct world){ .knee = knee, .now_us = SECOND, .may_probe = true };
	search_init(&w->s, w->now_us);
	search_configure(&w->s, MAX, 0, w->now_us);
}

/* As many are in flight as the cap lets through, for so long; ten answers a second of each. */
static void run(struct world *w, uint64_t for_us)
{
	for (uint64_t until_us = w->now_us + for_us; w->now_us < until_us;) {
		double n = floor(w->s.cap);
		/* no two answers take the same */
		double ln_time = log(0.01 * fmax(1, n / w->knee)) + 0.1 * sin(w->answers++);
		w->now_us += (uint64_t)((double)SECOND / (10 * n)) + 1;
		if (w->s.mode != SEARCH_SUSPENDED && search_in_phase(&w->s, w->now_us))
			search_sample(&w->s,
				      &(struct search_answer){ w->now_us, log(n), ln_time, true });
		struct search_view v = { .now_us = w->now_us,
					 .latency_us = 1e5,
					 .may_probe = w->may_probe };
		w->found = search_step(&w->s, &v) || w->found;
	}
}

static void it_finds_the_knee_and_stays(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 60);
	assert_int_equal(w.s.mode, SEARCH_GROWS);
	run(&w, 20 * SECOND);
	assert_true(w.found);
	assert_true(search_is_steady(&w.s));
	run(&w, 300 * SECOND);
	assert_true(search_goal(&w.s) > 0.8 * w.knee && search_goal(&w.s) < 1.3 * w.knee);
}

static void it_follows_an_engine_that_takes_more(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 30);
	run(&w, 60 * SECOND);
	w.knee = 90;
	run(&w, 1200 * SECOND);
	assert_true(search_goal(&w.s) > 60);
}

static void where_it_may_not_probe_it_holds(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 30);
	w.may_probe = false;
	run(&w, 60 * SECOND);
	double at = w.s.cap;
	w.knee = 90;
	run(&w, 600 * SECOND);
	assert_true(fabs(w.s.cap - at) < 1e-9);
	assert_int_equal(w.s.mode, SEARCH_HOLDS);
}

static void the_maximum_ends_it(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 1e6);
	run(&w, 60 * SECOND);
	assert_true(fabs(search_goal(&w.s) - MAX) < 1e-9);
	assert_false(w.found);
}

static void it_follows_another_and_goes_on_from_there(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 60);
	for (unsigned cap = 4; cap < 20; cap++)
		search_follow(&w.s, cap, w.now_us);
	assert_int_equal(w.s.mode, SEARCH_HOLDS);
	assert_true(fabs(w.s.cap - 19) < 1e-9);
	run(&w, 120 * SECOND);
	assert_true(search_goal(&w.s) > 30);
}

static void it_is_settled_and_restarted(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 60);
	run(&w, 30 * SECOND);
	search_settle_at(&w.s, 8, w.now_us);
	assert_true(fabs(w.s.cap - 8) < 1e-9);
	assert_int_equal(w.s.mode, SEARCH_HOLDS);
	search_settle_at(&w.s, 0, w.now_us);
	assert_true(fabs(w.s.cap - LIMIT_START) < 1e-9);
	search_restart(&w.s, w.now_us);
	assert_int_equal(w.s.mode, SEARCH_GROWS);
	assert_true(fabs(w.s.cap - LIMIT_START) < 1e-9);
	run(&w, 30 * SECOND);
	assert_true(search_goal(&w.s) > 0.8 * w.knee);
}

static void suspended_it_stands_still(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 60);
	run(&w, 30 * SECOND);
	while (w.s.mode != SEARCH_PROBES)
		run(&w, SECOND / 100);
	double goal = search_goal(&w.s);
	search_suspend(&w.s, w.now_us);
	assert_true(fabs(w.s.cap - goal) < 1e-9); /* back from the probe */
	run(&w, 300 * SECOND);
	assert_true(fabs(w.s.cap - goal) < 1e-9);
	assert_false(search_is_steady(&w.s));
	search_hold(&w.s, SEARCH_HOLD_MIN, w.now_us);
	assert_true(search_is_steady(&w.s));
}

static void an_outage_ends_a_probe(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 60);
	run(&w, 30 * SECOND);
	while (w.s.mode != SEARCH_PROBES)
		run(&w, SECOND / 100);
	double goal = search_goal(&w.s);
	search_reopened(&w.s, w.now_us);
	assert_int_equal(w.s.mode, SEARCH_HOLDS);
	assert_true(fabs(w.s.cap - goal) < 1e-9);
	assert_false(search_in_phase(&w.s, w.now_us - 1)); /* what was sent before says nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_finds_the_knee_and_stays),
		cmocka_unit_test(it_follows_an_engine_that_takes_more),
		cmocka_unit_test(where_it_may_not_probe_it_holds),
		cmocka_unit_test(the_maximum_ends_it),
		cmocka_unit_test(it_follows_another_and_goes_on_from_there),
		cmocka_unit_test(it_is_settled_and_restarted),
		cmocka_unit_test(suspended_it_stands_still),
		cmocka_unit_test(an_outage_ends_a_probe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
