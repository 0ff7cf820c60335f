/* tokens_per_day (contract 13.1) on a clock of its own: NOW is 2025-06-15T15:06:40Z; a line takes 3. */
#include "coordinator_unit.h"

#include "pipeline/day_look.h"

#define TO_MIDNIGHT_S (INT64_C(8) * 3600 + 53 * 60 + 20)

static struct batch_table table;

static int day_setup(void **state)
{
	setup(state);
	batch_table_init(&table);
	return 0;
}

static int day_teardown(void **state)
{
	if (w.c != NULL)
		batch_table_remove(&table, w.c);
	batch_table_done(&table);
	return teardown(state);
}

static void look(void)
{
	MUST(day_look(&w.day, world.store, &table, true, true, &err));
	turns_take();
}

/* As another process does it. */
static void limit_put(int64_t limit)
{
	MUST(store_org_limit(world.store, "ours", LIMIT_TOKENS_PER_DAY, limit, &err));
}

static uint64_t used(void)
{
	uint64_t now;

	MUST(day_count(&w.day, world.store, &table, world.org.id, &now, &err));
	return now;
}

static uint64_t row_of_day(int64_t day)
{
	uint64_t tokens;

	MUST(store_day_get(world.store, world.org.id, day, &tokens, &err));
	return tokens;
}

static void begin(unsigned lines)
{
	look();
	batch_of_lines(lines);
	assert_true(batch_table_add(&table, w.c));
	look();
}

static void restart_whole(void)
{
	batch_table_remove(&table, w.c);
	restart();
	assert_true(batch_table_add(&table, w.c));
	look();
}

static void the_end(void)
{
	batch_table_remove(&table, w.c);
	to_the_end();
}

static void lines_wait_for_the_next_day(void **state)
{
	(void)state;
	limit_put(6);
	begin(LINES);
	assert_false(fake.suspended);
	answer(0);
	look();
	assert_false(fake.suspended);
	assert_int_equal(used(), 3);
	answer(1);
	look();
	assert_true(fake.suspended);
	struct batch_view v = view();
	assert_int_equal(v.stall, STALL_QUOTA);
	assert_non_null(strstr(v.stall_message, "tokens_per_day"));
	assert_non_null(strstr(v.stall_message, "2025-06-16T00:00:00Z"));
	time_passes(TO_MIDNIGHT_S - 1);
	look();
	assert_true(fake.suspended);
	time_passes(1);
	look();
	assert_false(fake.suspended);
	assert_int_not_equal(view().stall, STALL_QUOTA);
	assert_int_equal(used(), 0);
	answer(2);
	assert_int_equal(used(), 3);
	the_end();
	assert_int_equal(used(), 3);
	assert_int_equal(row_of_day(w.day.day), 3);
}

/* What ended before it is neither lost nor counted twice, on the same day ... */
static void a_restart_goes_on_counting(void **state)
{
	(void)state;
	limit_put(6);
	begin(LINES);
	answer(0);
	answer(1);
	restart_whole();
	assert_int_equal(used(), 6);
	assert_true(fake.suspended);
	assert_int_equal(view().stall, STALL_QUOTA);
	limit_put(0);
	look();
	answer(2);
	the_end();
	assert_int_equal(used(), 9);
	assert_int_equal(row_of_day(w.day.day), 9);
}

/* ... nor on the next, though no merge had it before midnight. */
static void the_day_before_is_not_counted_again(void **state)
{
	(void)state;
	begin(LINES);
	answer(0);
	assert_int_equal(used(), 3);
	time_passes(TO_MIDNIGHT_S);
	look();
	assert_int_equal(used(), 0);
	answer(1);
	restart_whole();
	assert_int_equal(used(), 3);
	answer(2);
	the_end();
	assert_int_equal(used(), 6);
	assert_int_equal(row_of_day(w.day.day), 6);
}

static void the_limit_changes_meanwhile(void **state)
{
	(void)state;
	begin(LINES);
	answer(0);
	limit_put(3);
	look();
	assert_true(fake.suspended);
	limit_put(4);
	look();
	assert_false(fake.suspended);
	limit_put(1);
	look();
	assert_true(fake.suspended);
	limit_put(LIMIT_AS_CONFIGURED);
	look();
	assert_false(fake.suspended);
}

static void online_answers_count(void **state)
{
	struct org theirs;

	(void)state;
	MUST(store_org_ensure(world.store, "theirs", NOW, &theirs, &err));
	limit_put(10);
	begin(LINES);
	day_tokens_add(&w.day, world.org.id, 4);
	day_tokens_add(&w.day, theirs.id, 100);
	assert_int_equal(used(), 4);
	assert_int_equal(day_tokens_used(&w.day, world.org.id), 4);
	assert_int_equal(row_of_day(w.day.day), 0);
	answer(0);
	day_tokens_add(&w.day, world.org.id, 3);
	look();
	assert_true(fake.suspended);
	assert_true(day_tokens_is_over(&w.day, world.org.id));
	assert_false(day_tokens_is_over(&w.day, theirs.id));
	time_passes(3);
	look();
	assert_int_equal(row_of_day(w.day.day), 7); /* written */
	day_tokens_add(&w.day, world.org.id, 1);
	assert_int_equal(used(), 11);
	MUST(day_flush(&w.day, world.store, &err));
	assert_int_equal(used(), 11);
	restart_whole();
	assert_int_equal(used(), 11);
	time_passes(TO_MIDNIGHT_S);
	look();
	assert_int_equal(used(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, day_setup, day_teardown)
		TEST(lines_wait_for_the_next_day),
		TEST(a_restart_goes_on_counting),
		TEST(the_day_before_is_not_counted_again),
		TEST(the_limit_changes_meanwhile),
		TEST(online_answers_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
