/* test_lessor_memory.c: leases and their epochs, between two workers; what is settled counts,
 * once. */
#include "unit.h"

#include "pipeline/lessor_memory.h"

#define LINES (SEGMENT_LINES + 2u)
#define LEASE_MS 15000u

static uint64_t clock_ms;

static uint64_t fake_monotonic_ms(void)
{
	return clock_ms;
}

/* The coordinator. */
static struct {
	unsigned finished, returned;
} told;

static void on_finished(void *ctx)
{
	(void)ctx;
	told.finished++;
}

static void on_returned(void *ctx)
{
	(void)ctx;
	told.returned++;
}

static uint64_t on_line_number(void *ctx, uint64_t record)
{
	(void)ctx;
	return record + 1;
}

static const struct lessor_watch watch = { on_finished, on_returned, on_line_number };

static struct lessor_memory *memory;
static struct lessor lessor;

static void lessor_setup(uint64_t lease_ms)
{
	const struct ended_sums none = { 0 };
	struct error err;

	memset(&told, 0, sizeof(told));
	clock_ms = 1000;
	sys.monotonic_ms = fake_monotonic_ms;
	assert_true(lessor_memory_new("batch-1", lease_ms, &watch, NULL, &memory, &err));
	lessor = lessor_memory_lessor(memory);
	assert_true(lessor_memory_open(memory, LINES, 0, 0, &none, &err));
	lessor_memory_offer(memory);
}

static int without_end(void **state)
{
	(void)state;
	lessor_setup(0);
	return 0;
}

static int with_end(void **state)
{
	(void)state;
	lessor_setup(LEASE_MS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lessor_memory_free(memory);
	return 0;
}

static struct span_lease take(void)
{
	struct span_lease lease;

	assert_true(lessor.ops->take(lessor.ctx, &lease));
	return lease;
}

static bool take_fails(void)
{
	struct span_lease lease;

	return !lessor.ops->take(lessor.ctx, &lease);
}

/* One line of 100 bytes of journal, status 200 or another. */
static bool settle(const struct span_lease *lease, uint64_t record, int status)
{
	const struct outcome o = {
		.record = record,
		.attempts = 2,
		.http_status = status,
		.success = status == 200,
		.usage = { .input = 3, .output = 4, .total = 7 },
		.journal_at = JOURNAL_START + record * 100,
		.journal_bytes = 100,
	};

	return lessor.ops->settle(lessor.ctx, lease, &o);
}

static struct ended_sums sums(void)
{
	struct ended_sums ret;

	lessor_memory_sums(memory, &ret);
	return ret;
}

static void test_the_whole_batch_is_one_span(void **state)
{
	(void)state;
	struct span_lease lease = take();

	assert_string_equal(lease.batch, "batch-1");
	assert_int_equal(lease.span, 0);
	assert_int_equal(lease.first_segment, 0);
	assert_int_equal(lease.segments, 2);
	assert_int_equal(lease.epoch, 1);
	assert_true(lease.until_ms == LEASE_WITHOUT_END && lease.renew_ms == LEASE_WITHOUT_END);
	assert_true(lessor_memory_is_lent(memory));
}

static void test_a_span_is_lent_once(void **state)
{
	(void)state;
	(void)take();
	clock_ms += UINT64_C(1000) * 86400 * 365;
	assert_true(take_fails());
}

static void test_what_is_not_offered_is_not_lent(void **state)
{
	(void)state;
	lessor_memory_withdraw(memory);
	assert_false(lessor_memory_is_free(memory));
	assert_true(take_fails());
	lessor_memory_offer(memory);
	assert_true(lessor_memory_is_free(memory));
	(void)take();
	assert_false(lessor_memory_is_free(memory));
}

static void test_what_was_given_back_may_be_taken_with_a_later_epoch(void **state)
{
	(void)state;
	struct span_lease first = take();

	assert_true(lessor.ops->give_back(lessor.ctx, &first));
	assert_int_equal(told.returned, 1);
	assert_false(lessor_memory_is_lent(memory));
	assert_int_equal(take().epoch, 2);
}

static void test_a_withdrawn_lease_holds_until_it_is_given_back(void **state)
{
	(void)state;
	struct span_lease lease = take();

	lessor_memory_withdraw(memory);
	assert_true(lessor_memory_is_lent(memory));
	assert_true(settle(&lease, 0, 200));
	assert_true(lessor.ops->give_back(lessor.ctx, &lease));
	assert_true(take_fails());
}

static void test_settled_lines_count(void **state)
{
	(void)state;
	struct span_lease lease = take();

	assert_true(settle(&lease, 0, 200));
	assert_true(settle(&lease, 1, 404));
	assert_int_equal(sums().lines, 2);
	assert_int_equal(sums().counts.completed, 1);
	assert_int_equal(sums().counts.failed, 1);
	assert_int_equal(sums().counts.retried, 2);
	assert_int_equal(sums().usage.total, 14);
	assert_int_equal(sums().causes.n, 1);
	assert_int_equal(sums().causes.of[0].code, 404);
	assert_int_equal(sums().causes.of[0].line, 2);
}

static void test_a_finished_segment_is_told(void **state)
{
	(void)state;
	struct span_lease lease = take();
	struct segment_cursor cursor;

	assert_true(settle(&lease, SEGMENT_LINES, 200));
	assert_int_equal(told.finished, 0);
	assert_true(lessor.ops->segment(lessor.ctx, &lease, 1, &cursor));
	assert_true(bit_get(cursor.done, 0));
	assert_true(settle(&lease, SEGMENT_LINES + 1, 200));
	assert_int_equal(told.finished, 1);
	assert_false(lessor.ops->segment(lessor.ctx, &lease, 1, &cursor));
	assert_true(lessor_memory_bounds(memory, 1).finished);
}

/* A worker that was cut off, and another that has taken over. */
static void test_an_old_epoch_is_refused(void **state)
{
	(void)state;
	struct segment_cursor cursor;
	struct span_lease old = take();

	assert_true(settle(&old, 0, 200));
	clock_ms += LEASE_MS;
	assert_true(lessor_memory_is_free(memory));
	struct span_lease latest = take();
	assert_int_equal(latest.epoch, old.epoch + 1);
	assert_false(settle(&old, 1, 200));
	assert_false(lessor.ops->renew(lessor.ctx, &old));
	assert_false(lessor.ops->segment(lessor.ctx, &old, 0, &cursor));
	assert_false(lessor.ops->give_back(lessor.ctx, &old));
	assert_int_equal(told.returned, 0);
	assert_int_equal(sums().lines, 1); /* what it settled in time stays */

	assert_true(lessor.ops->segment(lessor.ctx, &latest, 0, &cursor));
	assert_true(bit_get(cursor.done, 0));
	assert_false(bit_get(cursor.done, 1));
	assert_true(settle(&latest, 1, 200));
	assert_int_equal(sums().lines, 2);
}

static void test_a_lease_that_is_renewed_in_time_is_kept(void **state)
{
	(void)state;
	struct span_lease lease = take();

	assert_int_equal(lease.until_ms, clock_ms + LEASE_MS);
	assert_true(lease.renew_ms < lease.until_ms);
	clock_ms += LEASE_MS - 1;
	assert_false(lessor_memory_is_free(memory));
	assert_true(take_fails());
	assert_true(lessor.ops->renew(lessor.ctx, &lease));
	assert_int_equal(lease.until_ms, clock_ms + LEASE_MS);
	clock_ms += LEASE_MS - 1;
	assert_true(take_fails());
	assert_true(settle(&lease, 0, 200));
}

/* As long as no other worker has taken the span, what its last one did may count. */
static void test_a_lease_that_is_over_and_not_taken_still_settles(void **state)
{
	(void)state;
	struct span_lease lease = take();

	clock_ms += 10 * LEASE_MS;
	assert_true(settle(&lease, 0, 200));
	assert_true(lessor.ops->give_back(lessor.ctx, &lease));
}

static void test_what_was_given_back_settles_no_more(void **state)
{
	(void)state;
	struct span_lease lease = take();

	assert_true(lessor.ops->give_back(lessor.ctx, &lease));
	assert_false(settle(&lease, 0, 200));
	assert_int_equal(sums().lines, 0);
}

static void test_a_journal_says_again_what_had_ended(void **state)
{
	(void)state;
	const struct journal_head head = {
		.length = 52, .record = 1, .http_status = 500, .kind = JOURNAL_ERROR, .attempts = 1
	};
	struct segment_cursor cursor;

	lessor_memory_found(memory, &head, JOURNAL_START);
	lessor_memory_found(memory, &head, JOURNAL_START + 100); /* twice, by a crash of old */
	lessor_memory_found(memory, &(struct journal_head){ .record = LINES }, 300);
	lessor_memory_found_all(memory);
	assert_int_equal(sums().lines, 1);
	assert_int_equal(sums().counts.failed, 1);
	assert_int_equal(sums().causes.of[0].line, 2);
	assert_int_equal(lessor_memory_bounds(memory, 0).journal_end, JOURNAL_START + 100);
	struct span_lease lease = take();
	assert_true(lessor.ops->segment(lessor.ctx, &lease, 0, &cursor));
	assert_true(bit_get(cursor.done, 1));
}

static uint32_t shown(uint32_t number)
{
	struct shown s;

	lessor_memory_shown(memory, number, &s);
	return s.last;
}

/* Contract 11.3: a line is shown once it is durable, and none before those with smaller numbers. */
static void test_lines_are_shown_in_the_order_of_their_numbers(void **state)
{
	(void)state;
	struct shown s;

	assert_int_equal(shown(1), 0);
	lessor_memory_found(memory, &(struct journal_head){ .length = 52, .number = 1 }, 16);
	lessor_memory_found(memory,
			    &(struct journal_head){ .length = 52, .record = 1, .number = 3 }, 116);
	lessor_memory_shown(memory, 2, &s);
	assert_int_equal(s.last, 3);
	assert_int_equal(s.from.at, 16);
	assert_int_equal(s.journal_end, 216);
	struct span_lease lease = take();
	/* a merge gives 4 and 5 while 6 becomes durable */
	lessor_memory_hide(memory, 3);
	lessor_memory_found(memory,
			    &(struct journal_head){ .length = 52, .record = 2, .number = 6 }, 216);
	assert_int_equal(shown(4), 3);
	lessor_memory_show(memory, 5);
	assert_int_equal(shown(4), 6);
	/* a merge gives 8 while 7 is on its way to the journal */
	lessor_memory_hide(memory, 6);
	lessor_memory_show(memory, 8);
	assert_int_equal(shown(7), 6);
	assert_true(lessor.ops->give_back(lessor.ctx, &lease));
	assert_int_equal(shown(7), 8);
	/* one that fails gives nothing */
	lessor_memory_hide(memory, 8);
	lessor_memory_show(memory, 0);
	assert_int_equal(shown(9), 8);
	lessor_memory_close(memory);
	assert_int_equal(shown(1), 0);
}

static void test_what_is_merged_is_not_lent(void **state)
{
	(void)state;
	const struct ended_sums merged = { .counts = { .completed = SEGMENT_LINES } };
	struct segment_cursor cursor;
	struct error err;

	lessor_memory_close(memory);
	assert_int_equal(sums().counts.completed, 0);
	assert_true(lessor_memory_open(memory, LINES, 1, 5000, &merged, &err));
	lessor_memory_offer(memory);
	struct span_lease lease = take();
	assert_false(lessor.ops->segment(lessor.ctx, &lease, 0, &cursor));
	assert_true(lessor.ops->segment(lessor.ctx, &lease, 1, &cursor));
	assert_int_equal(lessor_memory_ended(memory), SEGMENT_LINES);
	assert_int_equal(lessor_memory_journal_from(memory, 1), 5000);
}

#define TEST(setup, test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_end, test_the_whole_batch_is_one_span),
		TEST(without_end, test_a_span_is_lent_once),
		TEST(without_end, test_what_is_not_offered_is_not_lent),
		TEST(without_end, test_what_was_given_back_may_be_taken_with_a_later_epoch),
		TEST(without_end, test_a_withdrawn_lease_holds_until_it_is_given_back),
		TEST(without_end, test_settled_lines_count),
		TEST(without_end, test_a_finished_segment_is_told),
		TEST(without_end, test_what_was_given_back_settles_no_more),
		TEST(without_end, test_a_journal_says_again_what_had_ended),
		TEST(without_end, test_lines_are_shown_in_the_order_of_their_numbers),
		TEST(without_end, test_what_is_merged_is_not_lent),
		TEST(with_end, test_an_old_epoch_is_refused),
		TEST(with_end, test_a_lease_that_is_renewed_in_time_is_kept),
		TEST(with_end, test_a_lease_that_is_over_and_not_taken_still_settles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
