/* test_coordinator.c: the life of a batch, turn by turn, on a clock and a dispatch of the
 * test's. */
#include "coordinator_unit.h"

#define LEASE_S 15u

/* ---- validating ---- */

static void test_a_good_batch_is_validated_and_sent(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX];

	batch_of_lines(LINES);
	assert_int_equal(status(), BATCH_IN_PROGRESS);
	assert_int_equal(fake_records(records), LINES);
	assert_string_equal(fake.flow->config.model, "m");
	assert_string_equal(fake.flow->config.endpoint, "/v1/chat/completions");
	assert_int_equal(fake.flow->config.rest_lines, LINES);
	assert_false(coordinator_is_new(w.c));
}

static void test_a_bad_line_fails_the_batch_before_anything_is_sent(void **state)
{
	(void)state;
	upload("this is no JSON\n");
	batch_begin();
	assert_int_equal(w.ended, 1);
	assert_int_equal(fake.added, 0);
	struct batch b = row();
	assert_int_equal(b.status, BATCH_FAILED);
	assert_non_null(strstr(b.errors, "\"line\":1"));
	batch_done(&b);
}

static void test_a_limit_on_what_is_enqueued_fails_the_batch(void **state)
{
	(void)state;
	w.config.enqueued_requests_max = LINES - 1;
	upload_lines(LINES);
	batch_begin();
	struct batch b = row();
	assert_int_equal(b.status, BATCH_FAILED);
	assert_non_null(strstr(b.errors, "\"code\":\"request_limit_exceeded\""));
	batch_done(&b);
}

static void test_an_input_that_is_lost_before_it_was_checked_is_beyond_repair(void **state)
{
	(void)state;
	upload_lines(LINES);
	MUST(blob_remove(world.blobs, world.file_id, &err));
	batch_begin();
	assert_int_equal(w.ended, 1);
	struct batch b = row();
	assert_int_equal(b.status, BATCH_FAILED);
	assert_non_null(strstr(b.errors, "\"code\":\"server_error\""));
	batch_done(&b);
}

static void test_a_batch_that_is_not_there_is_gone(void **state)
{
	(void)state;
	id_batch(w.batch_id);
	batch_take_up();
	assert_int_equal(w.ended, 1);
}

/* ---- the ends ---- */

static void test_all_answered_is_completed_in_input_order(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	answer(2);
	fake_answer(1, 404);
	answer(0);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_counts(2, 1, 0, 0);
	assert_in_order(result(false), "c-0", "c-2");
	assert_non_null(strstr(result(true), "c-1"));
	assert_false(scratch_exists(world.dir, journal_name()));
}

static void test_a_result_file_without_lines_is_removed(void **state)
{
	(void)state;
	batch_of_lines(1);
	answer(0);
	to_the_end();
	assert_null(result(true));
	assert_non_null(result(false));
}

static void test_the_windows_end_fills_the_rest(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	answer(1);
	time_passes(DAY - 1);
	times_look();
	turns_take();
	assert_int_equal(fake.dropped, 0);
	time_passes(1);
	times_look();
	to_the_end();
	assert_int_equal(fake.dropped, 1);
	assert_int_equal(status(), BATCH_EXPIRED);
	assert_counts(1, 0, 2, 0);
	assert_in_order(result(true), "c-0", "c-2");
	assert_non_null(strstr(result(true), "batch_expired"));
}

static void test_a_window_that_ended_while_no_server_ran_ends_the_batch(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	answer(1);
	time_passes(DAY);
	restart();
	to_the_end();
	assert_int_equal(fake.added, 0);
	assert_int_equal(status(), BATCH_EXPIRED);
	assert_counts(1, 0, 2, 0);
}

static void test_while_the_time_is_in_doubt_no_window_ends(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	time_passes(DAY);
	w.time_is_bad = true;
	restart();
	assert_int_equal(fake.added, 1);
	assert_int_equal(status(), BATCH_IN_PROGRESS);
}

static void test_a_cancel_keeps_what_was_answered(void **state)
{
	(void)state;
	bool moved;

	batch_of_lines(LINES);
	answer(0);
	MUST(store_batch_move(world.store, w.batch_id, 1u << BATCH_IN_PROGRESS, BATCH_CANCELLING,
			      sys.now_s(), &moved, &err));
	coordinator_end(w.c, EARLY_CANCELLED);
	coordinator_end(w.c, EARLY_EXPIRED); /* the first says why */
	to_the_end();
	assert_int_equal(status(), BATCH_CANCELLED);
	assert_counts(1, 0, 0, 2);
	assert_non_null(strstr(result(true), "batch_cancelled"));
}

/* What was in flight when it was asked back, and was answered before dispatch let go, counts. */
static void test_a_cancel_that_comes_when_all_is_answered_is_the_state(void **state)
{
	(void)state;
	bool moved;

	batch_of_lines(1);
	answer(0);
	MUST(store_batch_move(world.store, w.batch_id, 1u << BATCH_IN_PROGRESS, BATCH_CANCELLING,
			      sys.now_s(), &moved, &err));
	to_the_end();
	assert_int_equal(status(), BATCH_CANCELLED);
	assert_counts(1, 0, 0, 0);
}

static void test_an_input_that_becomes_unreadable_fails_the_rest(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	answer(0);
	worker_dispatch_ops.fault(fake.flow->config.owner, &err);
	to_the_end();
	struct batch b = row();
	assert_int_equal(b.status, BATCH_FAILED);
	assert_non_null(strstr(b.errors, "could not be read"));
	batch_done(&b);
	assert_non_null(strstr(result(true), "batch_failed"));
	assert_non_null(strstr(result(false), "c-0"));
}

/* ---- crashes and damage ---- */

static void test_after_a_restart_only_the_rest_is_sent(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX];

	batch_of_lines(LINES);
	answer(1);
	restart();
	assert_int_equal(fake_records(records), LINES - 1);
	assert_int_equal(records[1], 2);
	assert_int_equal(view().row.counts.completed, 1);
	answer(0);
	answer(2);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_counts(LINES, 0, 0, 0);
}

/* The records are whole when they are synced, and damaged before they are merged. */
static void test_a_damaged_record_makes_its_line_run_again(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX];

	batch_of_lines(LINES);
	answer(0);
	answer(1);
	answer(2);
	overwrite(journal_name(), JOURNAL_START + 60, "~~~~");
	TURNS_UNTIL(fake.added == 2);
	assert_int_equal(fake_records(records), 1);
	assert_int_equal(records[0], 0);
	answer(0);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_counts(LINES, 0, 0, 0);
}

static void test_an_input_that_is_lost_later_gives_out_what_is_done(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	answer(1);
	MUST(blob_remove(world.blobs, world.file_id, &err));
	restart();
	to_the_end();
	assert_int_equal(status(), BATCH_FAILED);
	assert_non_null(strstr(result(false), "c-1"));
	assert_counts(1, 2, 0, 0);
}

static void test_a_journal_that_cannot_be_opened_does_not_hold_up_a_cancel_for_ever(void **state)
{
	(void)state;
	char path[PATH_MAX];

	batch_of_lines(LINES);
	answer(1);
	bool moved;
	MUST(store_batch_move(world.store, w.batch_id, 1u << BATCH_IN_PROGRESS, BATCH_CANCELLING,
			      sys.now_s(), &moved, &err));
	snprintf(path, sizeof(path), "%s/%s", world.dir, journal_name());
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0); /* opening it is EISDIR */
	restart();
	unsigned tries = 1;
	while (w.c != NULL && tries < 100) {
		time_passes(1);
		turns_take();
		tries++;
	}
	assert_int_equal(w.ended, 1);
	assert_true(tries > 5);
	assert_int_equal(status(), BATCH_CANCELLED);
}

/* ---- held up ---- */

static void test_a_full_disk_holds_the_merge_up_and_it_goes_on(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	answer(0);
	answer(1);
	answer(2);
	world_sys.disk_full = true;
	TURNS_UNTIL(turn_waits());
	assert_int_equal(w.ended, 0);
	world_sys.disk_full = false;
	time_passes(1);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_counts(LINES, 0, 0, 0);
	assert_in_order(result(false), "c-0", "c-2");
}

static void test_a_full_disk_at_the_opening_is_told_and_passes(void **state)
{
	(void)state;
	upload_lines(LINES);
	world_sys.disk_full = true;
	batch_begin();
	assert_int_equal(fake.added, 0);
	assert_int_equal(status(), BATCH_IN_PROGRESS);
	assert_int_equal(view().stall, STALL_PAUSED);
	assert_true(coordinator_is_new(w.c));
	world_sys.disk_full = false;
	time_passes(1);
	turns_take();
	assert_int_equal(fake.added, 1);
	assert_int_equal(view().stall, STALL_NONE);
}

/* Whatever write, sync, rename or cut is the one that fails: all lines are there in the end,
 * once. */
static void test_any_single_fault_of_the_disk_passes(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX] = { 0 };
	bool fired = true;

	for (int nth = 1; fired; nth++) {
		w.ended = 0;
		fake_reset();
		upload_lines(LINES);
		sys_fail_nth(nth, ENOSPC);
		batch_begin();
		for (unsigned i = 0; fake.added == 0 && i < 5; i++) {
			time_passes(1);
			turns_take();
		}
		assert_int_equal(fake_records(records), LINES);
		for (unsigned i = 0; i < LINES; i++)
			answer(records[i]);
		for (unsigned i = 0; w.ended == 0 && i < 5; i++) {
			TURNS_UNTIL(w.ended == 1 || turn_waits());
			time_passes(1);
		}
		fired = sys_restore();
		assert_int_equal(status(), BATCH_COMPLETED);
		assert_counts(LINES, 0, 0, 0);
		assert_in_order(result(false), "c-0", "c-2");
		assert_null(strstr(strstr(result(false), "c-1") + 1, "\"c-1\""));
	}
}

/* ---- a lease that ends unless it is renewed; and another worker ---- */

static void batch_of_a_lease(void)
{
	w.env.lease_ms = LEASE_S * 1000;
	batch_of_lines(LINES);
}

static bool other_takes(struct span_lease *ret)
{
	const struct lessor lessor = lessor_memory_lessor(w.c->lessor);

	return lessor.ops->take(lessor.ctx, ret);
}

static void other_gives_back(const struct span_lease *lease)
{
	const struct lessor lessor = lessor_memory_lessor(w.c->lessor);

	assert_true(lessor.ops->give_back(lessor.ctx, lease));
}

static void test_a_lease_is_renewed_in_the_turn(void **state)
{
	(void)state;
	struct span_lease other;

	batch_of_a_lease();
	times_look();
	assert_false(turn_is_due());
	for (unsigned i = 0; i < 4; i++) {
		time_passes(LEASE_S / 2);
		times_look();
		assert_true(turn_is_due()); /* the look itself renews nothing */
		turns_take();
	}
	assert_false(other_takes(&other));
	assert_int_equal(fake.dropped, 0);
}

static void test_a_lost_span_is_taken_again_when_it_is_given_back(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX] = { 0 };
	struct span_lease other;

	batch_of_a_lease();
	answer(1);
	time_passes(LEASE_S);
	assert_true(other_takes(&other));
	times_look();
	TURNS_UNTIL(fake.dropped == 1 && worker_is_idle(w.c->worker));
	times_look();
	turns_take();
	assert_int_equal(fake.added, 1); /* the other has it */
	other_gives_back(&other);
	turns_take();
	assert_int_equal(fake.added, 2);
	assert_int_equal(fake_records(records), LINES - 1);
	answer(records[0]);
	answer(records[1]);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_counts(LINES, 0, 0, 0);
}

static void test_the_span_of_a_worker_that_died_is_taken_when_its_time_is_over(void **state)
{
	(void)state;
	struct span_lease other;

	batch_of_a_lease();
	time_passes(LEASE_S);
	assert_true(other_takes(&other));
	times_look();
	TURNS_UNTIL(worker_is_idle(w.c->worker));
	time_passes(LEASE_S - 1);
	times_look();
	assert_false(turn_is_due());
	time_passes(1);
	times_look();
	turns_take();
	assert_int_equal(fake.added, 2);
}

/* What came too late stands in the journal and counts for nothing: the line runs again. */
static void test_a_line_that_ended_after_its_lease_runs_again(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX] = { 0 };
	struct span_lease other;

	batch_of_a_lease();
	time_passes(LEASE_S);
	assert_true(other_takes(&other));
	answer(0);
	TURNS_UNTIL(fake.dropped == 1 && worker_is_idle(w.c->worker));
	other_gives_back(&other);
	TURNS_UNTIL(fake.added == 2);
	assert_int_equal(fake_records(records), LINES);
	for (unsigned i = 0; i < LINES; i++)
		answer(records[i]);
	to_the_end();
	assert_counts(LINES, 0, 0, 0);
	assert_null(strstr(strstr(result(false), "c-0") + 1, "\"c-0\""));
}

/* A batch that ends is not freed under a worker that is still letting go. */
static void test_an_end_waits_for_a_worker_that_lost_its_lease(void **state)
{
	(void)state;
	struct span_lease other;

	batch_of_a_lease();
	time_passes(LEASE_S);
	assert_true(other_takes(&other));
	coordinator_end(w.c, EARLY_EXPIRED);
	turns_take();
	assert_int_equal(w.ended, 0);
	other_gives_back(&other);
	to_the_end();
	assert_int_equal(fake.dropped, 1);
	assert_counts(0, 0, LINES, 0);
}

/* ---- what it says, and is told ---- */

static void test_a_view_counts_what_is_durable(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	fake.view.running = 2;
	answer(0);
	struct batch_view v = view();
	assert_int_equal(v.row.counts.completed, 1);
	assert_int_equal(v.running, 2);
	assert_int_equal(v.pending, 0);
	fake.view.stall = STALL_DOWN;
	assert_int_equal(view().stall, STALL_DOWN);
}

static void test_a_suspended_organization_is_held(void **state)
{
	(void)state;
	char orgs[1][ID_SIZE];

	batch_of_lines(LINES);
	memcpy(orgs[0], world.org.id, sizeof(orgs[0]));
	coordinator_suspend(w.c, (const char(*)[ID_SIZE])orgs, 1);
	turns_take();
	assert_true(fake.suspended);
	assert_int_equal(view().stall, STALL_HELD);
	coordinator_suspend(w.c, NULL, 0);
	turns_take();
	assert_false(fake.suspended);
}

/* As a call does it (hold.c). */
static void hold(bool held)
{
	bool changed;

	MUST(store_batch_hold(world.store, w.batch_id, held ? BATCH_HELD : BATCH_GOES_ON,
			      world_sys.s, &changed, &err));
	coordinator_hold_look(w.c, held);
}

/* 11.3 */
static void test_a_batch_is_held_and_goes_on(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	hold(true);
	assert_true(fake.suspended); /* at once */
	turns_take();
	assert_true(fake.suspended);
	assert_int_equal(view().stall, STALL_HELD);
	answer(0); /* it was in flight */
	turns_take();
	assert_int_equal(view().row.counts.completed, 1);
	hold(false);
	turns_take();
	assert_false(fake.suspended);
	assert_int_equal(view().stall, STALL_NONE);
	assert_int_equal(fake.added, 1);
}

static void test_the_last_of_two_calls_that_overtake_each_other_counts(void **state)
{
	bool changed;

	(void)state;
	batch_of_lines(LINES);
	hold(true);
	MUST(store_batch_hold(world.store, w.batch_id, BATCH_GOES_ON, world_sys.s, &changed, &err));
	coordinator_hold_look(w.c, false);
	coordinator_hold_look(w.c, true); /* the first call comes late */
	turns_take();
	assert_false(fake.suspended);
}

static void test_a_held_batch_stays_held_across_a_restart(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	hold(true);
	turns_take();
	restart();
	assert_true(fake.suspended);
	assert_int_equal(view().stall, STALL_HELD);
	hold(false);
	turns_take();
	assert_false(fake.suspended);
}

static void test_a_batch_that_is_held_while_validating_begins_held(void **state)
{
	bool changed;

	(void)state;
	upload_lines(LINES);
	batch_insert(w.batch_id);
	MUST(store_batch_hold(world.store, w.batch_id, BATCH_HELD, world_sys.s, &changed, &err));
	batch_take_up();
	assert_int_equal(status(), BATCH_IN_PROGRESS);
	assert_true(fake.suspended);
}

static void test_a_held_batch_ends_with_its_window_and_when_all_has_ended(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	hold(true);
	for (uint64_t i = 0; i < LINES; i++)
		answer(i);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	w.ended = 0;
	fake.added = 0;
	batch_of_lines(LINES);
	hold(true);
	turns_take();
	time_passes(DAY);
	times_look();
	to_the_end();
	assert_int_equal(status(), BATCH_EXPIRED);
}

/* A batch of LINES lines of which `n` run first. */
static void batch_of_canary(uint64_t n)
{
	upload_lines(LINES);
	batch_begin_as(&(struct batch_options){ .canary = n });
}

/* The records that are handed out, and no other. */
static void assert_handed_out(unsigned n, uint64_t first)
{
	uint64_t records[LINES_MAX] = { 0 };

	assert_int_equal(fake_records(records), n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(records[i], first + i);
}

/* 11.1, token_budget: what is left is told so, and the batch has completed. */
static void test_a_budget_that_is_used_up_completes_the_batch(void **state)
{
	(void)state;
	upload_lines(LINES);
	batch_begin_as(&(struct batch_options){ .token_budget = 5 });
	assert_int_equal(fake.flow->config.spending->budget, 5);
	assert_int_equal(fake.flow->config.spending->spent, 0);
	answer(1);
	restart();
	assert_int_equal(fake.flow->config.spending->spent, 3); /* by the journal */
	worker_dispatch_ops.spent(fake.flow->config.owner);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_counts(1, 2, 0, 0);
	assert_non_null(strstr(result(true), "\"code\":\"token_budget_exceeded\""));
	struct batch b = row();
	assert_true(b.at[BATCH_FINALIZING] > 0);
	batch_done(&b);
}

/* Damage is found when all has ended: the line runs again, for the budget is not used up. `restarts`: at
 * the next start. */
static void damaged_while_finalizing(bool restarts)
{
	uint64_t records[LINES_MAX];
	bool moved;

	upload_lines(LINES);
	batch_begin_as(&(struct batch_options){ .token_budget = 100 });
	for (uint64_t i = 0; i < LINES; i++)
		answer(i);
	overwrite(journal_name(), JOURNAL_START + 60, "~~~~");
	if (restarts) {
		MUST(store_batch_move(world.store, w.batch_id, 1u << BATCH_IN_PROGRESS,
				      BATCH_FINALIZING, world_sys.s, &moved, &err));
		restart();
	}
	TURNS_UNTIL(fake.added == (restarts ? 1 : 2));
	assert_int_equal(status(), BATCH_FINALIZING);
	assert_int_equal(fake_records(records), 1);
	answer(records[0]);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_counts(LINES, 0, 0, 0);
	assert_null(result(true));
}

static void test_damage_while_finalizing_spends_no_budget(void **state)
{
	(void)state;
	damaged_while_finalizing(false);
}

static void test_damage_found_after_a_restart_spends_no_budget(void **state)
{
	(void)state;
	damaged_while_finalizing(true);
}

/* As it is after a crash between the two states. */
static void test_a_crash_after_the_budget_was_used_up(void **state)
{
	bool moved;

	(void)state;
	upload_lines(LINES);
	batch_begin_as(&(struct batch_options){ .token_budget = 5 });
	answer(0);
	MUST(store_batch_move(world.store, w.batch_id, 1u << BATCH_IN_PROGRESS, BATCH_FINALIZING,
			      world_sys.s, &moved, &err));
	restart();
	to_the_end();
	assert_int_equal(fake.added, 0);
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_counts(1, 2, 0, 0);
}

/* 11.1, not_before: the clock opens it. */
static void test_nothing_is_sent_before_its_time(void **state)
{
	(void)state;
	upload_lines(LINES);
	batch_begin_as(&(struct batch_options){ .not_before = NOW + 100 });
	assert_true(fake.suspended);
	assert_int_equal(fake.flow->config.opening->not_before, NOW + 100);
	assert_int_equal(view().stall, STALL_HELD);
	assert_string_equal(view().stall_message, "no line is sent before 2025-06-15T15:08:20Z");
	time_passes(99);
	times_look();
	turns_take();
	assert_true(fake.suspended);
	restart();
	assert_true(fake.suspended);
	hold(true);
	turns_take();
	time_passes(1);
	times_look();
	turns_take();
	assert_true(fake.suspended); /* held as well */
	hold(false);
	turns_take();
	assert_false(fake.suspended);
	assert_int_equal(view().stall, STALL_NONE);
}

/* 11.1, hours: 15:06:40 UTC is the beginning. */
static void test_lines_are_sent_at_its_hours(void **state)
{
	struct batch_options o = { 0 };

	(void)state;
	snprintf(o.hours, sizeof(o.hours), "15:00-15:08 Etc/UTC");
	upload_lines(LINES);
	batch_begin_as(&o);
	assert_false(fake.suspended);
	time_passes(79);
	times_look();
	turns_take();
	assert_false(fake.suspended);
	time_passes(1);
	times_look();
	turns_take();
	assert_true(fake.suspended);
	assert_string_equal(view().stall_message,
			    "lines are sent at its hours, 15:00-15:08 Etc/UTC: from "
			    "2025-06-16T15:00:00Z on");
	answer(0); /* it was in flight */
	time_passes(DAY - 480);
	times_look(); /* the window has not stopped, nor ended */
	turns_take();
	assert_false(fake.suspended);
	time_passes(400);
	times_look();
	to_the_end();
	assert_int_equal(status(), BATCH_EXPIRED);
}

/* A batch that waits is not looked at before its time: there may be many. */
static void test_time_looks_when_something_is_due(void **state)
{
	(void)state;
	batch_of_lines(LINES);
	(void)times_look(); /* the first is of all */
	for (unsigned i = 0; i < 10; i++) {
		time_passes(DAY / 12);
		assert_false(times_look());
	}
	world_sys.s -= 10; /* a clock that is put back may change anything */
	assert_true(times_look());
	assert_false(times_look());
	world_sys.s += 10;
	time_passes(DAY / 12);
	assert_false(times_look());
	time_passes(DAY / 12);
	assert_true(times_look());
	to_the_end();
	assert_int_equal(status(), BATCH_EXPIRED);
	assert_false(times_look());
}

static void test_time_looks_at_hours_when_they_change(void **state)
{
	struct batch_options o = { 0 };

	(void)state;
	snprintf(o.hours, sizeof(o.hours), "15:00-15:08 Etc/UTC");
	upload_lines(LINES);
	batch_begin_as(&o);
	(void)times_look();
	time_passes(79);
	assert_false(times_look());
	time_passes(1);
	assert_true(times_look());
	turns_take();
	(void)times_look(); /* whether it has woken up */
	time_passes(600);
	assert_false(times_look());
	assert_true(fake.suspended);
}

/* 11.1, canary */
static void test_a_canary_runs_first_and_holds_the_batch(void **state)
{
	(void)state;
	batch_of_canary(1);
	assert_handed_out(1, 1); /* the one in the middle */
	assert_int_equal(fake.flow->config.rest_lines, 1);
	assert_int_equal(view().stall, STALL_NONE);
	answer(1);
	times_look();
	TURNS_UNTIL(fake.added == 2); /* begun again, with all lines */
	assert_true(fake.suspended);
	struct batch_view v = view();
	assert_int_equal(v.stall, STALL_HELD);
	assert_non_null(strstr(v.stall_message, "canary of 1 lines"));
	restart();
	assert_true(fake.suspended);
	assert_int_equal(view().stall, STALL_HELD);
	hold(false);
	turns_take();
	assert_false(fake.suspended);
	answer(0);
	answer(2);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
}

static void test_a_canary_goes_on_after_a_restart(void **state)
{
	(void)state;
	batch_of_canary(2);
	uint64_t records[LINES_MAX];
	assert_int_equal(fake_records(records), 2);
	answer(records[0]);
	restart();
	assert_int_equal(fake_records(records), 1);
	answer(records[0]);
	restart(); /* before anybody has seen that it has ended */
	TURNS_UNTIL(fake.suspended);
	assert_int_equal(view().stall, STALL_HELD);
	assert_int_equal(view().row.counts.completed, 2);
}

static void test_a_canary_of_all_lines_holds_nothing(void **state)
{
	(void)state;
	batch_of_canary(LINES);
	assert_handed_out(LINES, 0);
	for (uint64_t i = 0; i < LINES; i++)
		answer(i);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
}

/* It is held by a client meanwhile: who resumes it then has seen the canary's answers. */
static void test_a_canary_that_ends_while_it_is_held(void **state)
{
	(void)state;
	batch_of_canary(1);
	hold(true);
	turns_take();
	answer(1);
	times_look();
	TURNS_UNTIL(fake.added == 2);
	assert_non_null(strstr(view().stall_message, "canary"));
	hold(false);
	turns_take();
	assert_false(fake.suspended);
	times_look();
	turns_take();
	assert_false(fake.suspended);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_good_batch_is_validated_and_sent),
		TEST(test_a_bad_line_fails_the_batch_before_anything_is_sent),
		TEST(test_a_limit_on_what_is_enqueued_fails_the_batch),
		TEST(test_an_input_that_is_lost_before_it_was_checked_is_beyond_repair),
		TEST(test_a_batch_that_is_not_there_is_gone),
		TEST(test_all_answered_is_completed_in_input_order),
		TEST(test_a_result_file_without_lines_is_removed),
		TEST(test_the_windows_end_fills_the_rest),
		TEST(test_a_window_that_ended_while_no_server_ran_ends_the_batch),
		TEST(test_while_the_time_is_in_doubt_no_window_ends),
		TEST(test_a_cancel_keeps_what_was_answered),
		TEST(test_a_cancel_that_comes_when_all_is_answered_is_the_state),
		TEST(test_an_input_that_becomes_unreadable_fails_the_rest),
		TEST(test_after_a_restart_only_the_rest_is_sent),
		TEST(test_a_damaged_record_makes_its_line_run_again),
		TEST(test_an_input_that_is_lost_later_gives_out_what_is_done),
		TEST(test_a_journal_that_cannot_be_opened_does_not_hold_up_a_cancel_for_ever),
		TEST(test_a_full_disk_holds_the_merge_up_and_it_goes_on),
		TEST(test_a_full_disk_at_the_opening_is_told_and_passes),
		TEST(test_any_single_fault_of_the_disk_passes),
		TEST(test_a_lease_is_renewed_in_the_turn),
		TEST(test_a_lost_span_is_taken_again_when_it_is_given_back),
		TEST(test_the_span_of_a_worker_that_died_is_taken_when_its_time_is_over),
		TEST(test_a_line_that_ended_after_its_lease_runs_again),
		TEST(test_an_end_waits_for_a_worker_that_lost_its_lease),
		TEST(test_a_view_counts_what_is_durable),
		TEST(test_a_suspended_organization_is_held),
		TEST(test_a_batch_is_held_and_goes_on),
		TEST(test_the_last_of_two_calls_that_overtake_each_other_counts),
		TEST(test_a_held_batch_stays_held_across_a_restart),
		TEST(test_a_batch_that_is_held_while_validating_begins_held),
		TEST(test_a_budget_that_is_used_up_completes_the_batch),
		TEST(test_damage_while_finalizing_spends_no_budget),
		TEST(test_damage_found_after_a_restart_spends_no_budget),
		TEST(test_a_crash_after_the_budget_was_used_up),
		TEST(test_nothing_is_sent_before_its_time),
		TEST(test_lines_are_sent_at_its_hours),
		TEST(test_time_looks_when_something_is_due),
		TEST(test_time_looks_at_hours_when_they_change),
		TEST(test_a_canary_runs_first_and_holds_the_batch),
		TEST(test_a_canary_goes_on_after_a_restart),
		TEST(test_a_canary_of_all_lines_holds_nothing),
		TEST(test_a_canary_that_ends_while_it_is_held),
		TEST(test_a_held_batch_ends_with_its_window_and_when_all_has_ended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
