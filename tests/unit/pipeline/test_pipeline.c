/* test_pipeline.c: opening, what is taken up, submit, cancel, upstreams, the clock that watches,
 * drain and close. */
#include "whole_unit.h"

#define LINES 3u

static int setup(void **state)
{
	(void)state;
	whole_init();
	MUST(whole_open());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	whole_close();
	world_close();
	return 0;
}

static void reopen(void)
{
	whole_close();
	MUST(whole_open());
}

/* Turns until it has that state. */
#define UNTIL_STATUS(status) TURNS_UNTIL(whole_status() == (status))

/* ---- batches come and go ---- */

static void test_a_submitted_batch_runs_to_its_end(void **state)
{
	(void)state;
	whole_batch(LINES);
	assert_int_equal(fake.added, 1);
	assert_int_equal(whole_view().running, 0);
	for (unsigned i = 0; i < LINES; i++)
		whole_answer(i);
	UNTIL_STATUS(BATCH_COMPLETED);
	assert_int_equal(whole_view().row.counts.completed, LINES);
	assert_true(whole_view().queue_position == -1);
}

static void test_a_batch_that_is_submitted_twice_runs_once(void **state)
{
	(void)state;
	whole_batch(LINES);
	pipeline_submit(whole.p, whole.batch_id);
	turns_take();
	assert_int_equal(fake.added, 1);
}

/* The store's row was read before the end, and the batch is gone since. */
static void test_a_view_of_a_batch_that_has_ended_since_is_read_again(void **state)
{
	(void)state;
	whole_batch(1);
	struct batch_view v = { .row = batch_row(whole.batch_id) };
	whole_answer(0);
	UNTIL_STATUS(BATCH_COMPLETED);
	assert_int_equal(v.row.status, BATCH_IN_PROGRESS);
	pipeline_view(whole.p, &v);
	assert_int_equal(v.row.status, BATCH_COMPLETED);
	assert_int_equal(v.row.counts.completed, 1);
	batch_view_done(&v);
}

static void test_a_cancel_drops_what_is_in_flight(void **state)
{
	(void)state;
	bool final;

	whole_batch(LINES);
	whole_answer(0);
	MUST(pipeline_cancel(whole.p, world.org.id, whole.batch_id, &final, &err));
	assert_false(final);
	UNTIL_STATUS(BATCH_CANCELLED);
	assert_int_equal(fake.dropped, 1);
	assert_int_equal(whole_view().row.counts.completed, 1);
	assert_int_equal(whole_view().row.counts.cancelled, LINES - 1);
}

static void test_what_is_final_cannot_be_cancelled(void **state)
{
	(void)state;
	bool final;

	whole_batch(1);
	whole_answer(0);
	UNTIL_STATUS(BATCH_COMPLETED);
	MUST(pipeline_cancel(whole.p, world.org.id, whole.batch_id, &final, &err));
	assert_true(final);
	assert_false(pipeline_cancel(whole.p, "org-other", whole.batch_id, &final, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

/* ---- opening ---- */

static void test_what_is_not_final_is_taken_up_and_shown_as_before(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX] = { 0 };

	whole_batch(LINES);
	whole_answer(1);
	reopen();
	/* No turn since: the opening has waited for the journal. */
	assert_int_equal(whole_view().row.counts.completed, 1);
	assert_int_equal(fake.added, 1);
	assert_int_equal(fake_records(records), LINES - 1);
	whole_answer(records[0]);
	whole_answer(records[1]);
	UNTIL_STATUS(BATCH_COMPLETED);
	reopen();
	assert_int_equal(fake.added, 0); /* it is final */
}

static void test_a_disk_that_refuses_does_not_keep_it_closed(void **state)
{
	(void)state;
	whole_batch(LINES);
	whole_close();
	world_sys.disk_full = true;
	uint64_t before_ms = world_sys.ms;
	MUST(whole_open());
	assert_int_equal(fake.added, 0);
	assert_true(world_sys.ms - before_ms >= 2000 && world_sys.ms - before_ms < 4000);
	assert_int_equal(whole_view().stall, STALL_PAUSED);
	world_sys.disk_full = false;
	time_passes(1);
	turns_take();
	assert_int_equal(fake.added, 1);
}

static void test_an_opening_that_fails_leaves_nothing_open(void **state)
{
	(void)state;
	char longer[500];

	whole_close();
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_false(
		pipeline_open(longer, &whole.config, world.store, world.blobs, &whole.p, &err));
	assert_int_equal(err.sys, ENAMETOOLONG);
}

static void test_upstreams_go_to_dispatch(void **state)
{
	(void)state;
	assert_int_equal(whole.upstreams, 1);
	MUST(pipeline_upstreams(whole.p, NULL, 7, &err));
	assert_int_equal(whole.upstreams, 7);
	assert_ptr_equal(pipeline_dispatch(whole.p), &whole);
}

/* ---- what the clock brings ---- */

static void on_scheduling(void *ctx, const struct scheduling_view *view)
{
	*(unsigned *)ctx += view->online_requests;
}

static void test_what_dispatch_does_is_this_machines(void **state)
{
	unsigned requests = 0;

	(void)state;
	assert_true(pipeline_scheduling(whole.p, &(struct view_asked){ .whose = VIEW_ALL },
					on_scheduling, &requests, &err));
	assert_int_equal(requests, 5);
}

static void test_a_window_ends_by_the_clock(void **state)
{
	(void)state;
	whole_batch(LINES);
	whole_answer(2);
	time_passes(DAY - 1);
	turns_take();
	assert_int_equal(whole_status(), BATCH_IN_PROGRESS);
	time_passes(1);
	UNTIL_STATUS(BATCH_EXPIRED);
	assert_int_equal(whole_view().row.counts.expired, LINES - 1);
}

static void test_a_clock_that_steps_ends_nothing(void **state)
{
	(void)state;
	whole_batch(LINES);
	world_sys.s += DAY; /* the monotonic clock stands */
	world_sys.ms += 1000;
	turns_take();
	assert_int_equal(fake.dropped, 0);
	assert_int_equal(whole_status(), BATCH_IN_PROGRESS);
}

static void test_an_organization_is_suspended_while_it_runs(void **state)
{
	(void)state;
	whole_batch(LINES);
	MUST(store_org_suspend(world.store, "ours", world_sys.s, false, &err));
	time_passes(1);
	turns_take();
	assert_true(fake.suspended);
	assert_int_equal(whole_view().stall, STALL_HELD);
}

/* 11.3 */
static void test_a_batch_is_held_by_a_call(void **state)
{
	bool final, changed;

	(void)state;
	whole_batch(LINES);
	MUST(pipeline_hold(whole.p, world.org.id, whole.batch_id, true, &final, &changed, &err));
	assert_true(changed && !final && fake.suspended);
	turns_take();
	assert_int_equal(whole_view().stall, STALL_HELD);
	MUST(pipeline_hold(whole.p, world.org.id, whole.batch_id, true, &final, &changed, &err));
	assert_false(changed || final);
	assert_false(
		pipeline_hold(whole.p, "org_other", whole.batch_id, false, &final, &changed, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	MUST(pipeline_hold(whole.p, NULL, whole.batch_id, false, &final, &changed, &err));
	turns_take();
	assert_true(changed && !fake.suspended);
	MUST(pipeline_cancel(whole.p, NULL, whole.batch_id, &final, &err));
	MUST(pipeline_hold(whole.p, NULL, whole.batch_id, true, &final, &changed, &err));
	assert_false(changed || final); /* it is cancelling */
	UNTIL_STATUS(BATCH_CANCELLED);
	MUST(pipeline_hold(whole.p, NULL, whole.batch_id, true, &final, &changed, &err));
	assert_true(final && !changed);
}

static void test_an_organization_whose_batches_the_operator_cancels(void **state)
{
	(void)state;
	whole_batch(LINES);
	MUST(store_org_suspend(world.store, "ours", world_sys.s, true, &err));
	time_passes(1);
	UNTIL_STATUS(BATCH_CANCELLED);
}

static void test_a_deleted_file_goes_with_the_next_sweep(void **state)
{
	(void)state;
	char name[128];

	upload_lines(1);
	snprintf(name, sizeof(name), "files/%s.jsonl", world.file_id);
	assert_true(scratch_exists(world.dir, name));
	MUST(store_file_delete(world.store, world.org.id, world.file_id, world_sys.s, &err));
	pipeline_sweep(whole.p);
	pipeline_sweep(whole.p); /* one job for both */
	turns_take();
	assert_false(scratch_exists(world.dir, name));
}

/* ---- the end of the process ---- */

static void test_a_drain_stops_dispatch_and_says_so(void **state)
{
	(void)state;
	whole_batch(LINES);
	pipeline_drain(whole.p);
	assert_int_equal(whole.drain_ms, whole.config.drain_ms);
	assert_true(whole.online_closed);
	assert_int_equal(whole_view().stall, STALL_PAUSED);
	assert_string_equal(whole_view().stall_message, "the server is stopping");
	assert_int_equal(whole_status(), BATCH_IN_PROGRESS);
}

static void test_a_close_keeps_what_was_answered_and_drops_the_rest(void **state)
{
	(void)state;
	whole_batch(LINES);
	fake_answer(0, 200); /* not durable yet, or just so */
	pipeline_close(TAKE(whole.p));
	assert_true(whole.stopped);
	assert_null(whole.client);
	assert_int_equal(fake.dropped, 1);
	turns_forget();
	fake_reset();
	MUST(whole_open());
	assert_int_equal(whole_view().row.counts.completed, 1);
	assert_int_equal(fake.flow->config.rest_lines, LINES - 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_submitted_batch_runs_to_its_end),
		TEST(test_a_batch_that_is_submitted_twice_runs_once),
		TEST(test_a_view_of_a_batch_that_has_ended_since_is_read_again),
		TEST(test_a_cancel_drops_what_is_in_flight),
		TEST(test_what_is_final_cannot_be_cancelled),
		TEST(test_what_is_not_final_is_taken_up_and_shown_as_before),
		TEST(test_a_disk_that_refuses_does_not_keep_it_closed),
		TEST(test_an_opening_that_fails_leaves_nothing_open),
		TEST(test_upstreams_go_to_dispatch),
		TEST(test_what_dispatch_does_is_this_machines),
		TEST(test_a_window_ends_by_the_clock),
		TEST(test_a_clock_that_steps_ends_nothing),
		TEST(test_an_organization_is_suspended_while_it_runs),
		TEST(test_a_batch_is_held_by_a_call),
		TEST(test_an_organization_whose_batches_the_operator_cancels),
		TEST(test_a_deleted_file_goes_with_the_next_sweep),
		TEST(test_a_drain_stops_dispatch_and_says_so),
		TEST(test_a_close_keeps_what_was_answered_and_drops_the_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
