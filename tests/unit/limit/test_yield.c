/* test_yield.c: cross traffic seen in latency, by itself: suspected, found or not, made room for,
 * given up. */
#include "unit.h"

#include <math.h>

#include "limit/common.h"
#include "limit/yield.h"

#define CAP 64.0
#define LATENCY_US 1e6

struct world {
	struct yield y;
	struct curve c;
	uint64_t now_us;
	double others; /* in the engine's queue beside ours */
	double slower; /* all work is, in ln */
	bool suspended;
};

static struct yield_view view(const struct world *w)
{
	return (struct yield_view){ .now_us = w->now_us,
				    .limit = fmin(CAP, w->y.cap),
				    .goal = CAP,
				    .cap = CAP,
				    .latency_us = LATENCY_US,
				    .batch = (unsigned)fmin(CAP, w->y.cap),
				    .steady = !w->suspended,
				    .blind = true };
}

/* An engine that does CAP at a time: what is more in it waits. */
static double ln_time_at(double all)
{
	return log(0.01 * fmax(1, all / CAP));
}

static void begin(struct world *w)
{
	*w = (struct world){ .now_us = 100 * SECOND };
	yield_init(&w->y);
	unsigned steps = (unsigned)(log(CAP) / log(1.1));
	for (unsigned step = 0; step <= steps; step++) {
		double n = pow(1.1, step);
		for (int i = 0; i < 10; i++)
			curve_learn(&w->c, n, ln_time_at(n), 0.1);
	}
	for (int i = 0; i < 10; i++)
		curve_learn(&w->c, CAP, ln_time_at(CAP), 0.1);
}

static enum yield_verdict answer(struct world *w)
{
	struct yield_view v = view(w);
	double ln_time = ln_time_at(v.limit + w->others) + w->slower, should = 0;
	enum yield_verdict verdict;

	w->now_us += SECOND / 10;
	v.now_us = w->now_us;
	assert_true(curve_at(&w->c, log(v.limit), &should));
	yield_look(&w->y, &v, &w->c, &(struct yield_answer){ v.limit, v.limit, ln_time });
	verdict = w->y.mode == YIELD_SUSPECTS ? yield_test(&w->y, &v, &w->c, ln_time - should)
					      : yield_learn(&w->y, &v, &w->c, ln_time - should);
	w->suspended = w->y.mode == YIELD_SUSPECTS;
	return verdict;
}

static enum yield_verdict answers_until(struct world *w, unsigned most)
{
	enum yield_verdict verdict = YIELD_NOTHING;

	for (unsigned i = 0; i < most && verdict == YIELD_NOTHING; i++)
		verdict = answer(w);
	return verdict;
}

static void latency_as_ever_is_no_suspicion(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	assert_int_equal(answers_until(&w, 1000), YIELD_NOTHING);
	assert_true(isinf(w.y.cap));
	assert_true(yield_trusts(&w.y));
}

static void others_are_found_and_kept_room_for(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.others = 40;
	assert_int_equal(answers_until(&w, 100), YIELD_SUSPICION);
	assert_true(w.y.cap < 0.2 * CAP);
	assert_int_equal(answers_until(&w, 100), YIELD_SETTLED);
	assert_int_equal(w.y.mode, YIELD_WATCHES);
	assert_true(w.y.cap < 0.85 * CAP && w.y.cap >= 0.1 * CAP);
	/* ... for ten minutes, and then it is given up slowly */
	double kept = w.y.cap;
	w.now_us += 9 * MINUTE;
	struct yield_view v = view(&w);
	assert_int_equal(yield_tick(&w.y, &v), YIELD_NOTHING);
	assert_true(fabs(w.y.cap - kept) < 1e-9);
	w.now_us += 3 * MINUTE;
	v = view(&w);
	assert_int_equal(yield_tick(&w.y, &v), YIELD_NOTHING);
	assert_true(w.y.cap > kept && !isinf(w.y.cap));
	w.now_us += 60 * MINUTE;
	v = view(&w);
	assert_int_equal(yield_tick(&w.y, &v), YIELD_NOTHING);
	assert_true(isinf(w.y.cap));
}

/* As slow with little in flight: the curve is bent, and nothing is kept free. */
static void work_that_became_slower_is_no_others(void **state)
{
	struct world w;
	double before, after;

	(void)state;
	begin(&w);
	assert_true(curve_at(&w.c, log(CAP), &before));
	w.slower = 1.2;
	assert_int_equal(answers_until(&w, 100), YIELD_SUSPICION);
	assert_int_equal(answers_until(&w, 200), YIELD_SETTLED);
	assert_true(isinf(w.y.cap));
	assert_true(curve_at(&w.c, log(CAP), &after));
	assert_true(after > before + 0.2);
}

static void a_suspicion_does_not_last(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.others = 40;
	assert_int_equal(answers_until(&w, 100), YIELD_SUSPICION);
	double cut = w.y.cap;
	w.now_us += 3 *
		    (uint64_t)LATENCY_US; /* long lines do not end: more may be sent beside them */
	struct yield_view v = view(&w);
	assert_int_equal(yield_tick(&w.y, &v), YIELD_NOTHING);
	assert_true(w.y.cap > cut);
	w.now_us += 8 * (uint64_t)LATENCY_US;
	v = view(&w);
	assert_int_equal(yield_tick(&w.y, &v), YIELD_SETTLED);
	assert_true(isinf(w.y.cap));
}

static void it_is_given_up_when_asked(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	yield_give_up(&w.y); /* there is none */
	assert_int_equal(w.y.mode, YIELD_WATCHES);
	w.others = 40;
	assert_int_equal(answers_until(&w, 100), YIELD_SUSPICION);
	yield_reopened(&w.y, w.now_us + SECOND);
	assert_int_equal(w.y.mode, YIELD_WATCHES);
	assert_true(isinf(w.y.cap));
}

static void answers_in_waves_are_no_reason(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.others = 40;
	yield_wait(&w.y, w.now_us + 20 * SECOND);
	assert_int_equal(answers_until(&w, 190), YIELD_NOTHING);
	assert_int_equal(answers_until(&w, 100), YIELD_SUSPICION);
}

/* Work that became faster moves the curve, without a suspicion. */
static void faster_work_moves_the_curve(void **state)
{
	struct world w;
	double before, after;

	(void)state;
	begin(&w);
	assert_true(curve_at(&w.c, log(CAP), &before));
	for (int i = 0; i < 300; i++) {
		struct yield_view v = view(&w);
		double should;
		w.now_us = v.now_us += SECOND / 10;
		assert_true(curve_at(&w.c, log(CAP), &should));
		assert_int_equal(yield_learn(&w.y, &v, &w.c, before - 0.5 - should), YIELD_NOTHING);
	}
	assert_true(curve_at(&w.c, log(CAP), &after));
	assert_true(after < before - 0.3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(latency_as_ever_is_no_suspicion),
		cmocka_unit_test(others_are_found_and_kept_room_for),
		cmocka_unit_test(work_that_became_slower_is_no_others),
		cmocka_unit_test(a_suspicion_does_not_last),
		cmocka_unit_test(it_is_given_up_when_asked),
		cmocka_unit_test(answers_in_waves_are_no_reason),
		cmocka_unit_test(faster_work_moves_the_curve),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
