/* test_trials.c: when a line ends (contract 8.3), in virtual time: lines, one lane with its
 * breaker, and a server that is scripted by the clock. */
#include "unit.h"

#include "dispatch/trials.h"

#define PATIENCE_MS (15u * 60 * 1000)

static const struct trials_limits limits = { .attempts_max = 6, .patience_ms = PATIENCE_MS };

/* A world of one lane: each step sends what is due, a line at a time, as the breaker lets it. */
struct world {
	struct breaker lane;
	uint64_t now_ms;
	struct trials lines[64];
	uint64_t due_ms[64];
	bool ended[64], good[64], counted[64];
	unsigned n, requests;
	/* What the server does with a line now. */
	enum blame (*serve)(const struct world *w, unsigned line);
	bool healthy;
};

static void world_send(struct world *w, unsigned i)
{
	bool probe = w->lane.state != BREAKER_CLOSED;
	uint64_t sent = w->now_ms;
	struct judgement j = { .blame = w->serve(w, i) };
	w->requests++;
	w->now_ms += 20; /* it takes a moment */
	struct trials_view v = { .sent_ms = sent,
				 .now_ms = w->now_ms,
				 .lane = &w->lane,
				 .well_meanwhile = breaker_well_after(&w->lane, sent),
				 .probe = probe };
	struct breaker_sign s = { .sent_ms = sent, .alone = true, .line_new = !w->counted[i] };
	if (blame_is_well(j.blame)) {
		(void)breaker_well(&w->lane, sent, w->now_ms);
		memset(w->counted, 0, sizeof(w->counted));
	} else if (j.blame == BLAME_PATH) {
		(void)breaker_refused(&w->lane, &s, w->now_ms);
	} else if (j.blame != BLAME_THROTTLED) {
		(void)breaker_fault(&w->lane, &s, w->now_ms);
		w->counted[i] = true;
	}
	v.open = w->lane.state != BREAKER_CLOSED;
	w->ended[i] = trials_end(&w->lines[i], &j, &v, &limits, &w->due_ms[i]);
	w->good[i] = w->ended[i] && j.blame == BLAME_NOBODY;
	if (w->ended[i]) /* as attempt.c does */
		breaker_probe_at(&w->lane, w->now_ms + BREAKER_PROBE_MS);
}

/* The line that waits longest: probes take any, else it must be due. */
static unsigned world_next(const struct world *w)
{
	unsigned best = w->n;
	for (unsigned i = 0; i < w->n; i++)
		if (!w->ended[i] &&
		    (w->lane.state != BREAKER_CLOSED || w->due_ms[i] <= w->now_ms) &&
		    (best == w->n || w->due_ms[i] < w->due_ms[best]))
			best = i;
	return best;
}

static void world_run(struct world *w, uint64_t until_ms)
{
	bool probe;
	while (w->now_ms < until_ms) {
		unsigned i = world_next(w);
		if (i < w->n && breaker_due_ms(&w->lane, 0, w->now_ms, &probe) <= w->now_ms) {
			world_send(w, i);
			continue;
		}
		w->now_ms += 50;
		if (w->now_ms % 1000 < 50)
			breaker_health(&w->lane, w->healthy, w->now_ms);
	}
}

static unsigned count(const bool *flags, unsigned n)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < n; i++)
		sum += flags[i];
	return sum;
}

static enum blame outage_of_half_an_hour(const struct world *w, unsigned line)
{
	(void)line;
	return w->now_ms < 30u * 60 * 1000 ? BLAME_SERVER : BLAME_NOBODY;
}

/* U1, U4, U5: one line, nineteen, twenty, sixty: nobody is lost, probes are few, it goes on at
 * once. */
static void an_outage_costs_no_line(void **state)
{
	(void)state;
	static const unsigned sizes[] = { 1, 3, 5, 19, 20, 60 };
	for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
		struct world w = { .n = sizes[k], .now_ms = 1, .serve = outage_of_half_an_hour };
		world_run(&w, 30u * 60 * 1000);
		assert_int_equal(count(w.ended, w.n), 0);
		assert_true(w.requests <= 130);
		world_run(&w, 31u * 60 * 1000);
		assert_int_equal(count(w.good, w.n), w.n);
	}
}

static enum blame outage_of_a_minute(const struct world *w, unsigned line)
{
	(void)line;
	return w->now_ms >= 5000 && w->now_ms < 64000 ? BLAME_SERVER : BLAME_NOBODY;
}

static void after_a_short_outage_it_goes_on_within_two_seconds(void **state)
{
	(void)state;
	struct world w = { .n = 12, .now_ms = 5000, .serve = outage_of_a_minute };
	world_run(&w, 66000);
	assert_int_equal(count(w.good, w.n), 12);
	assert_true(w.requests <= 62 + 12);
}

static enum blame first_is_poison(const struct world *w, unsigned line)
{
	(void)w;
	return line == 0 ? BLAME_SERVER : BLAME_NOBODY;
}

/* One request at a time, so that nothing is ever answered while the bad line is in flight. */
static void a_line_that_alone_fails_ends_and_holds_up_no_others(void **state)
{
	(void)state;
	struct world w = { .n = 64, .now_ms = 1, .serve = first_is_poison };
	for (unsigned i = 1; i < w.n; i++)
		w.due_ms[i] = i * 10000; /* there is always one to be well */
	world_run(&w, 15u * 60 * 1000);
	assert_int_equal(count(w.ended, w.n), 64);
	assert_int_equal(count(w.good, w.n), 63);
	assert_int_equal(w.lines[0].spent, 6);
}

static enum blame poison(const struct world *w, unsigned line)
{
	(void)w;
	(void)line;
	return BLAME_SERVER;
}

static void a_small_batch_of_poison_ends_after_patience(void **state)
{
	(void)state;
	struct world w = { .n = 12, .now_ms = 1, .serve = poison, .healthy = true };
	world_run(&w, PATIENCE_MS - 2000);
	assert_int_equal(count(w.ended, w.n), 0);
	world_run(&w, PATIENCE_MS + 90000);
	assert_int_equal(count(w.ended, w.n), 12);
	assert_int_equal(count(w.good, w.n), 0);
	struct world sick = { .n = 12, .now_ms = 1, .serve = poison }; /* its health call says no */
	world_run(&sick, 2 * PATIENCE_MS);
	assert_int_equal(count(sick.ended, sick.n), 0);
}

static void a_large_one_waits(void **state)
{
	(void)state;
	struct world w = { .n = 40, .now_ms = 1, .serve = poison, .healthy = true };
	world_run(&w, 3 * PATIENCE_MS);
	assert_int_equal(count(w.ended, w.n), 0);
}

static enum blame wrong_path(const struct world *w, unsigned line)
{
	(void)line;
	return w->now_ms < 10u * 60 * 1000 ? BLAME_PATH : BLAME_NOBODY;
}

static void what_the_operator_can_mend_is_tried_each_minute(void **state)
{
	(void)state;
	struct world w = { .n = 30, .now_ms = 1, .serve = wrong_path };
	world_run(&w, 10u * 60 * 1000);
	assert_int_equal(count(w.ended, w.n), 0);
	assert_true(w.requests <= 11);
	world_run(&w, 12u * 60 * 1000);
	assert_int_equal(count(w.good, w.n), 30);
}

static void a_line_refused_beside_others_ends_after_patience(void **state)
{
	(void)state;
	struct breaker lane = { .well_ms = 1 };
	struct trials t = { 0 };
	struct judgement j = { .blame = BLAME_THROTTLED };
	uint64_t due;
	struct trials_view v = { .now_ms = 1000, .lane = &lane, .well_meanwhile = true };
	for (; v.now_ms < 1000 + PATIENCE_MS; v.now_ms += 30000)
		assert_false(trials_end(&t, &j, &v, &limits, &due));
	assert_int_equal(t.spent, 0);
	v.well_meanwhile = false; /* all are refused: that is no line's fault */
	assert_false(trials_end(&t, &j, &v, &limits, &due));
	v.well_meanwhile = true;
	assert_true(trials_end(&t, &j, &v, &limits, &due));
}

/* It may have waited for its turn meanwhile. */
static void two_refusals_are_not_all_the_while(void **state)
{
	(void)state;
	struct breaker lane = { .well_ms = 1 };
	struct trials t = { 0 };
	struct judgement j = { .blame = BLAME_THROTTLED };
	uint64_t due;
	struct trials_view v = { .now_ms = 1000, .lane = &lane, .well_meanwhile = true };
	for (unsigned i = 1; i < TRIALS_REFUSALS; i++, v.now_ms += PATIENCE_MS)
		assert_false(trials_end(&t, &j, &v, &limits, &due));
	assert_true(trials_end(&t, &j, &v, &limits, &due));
}

/* An upstream that failed others all the time says little of a line that it has not seen before. */
static void a_new_line_has_its_own_patience(void **state)
{
	(void)state;
	struct breaker lane = { .state = BREAKER_DOWN,
				.healthy_since_ms = 1000,
				.failed_lines = 3 };
	struct trials t = { 0 };
	struct judgement j = { .blame = BLAME_SERVER };
	uint64_t due, first_ms = 1000 + 2 * PATIENCE_MS;
	struct trials_view v = { .now_ms = first_ms, .lane = &lane, .probe = true, .open = true };
	for (; v.now_ms < first_ms + PATIENCE_MS; v.now_ms += 30000)
		assert_false(trials_end(&t, &j, &v, &limits, &due));
	lane.well_ms = first_ms + 1; /* it was up once more: that counts from then on */
	first_ms = v.now_ms;
	for (; v.now_ms < first_ms + PATIENCE_MS; v.now_ms += 30000)
		assert_false(trials_end(&t, &j, &v, &limits, &due));
	assert_true(trials_end(&t, &j, &v, &limits, &due));
}

/* A line that two upstreams fail in turn is one line to each of them. */
static void a_line_counts_once(void **state)
{
	(void)state;
	struct breaker lanes[2] = { { .state = BREAKER_DOWN }, { .state = BREAKER_DOWN } };
	struct trials t = { 0 };
	for (unsigned i = 0; i < 40; i++) {
		struct trials_view v = { .now_ms = 1000 * (i + 1),
					 .lane_number = i % 2,
					 .lane = &lanes[i % 2] };
		assert_int_equal(trials_fail_anew(&t, &v), i < 2);
	}
	lanes[0].well_ms = 50000;
	struct trials_view v = { .now_ms = 51000, .lane = &lanes[0] };
	assert_true(trials_fail_anew(&t, &v));
	assert_false(trials_fail_anew(&t, &v));
}

static void a_dead_connection_is_excused_once(void **state)
{
	(void)state;
	struct breaker lane = { .well_ms = 2000 };
	struct trials t = { 0 };
	struct judgement j = { .blame = BLAME_SERVER, .retry_at_once = true };
	struct trials_view v = {
		.sent_ms = 1000, .now_ms = 2500, .lane = &lane, .well_meanwhile = true
	};
	uint64_t due;
	assert_false(trials_end(&t, &j, &v, &limits, &due));
	assert_int_equal(t.spent, 0);
	assert_int_equal(due, 2500);
	assert_true(t.fresh);
	assert_false(trials_end(&t, &j, &v, &limits, &due));
	assert_int_equal(t.spent, 1);
}

/* V15 */
static void deaths_are_counted(void **state)
{
	(void)state;
	struct breaker lane = { 0 }, upstream = { 0 };
	struct trials t = { 0 };
	for (unsigned i = 0; i < TRIALS_DEATHS; i++) {
		t.broke = true;
		t.broke_trip = lane.trips + upstream.trips;
		trials_learn_death(&t, &lane,
				   &upstream); /* nothing opened: it was its connection alone */
		assert_int_equal(t.deaths, i);
		t.broke = true;
		upstream.trips++;
		trials_learn_death(&t, &lane, &upstream);
		assert_int_equal(t.deaths, i + 1);
	}
}

/* V15: a line that goes alone ends when it kills a server that was up; one that meets the ruins of
 * another's does not, but for its patience. */
static void who_goes_alone_ends_by_a_server_that_was_up(void **state)
{
	(void)state;
	struct breaker lane = { .state = BREAKER_DOWN };
	struct trials t = { 0 };
	struct judgement j = { .blame = BLAME_SERVER };
	struct trials_view v = { .sent_ms = 900, .now_ms = 1000, .lane = &lane, .probe = true };
	uint64_t due;

	v.broke_alone = true;
	for (unsigned i = 0; i < 2 * TRIALS_DEATHS; i++, v.now_ms += 1000)
		assert_false(trials_end(&t, &j, &v, &limits, &due));
	v.now_ms = 1000 + limits.patience_ms - 1;
	assert_false(trials_end(&t, &j, &v, &limits, &due));
	struct trials up = t, patient = t;
	v.up = true;
	assert_true(trials_end(&up, &j, &v, &limits, &due));
	v.up = false;
	v.now_ms++;
	assert_true(trials_end(&patient, &j, &v, &limits, &due));
	t.breaks = 0;
	v.broke_alone = false;
	assert_false(trials_end(&t, &j, &v, &limits, &due));
}

static void attempts_are_spread(void **state)
{
	(void)state;
	static const uint64_t ms[] = { 250, 1000, 4000, 16000, 60000, 60000, 60000 };
	for (uint32_t i = 0; i < ARRAY_LEN(ms); i++) {
		assert_int_equal(trials_backoff_ms(i, 0), ms[i] - ms[i] / 4);
		assert_in_range(trials_backoff_ms(i, UINT32_MAX), ms[i] + ms[i] / 4 - 1,
				ms[i] + ms[i] / 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_outage_costs_no_line),
		cmocka_unit_test(after_a_short_outage_it_goes_on_within_two_seconds),
		cmocka_unit_test(a_line_that_alone_fails_ends_and_holds_up_no_others),
		cmocka_unit_test(a_small_batch_of_poison_ends_after_patience),
		cmocka_unit_test(a_large_one_waits),
		cmocka_unit_test(what_the_operator_can_mend_is_tried_each_minute),
		cmocka_unit_test(a_line_refused_beside_others_ends_after_patience),
		cmocka_unit_test(two_refusals_are_not_all_the_while),
		cmocka_unit_test(a_new_line_has_its_own_patience),
		cmocka_unit_test(a_line_counts_once),
		cmocka_unit_test(a_dead_connection_is_excused_once),
		cmocka_unit_test(deaths_are_counted),
		cmocka_unit_test(who_goes_alone_ends_by_a_server_that_was_up),
		cmocka_unit_test(attempts_are_spread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
