/* The rings: sums by step, what was not seen, and whose place is taken. */
#include "unit.h"

#include <math.h>

#include "history/rings.h"

static struct rings rings;
static struct rings_rate rates[HOUR_STEPS];

static int setup(void **state)
{
	(void)state;
	assert_true(rings_init(&rings));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rings_done(&rings);
	return 0;
}

static void lines(const char *org, uint32_t n)
{
	assert_true(rings_add(&rings, org, &(struct sums){ .lines = n, .tokens = n * 10 }));
}

/* The newest step of the span. */
static struct rings_rate newest(const char *org, enum rings_span span)
{
	(void)rings_read(&rings, org, span, rates);
	return rates[rings_steps(span) - 1];
}

static void nothing_is_known_at_first(void **state)
{
	(void)state;
	lines("a", 5); /* of a tick that has not ended */
	assert_int_equal(rings_read(&rings, NULL, RINGS_HOUR, rates), 0);
	for (unsigned i = 0; i < HOUR_STEPS; i++)
		assert_true(isnan(rates[i].lines_per_s) && isnan(rates[i].first_ms));
}

static void a_tick_has_its_rates(void **state)
{
	(void)state;
	lines("a", 50);
	lines("b", 20);
	lines("a", 10);
	rings_tick(&rings, 1);
	assert_true(newest("a", RINGS_HOUR).lines_per_s == 6);
	assert_true(newest("b", RINGS_HOUR).tokens_per_s == 20);
	assert_true(newest(NULL, RINGS_HOUR).lines_per_s == 8);
	assert_true(newest("nobody", RINGS_HOUR).lines_per_s == 0);
	assert_true(isnan(newest("a", RINGS_HOUR).first_ms));
	rings_tick(&rings, 1);
	assert_true(newest("a", RINGS_HOUR).lines_per_s == 0);
	assert_true(rates[HOUR_STEPS - 2].lines_per_s == 6);
	assert_true(isnan(rates[HOUR_STEPS - 3].lines_per_s));
}

static void first_tokens_are_a_mean(void **state)
{
	(void)state;
	assert_true(rings_add(&rings, "a", &(struct sums){ .first_ms = 100, .firsts = 1 }));
	assert_true(rings_add(&rings, "a", &(struct sums){ .first_ms = 300, .firsts = 1 }));
	rings_tick(&rings, 1);
	assert_true(newest("a", RINGS_HOUR).first_ms == 200);
	assert_true(newest("a", RINGS_DAY).first_ms == 200);
	assert_true(isnan(newest("b", RINGS_HOUR).first_ms));
}

static void the_newest_step_of_a_day_grows(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DAY_TICKS + 3; i++) {
		lines("a", i < DAY_TICKS ? 100 : 40);
		rings_tick(&rings, 1);
	}
	assert_int_equal(rings_read(&rings, "a", RINGS_DAY, rates), 3);
	assert_true(rates[DAY_STEPS - 1].lines_per_s == 4);
	assert_true(rates[DAY_STEPS - 2].lines_per_s == 10);
	assert_true(isnan(rates[DAY_STEPS - 3].lines_per_s));
}

static void a_ring_goes_round(void **state)
{
	const unsigned ticks = 3 * RINGS_TICKS / 2 + 7;

	(void)state;
	for (unsigned i = 0; i < ticks; i++) {
		lines("a", i);
		rings_tick(&rings, 1);
	}
	(void)rings_read(&rings, "a", RINGS_HOUR, rates);
	for (unsigned i = 0; i < HOUR_STEPS; i++)
		assert_true(rates[i].lines_per_s == (double)(ticks - HOUR_STEPS + i) / TICK_S);
	assert_int_equal(rings_read(&rings, "a", RINGS_DAY, rates), 7);
	for (unsigned i = 1; i < DAY_STEPS - 1; i++)
		assert_true(fabs(rates[i].lines_per_s - rates[i - 1].lines_per_s - 3) < 1e-9);
	assert_false(isnan(rates[0].lines_per_s));
}

static void what_came_in_several_ticks_is_shared(void **state)
{
	(void)state;
	lines("a", 70);
	rings_tick(&rings, 3);
	(void)rings_read(&rings, "a", RINGS_HOUR, rates);
	assert_true(rates[HOUR_STEPS - 1].lines_per_s == 2.4);
	assert_true(rates[HOUR_STEPS - 2].lines_per_s == 2.3);
	assert_true(rates[HOUR_STEPS - 3].lines_per_s == 2.3);
	assert_true(newest("a", RINGS_DAY).lines_per_s == 70 / 30.0);
}

static void a_mean_of_several_ticks_stays_one(void **state)
{
	(void)state;
	assert_true(rings_add(&rings, "a", &(struct sums){ .first_ms = 500, .firsts = 1 }));
	rings_tick(&rings, 2);
	assert_true(newest("a", RINGS_HOUR).first_ms == 500);
	assert_true(newest("a", RINGS_DAY).first_ms == 500);
}

static void a_gap_is_unknown(void **state)
{
	(void)state;
	lines("a", 30);
	rings_tick(&rings, 1);
	lines("a", 1000); /* lost with its tick */
	rings_gap(&rings, 2);
	lines("a", 60);
	rings_tick(&rings, 1);
	(void)rings_read(&rings, "a", RINGS_HOUR, rates);
	assert_true(rates[HOUR_STEPS - 1].lines_per_s == 6);
	assert_true(isnan(rates[HOUR_STEPS - 2].lines_per_s));
	assert_true(isnan(rates[HOUR_STEPS - 3].lines_per_s));
	assert_true(rates[HOUR_STEPS - 4].lines_per_s == 3);
	/* of the ticks that were seen */
	assert_true(newest("a", RINGS_DAY).lines_per_s == 4.5);
}

static void a_gap_of_a_day_leaves_nothing(void **state)
{
	static const uint64_t gaps[] = { RINGS_TICKS, RINGS_TICKS + 1, UINT64_MAX };

	(void)state;
	for (size_t g = 0; g < ARRAY_LEN(gaps); g++) {
		lines("a", 30);
		rings_tick(&rings, 7);
		rings_gap(&rings, gaps[g]);
		(void)rings_read(&rings, NULL, RINGS_HOUR, rates);
		for (unsigned i = 0; i < HOUR_STEPS; i++)
			assert_true(isnan(rates[i].lines_per_s));
		(void)rings_read(&rings, "a", RINGS_DAY, rates);
		for (unsigned i = 1; i < DAY_STEPS; i++)
			assert_true(isnan(rates[i].lines_per_s));
	}
}

/* What is in the rings of all goes on; what the new one did before is not known. */
static void the_idlest_gives_its_place(void **state)
{
	char name[32];

	(void)state;
	for (unsigned i = 0; i < RINGS_ORGS; i++) {
		snprintf(name, sizeof(name), "org-%u", i);
		lines(name, 10);
		rings_tick(&rings, 1);
	}
	lines("org-0", 10); /* now org-1 is the idlest */
	rings_tick(&rings, 1);
	lines("new", 20);
	rings_tick(&rings, 1);
	assert_int_equal(rings.count, 1 + RINGS_ORGS);
	(void)rings_read(&rings, "new", RINGS_HOUR, rates);
	assert_true(rates[HOUR_STEPS - 1].lines_per_s == 2);
	assert_true(isnan(rates[HOUR_STEPS - 2].lines_per_s));
	assert_true(isnan(newest("org-1", RINGS_HOUR).lines_per_s));
	assert_true(newest("org-0", RINGS_HOUR).lines_per_s == 0);
	(void)rings_read(&rings, NULL, RINGS_HOUR, rates);
	for (unsigned i = HOUR_STEPS - RINGS_ORGS - 2; i < HOUR_STEPS - 1; i++)
		assert_true(rates[i].lines_per_s == 1);
}

/* Where more are busy at once than have places they would take each other's with every line. */
static void who_is_busy_keeps_its_place(void **state)
{
	char name[32];

	(void)state;
	for (unsigned tick = 0; tick < 4; tick++) {
		for (unsigned i = 0; i < 2 * RINGS_ORGS; i++) {
			snprintf(name, sizeof(name), "org-%u", i);
			assert_int_equal(rings_add(&rings, name, &(struct sums){ .lines = 10 }),
					 i < RINGS_ORGS);
		}
		rings_tick(&rings, 1);
	}
	assert_true(newest("org-0", RINGS_HOUR).lines_per_s == 1);
	assert_true(isnan(newest("org-64", RINGS_HOUR).lines_per_s));
	assert_true(newest(NULL, RINGS_HOUR).lines_per_s == 2 * RINGS_ORGS);
	rings_tick(&rings, 2); /* all are idle */
	lines("org-64", 10);
	rings_tick(&rings, 1);
	assert_true(newest("org-64", RINGS_HOUR).lines_per_s == 1);
}

static void a_sum_stays_at_its_most(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_true(rings_add(&rings, "a", &(struct sums){ .tokens = UINT32_MAX - 1 }));
	rings_tick(&rings, 1);
	assert_true(newest("a", RINGS_HOUR).tokens_per_s == UINT32_MAX / 10.0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_known_at_first),
		TEST(a_tick_has_its_rates),
		TEST(first_tokens_are_a_mean),
		TEST(the_newest_step_of_a_day_grows),
		TEST(a_ring_goes_round),
		TEST(what_came_in_several_ticks_is_shared),
		TEST(a_mean_of_several_ticks_stays_one),
		TEST(a_gap_is_unknown),
		TEST(a_gap_of_a_day_leaves_nothing),
		TEST(the_idlest_gives_its_place),
		TEST(who_is_busy_keeps_its_place),
		TEST(a_sum_stays_at_its_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
