/* The wall clock is believed while it goes with the monotonic one (D7). */
#include "unit.h"

#include "base/wall.h"

#define NOW INT64_C(1764400000)
#define DAY INT64_C(86400)
#define HOLD_S ((int64_t)(WALL_HOLD_MS / 1000))

/* A wall and a monotonic clock that the test moves. */
static struct {
	struct wall wall;
	int64_t now_s;
	uint64_t ms;
} c;

static enum wall_look start(int64_t newest_s)
{
	c.now_s = NOW;
	c.ms = 5000;
	return wall_begin(&c.wall, newest_s, c.now_s, c.ms);
}

/* Both clocks go on for `s` seconds, then the wall clock is set `step_s` further. */
static enum wall_look after(int64_t s, int64_t step_s)
{
	c.ms += (uint64_t)s * 1000;
	c.now_s += s + step_s;
	return wall_look(&c.wall, c.now_s, c.ms);
}

static void a_clock_that_goes_is_good(void **state)
{
	(void)state;
	assert_int_equal(start(0), WALL_GOOD);
	assert_int_equal(start(NOW), WALL_GOOD);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(after(i % 7, 0), WALL_GOOD);
	assert_int_equal(after(100 * DAY, 0), WALL_GOOD); /* no look for a long time */
}

static void slewing_is_no_step(void **state)
{
	(void)state;
	start(0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(after(60, i % 2 == 0 ? 9 : -9), WALL_GOOD);
}

/* Fractions of a second must not add up to a step. */
static void looks_may_be_milliseconds_apart(void **state)
{
	(void)state;
	start(0);
	for (uint64_t ms = 0; ms < 3600000; ms += 37)
		assert_int_equal(wall_look(&c.wall, NOW + (int64_t)(ms / 1000), 5000 + ms),
				 WALL_GOOD);
}

/* D7 as it was seen: two days ahead for two seconds, then back. */
static void two_days_ahead_and_back_ends_nothing(void **state)
{
	(void)state;
	start(0);
	assert_int_equal(after(1, 2 * DAY), WALL_DOUBTED);
	assert_int_equal(c.wall.off_s, 2 * DAY);
	assert_false(wall_is_good(after(1, 0)));
	assert_int_equal(after(1, -2 * DAY), WALL_DOUBTED);
	assert_int_equal(c.wall.off_s, -2 * DAY);
	assert_int_equal(after(HOLD_S - 1, 0), WALL_HELD); /* counted from the last step */
	assert_int_equal(after(1, 0), WALL_GOOD_AGAIN);
	assert_int_equal(after(1, 0), WALL_GOOD);
}

/* A step that stays is the right time after all. */
static void a_step_that_holds_is_believed(void **state)
{
	(void)state;
	start(0);
	assert_int_equal(after(1, -DAY), WALL_DOUBTED);
	for (int64_t s = 1; s < HOLD_S; s++)
		assert_int_equal(after(1, 0), WALL_HELD);
	assert_int_equal(after(1, 0), WALL_GOOD_AGAIN);
}

static void a_start_before_the_newest_row_waits(void **state)
{
	(void)state;
	assert_int_equal(start(NOW + WALL_STEP_S), WALL_GOOD);
	assert_int_equal(start(NOW + WALL_STEP_S + 1), WALL_DOUBTED);
	assert_int_equal(c.wall.off_s, -(WALL_STEP_S + 1));
	assert_int_equal(after(2, 0), WALL_HELD);
	/* the clock is set right: a step, and the hold begins anew */
	assert_int_equal(after(HOLD_S - 10, 50 * 365 * DAY), WALL_DOUBTED);
	assert_int_equal(after(HOLD_S - 1, 0), WALL_HELD);
	assert_int_equal(after(1, 0), WALL_GOOD_AGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clock_that_goes_is_good),
		cmocka_unit_test(slewing_is_no_step),
		cmocka_unit_test(looks_may_be_milliseconds_apart),
		cmocka_unit_test(two_days_ahead_and_back_ends_nothing),
		cmocka_unit_test(a_step_that_holds_is_believed),
		cmocka_unit_test(a_start_before_the_newest_row_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
