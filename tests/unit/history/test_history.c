/* The history by a clock of the test's own: restarts, gaps, kills, clocks that are set. */
#include "unit.h"

#include <math.h>

// NOLINTNEXTLINE(bugprone-suspicious-include): its turns are taken by hand
#include "../../../src/history/history.c"

#define BEGIN INT64_C(1750000000)

static char *dir;
static int64_t wall_s;
static uint64_t mono_ms;
static struct history *h;
static struct history_page page;

static int64_t now_s(void)
{
	return wall_s;
}

static uint64_t monotonic_ms(void)
{
	return mono_ms;
}

static void open_it(void)
{
	struct error err;

	if (!history_new(dir, &h, &err))
		fail_msg("%s %s", err.message, err.detail);
}

/* As SIGTERM ends it, and as kill -9 does. */
static void end_it(void)
{
	turn(h);
	save(h);
	history_free(TAKE(h));
}

static void kill_it(void)
{
	history_free(TAKE(h));
}

/* Time passes, in turns of a second. */
static void pass(unsigned seconds)
{
	while (seconds-- > 0) {
		wall_s++;
		mono_ms += 1000;
		if (turn(h))
			save(h);
	}
}

static double newest(const char *org, enum rings_span span)
{
	history_read(h, org, span, &page);
	return page.rates[page.steps - 1].lines_per_s;
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	dir = scratch_dir_new();
	wall_s = BEGIN;
	mono_ms = 5000;
	sys.now_s = now_s;
	sys.monotonic_ms = monotonic_ms;
	open_it();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (h != NULL)
		history_free(TAKE(h));
	scratch_dir_remove(dir);
	return 0;
}

static void a_tick_is_ten_seconds(void **state)
{
	(void)state;
	history_lines(h, "org-1", 100, 4000);
	history_first_token(h, "org-1", 250);
	pass(9);
	assert_true(isnan(newest(NULL, RINGS_HOUR)));
	pass(1);
	assert_true(newest(NULL, RINGS_HOUR) == 10);
	assert_true(newest("org-1", RINGS_DAY) == 10);
	assert_true(page.rates[page.steps - 1].tokens_per_s == 400);
	assert_true(page.rates[page.steps - 1].first_ms == 250);
	assert_true(newest("org-2", RINGS_HOUR) == 0);
}

static void a_page_says_when_it_begins(void **state)
{
	(void)state;
	pass(310);
	history_read(h, NULL, RINGS_HOUR, &page);
	assert_int_equal(page.step_s, 10);
	assert_int_equal(page.steps, 360);
	assert_int_equal(page.from, BEGIN + 310 - 3600);
	history_read(h, NULL, RINGS_DAY, &page);
	assert_int_equal(page.step_s, 300);
	assert_int_equal(page.steps, 288);
	assert_int_equal(page.from, BEGIN + 300 - 287 * 300);
}

static void a_restart_keeps_it(void **state)
{
	(void)state;
	history_lines(h, "org-1", 100, 0);
	pass(10);
	end_it();
	wall_s += 3;
	mono_ms = 100; /* another boot of the machine */
	open_it();
	history_lines(h, "org-1", 50, 0);
	pass(10);
	assert_true(newest("org-1", RINGS_HOUR) == 5);
	assert_true(page.rates[page.steps - 2].lines_per_s == 10);
	assert_true(newest("org-1", RINGS_DAY) == 7.5);
}

static void time_without_a_server_is_unknown(void **state)
{
	(void)state;
	history_lines(h, "org-1", 100, 0);
	pass(10);
	end_it();
	wall_s += 60;
	open_it();
	pass(10);
	assert_true(newest("org-1", RINGS_HOUR) == 0);
	for (unsigned i = 2; i < 8; i++)
		assert_true(isnan(page.rates[page.steps - i].lines_per_s));
	assert_true(page.rates[page.steps - 8].lines_per_s == 10);
	end_it();
	wall_s += 3 * 86400;
	open_it();
	pass(10);
	history_read(h, "org-1", RINGS_DAY, &page);
	for (unsigned i = 0; i + 2 < page.steps; i++)
		assert_true(isnan(page.rates[i].lines_per_s));
}

/* At most a minute of it is lost, and those steps are unknown, not zero. */
static void a_kill_loses_a_minute_at_most(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		history_lines(h, "org-1", 100, 0);
		pass(10);
	}
	kill_it(); /* the last write was at 60 s */
	open_it();
	history_lines(h, "org-1", 200, 0);
	pass(10);
	assert_true(newest("org-1", RINGS_HOUR) == 20);
	for (unsigned i = 2; i < 6; i++)
		assert_true(isnan(page.rates[page.steps - i].lines_per_s));
	for (unsigned i = 6; i < 12; i++)
		assert_true(page.rates[page.steps - i].lines_per_s == 10);
}

static void a_clock_that_is_set_moves_nothing(void **state)
{
	(void)state;
	history_lines(h, "org-1", 100, 0);
	pass(10);
	wall_s -= 1800;
	history_lines(h, "org-1", 200, 0);
	pass(10);
	assert_true(newest("org-1", RINGS_HOUR) == 20);
	assert_true(page.rates[page.steps - 2].lines_per_s == 10);
	assert_int_equal(page.from, wall_s - 3600);
	wall_s += 2 * 86400;
	pass(10);
	assert_true(newest("org-1", RINGS_HOUR) == 0);
	assert_true(page.rates[page.steps - 2].lines_per_s == 20);
	assert_int_equal(page.from, wall_s - 3600);
}

static void a_clock_that_was_set_back_at_a_start_is_no_time(void **state)
{
	(void)state;
	history_lines(h, "org-1", 100, 0);
	pass(10);
	end_it();
	wall_s -= 86400;
	open_it();
	pass(10);
	assert_true(newest("org-1", RINGS_HOUR) == 0);
	assert_true(page.rates[page.steps - 2].lines_per_s == 10);
}

static void a_damaged_file_is_begun_anew(void **state)
{
	char path[PATH_MAX];

	(void)state;
	history_lines(h, "org-1", 100, 0);
	pass(10);
	end_it();
	snprintf(path, sizeof(path), "%s/history", dir);
	assert_int_equal(truncate(path, 2000), 0); /* torn */
	open_it();
	assert_true(isnan(newest("org-1", RINGS_HOUR)));
	history_lines(h, "org-1", 50, 0);
	pass(60); /* and written */
	kill_it();
	open_it();
	history_read(h, "org-1", RINGS_HOUR, &page);
	assert_true(page.rates[page.steps - 6].lines_per_s == 5);
}

/* A disk that is full: it is tried again a minute later, and nothing else is held up. */
static void a_full_disk_is_tried_again(void **state)
{
	(void)state;
	history_lines(h, "org-1", 100, 0);
	sys_fail_nth(1, ENOSPC);
	pass(60);
	assert_true(sys_restore());
	assert_true(h->save_failed);
	pass(60);
	assert_false(h->save_failed);
	kill_it();
	open_it();
	history_read(h, "org-1", RINGS_HOUR, &page);
	assert_true(page.rates[page.steps - 12].lines_per_s == 10);
}

static void what_is_shared_is_taken_once(void **state)
{
	struct history_part parts[HISTORY_PARTS];

	(void)state;
	history_lines(h, "org-1", 100, 4000);
	assert_int_equal(history_take(h, parts), 0); /* it is this machine's alone */
	history_share(h);
	history_lines(h, "org-1", 1, 10);
	history_lines(h, "org-2", 2, 20);
	history_first_token(h, "org-1", 250);
	assert_int_equal(history_take(h, parts), 3);
	assert_true(parts[0].org[0] == '\0' && parts[0].sums.lines == 3 &&
		    parts[0].sums.tokens == 30);
	assert_true(parts[0].sums.first_ms == 250 && parts[0].sums.firsts == 1);
	assert_string_equal(parts[1].org, "org-1");
	assert_true(parts[1].sums.lines == 1 && parts[2].sums.lines == 2);
	assert_int_equal(history_take(h, parts), 1);
	assert_int_equal(parts[0].sums.lines, 0);
	char org[ID_SIZE];
	for (unsigned i = 0; i < 2 * HISTORY_PARTS; i++) {
		snprintf(org, sizeof(org), "org-%u", i);
		history_lines(h, org, 1, 0);
	}
	assert_int_equal(history_take(h, parts), HISTORY_PARTS);
	assert_int_equal(parts[0].sums.lines, 2 * HISTORY_PARTS);
}

static unsigned paces_seen;
static struct pace_row pace_seen;

static void on_pace(void *ctx, const char *batch, const struct pace_row *row)
{
	(void)ctx;
	assert_string_equal(batch, "batch-1");
	pace_seen = *row;
	paces_seen++;
}

static unsigned paces_since(uint64_t since_ms)
{
	paces_seen = 0;
	history_paces(h, since_ms, on_pace, NULL);
	return paces_seen;
}

static void steps_of_batches_are_told_as_they_end(void **state)
{
	(void)state;
	history_batch_lines(h, "batch-1", 30);
	uint64_t told_ms = mono_ms;
	assert_int_equal(paces_since(told_ms), 0); /* the step is not over */
	assert_true(history_batch_rate(h, "batch-1") == 30);
	pass(1);
	history_batch_lines(h, "batch-1", 10);
	assert_int_equal(paces_since(told_ms), 1);
	assert_true(pace_seen.from == BEGIN - 1 && pace_seen.step_s == 1 && pace_seen.steps == 2);
	assert_true(pace_seen.lines[0] == 0 && pace_seen.lines[1] == 30);
	assert_true(history_batch_rate(h, "batch-1") == 20);
	told_ms = mono_ms;
	pass(1);
	assert_int_equal(paces_since(told_ms), 1);
	assert_int_equal(pace_seen.lines[2], 10);
	assert_int_equal(paces_since(mono_ms), 0);
	pass(60);
	assert_int_equal(paces_since(mono_ms - 1000), 0); /* nothing happened */
	assert_true(history_batch_rate(h, "batch-1") == 0);
	assert_true(history_batch_rate(h, "batch-2") == 0);
	history_batch_lines(h, "batch-1", 100);
	assert_true(history_batch_rate(h, "batch-1") == 10);
}

static void nobody_counts_without_one(void **state)
{
	(void)state;
	history_lines(NULL, "org-1", 1, 1);
	history_first_token(NULL, "org-1", 1);
	history_close(NULL);
}

/* With its thread: opened and closed, and what was counted in between is there. */
static void its_thread_ends(void **state)
{
	struct error err;

	(void)state;
	kill_it();
	assert_true(history_open(dir, &h, &err));
	history_lines(h, "org-1", 100, 0);
	mono_ms += 10000;
	wall_s += 10;
	history_close(TAKE(h));
	open_it();
	assert_true(newest("org-1", RINGS_HOUR) == 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_tick_is_ten_seconds),
		TEST(a_page_says_when_it_begins),
		TEST(a_restart_keeps_it),
		TEST(time_without_a_server_is_unknown),
		TEST(a_kill_loses_a_minute_at_most),
		TEST(a_clock_that_is_set_moves_nothing),
		TEST(a_clock_that_was_set_back_at_a_start_is_no_time),
		TEST(a_damaged_file_is_begun_anew),
		TEST(a_full_disk_is_tried_again),
		TEST(what_is_shared_is_taken_once),
		TEST(steps_of_batches_are_told_as_they_end),
		TEST(nobody_counts_without_one),
		TEST(its_thread_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
