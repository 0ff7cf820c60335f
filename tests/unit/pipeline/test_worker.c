/* test_worker.c: a worker takes, sends, journals and settles; its lease is lost; the disk is full;
 * the input cannot be read. */
#include <sys/resource.h>

#include "pipeline_unit.h"

#define LINES 3u
#define LEASE_MS 15000u

static struct {
	struct lessor_memory *memory;
	struct lessor lessor;
	struct open_table table;
	struct open_files files;
	struct worker *worker;
	_Atomic bool closing, ends;
	atomic_uint faults, returned, idle;
} w;

static void on_finished(void *ctx)
{
	(void)ctx;
}

static void on_returned(void *ctx)
{
	(void)ctx;
	w.returned++;
}

static uint64_t on_line_number(void *ctx, uint64_t record)
{
	(void)ctx;
	return input_line_number(&w.files.input, record);
}

static bool on_busy(void *ctx)
{
	(void)ctx;
	return worker_is_busy(w.worker);
}

static void on_starved(void *ctx, const struct error *why)
{
	(void)ctx;
	(void)why;
}

static void on_fault(void *ctx)
{
	(void)ctx;
	w.faults++;
}

static bool on_ends(void *ctx)
{
	(void)ctx;
	return w.ends;
}

static void on_idle(void *ctx)
{
	(void)ctx;
	w.idle++;
}

static const struct lessor_watch watch = { on_finished, on_returned, on_line_number };
static const struct open_files_ops files_ops = { on_busy, on_starved };
static const struct worker_ops worker_ops = { .fault = on_fault, .ends = on_ends, .idle = on_idle };

static void files_setup(void)
{
	char path[PATH_MAX];
	struct journal_found found;

	open_table_init(&w.table);
	w.files = (struct open_files){
		.table = &w.table,
		.ops = &files_ops,
		.input = { .blobs = world.blobs, .file_id = world.file_id, .batch_id = "batch-1" },
	};
	MUST(input_open(&w.files.input, 0, &err));
	snprintf(path, sizeof(path), "%s/batches/batch-1.journal", world.dir);
	MUST(journal_open(path, 0, LINES, lessor_memory_found, w.memory, &w.files.journal, &found,
			  &err));
	open_files_add(&w.files);
}

static int setup(void **state)
{
	const struct ended_sums none = { 0 };

	(void)state;
	memset(&w, 0, sizeof(w));
	fake_reset();
	world_open();
	upload_lines(LINES);
	MUST(lessor_memory_new("batch-1", LEASE_MS, &watch, NULL, &w.memory, &err));
	w.lessor = lessor_memory_lessor(w.memory);
	MUST(lessor_memory_open(w.memory, LINES, 0, 0, &none, &err));
	files_setup();
	const struct worker_config config = {
		.batch_id = "batch-1",
		.lessor = w.lessor,
		.files = &w.files,
		.recorder = world.recorder,
		.closing = &w.closing,
		.ops = &worker_ops,
	};
	MUST(worker_new(&config, &w.worker, &err));
	lessor_memory_offer(w.memory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	w.closing = true;
	worker_abandon(w.worker);
	recorder_close(world.recorder);
	worker_free(w.worker);
	open_files_close(&w.files);
	open_table_done(&w.table);
	lessor_memory_free(w.memory);
	world_close();
	return 0;
}

static const struct flow_config task = { .endpoint = "/v1/chat/completions", .model = "m" };

static void test_it_hands_out_what_it_was_lent_and_settles_what_ended(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX];
	struct ended_sums sums;

	assert_true(worker_start(w.worker, &task, NULL, 0));
	assert_string_equal(fake.flow->config.endpoint, task.endpoint);
	assert_int_equal(fake_records(records), LINES);
	fake_answer(2, 200);
	fake_answer(0, 404);
	all_recorded();
	lessor_memory_sums(w.memory, &sums);
	assert_int_equal(sums.counts.completed, 1);
	assert_int_equal(sums.counts.failed, 1);
	assert_int_equal(sums.causes.of[0].line, 1);
	assert_int_equal(fake.recorded, 2);
}

static void test_without_a_lease_nothing_is_sent(void **state)
{
	(void)state;
	struct span_lease other;

	assert_true(w.lessor.ops->take(w.lessor.ctx, &other));
	assert_false(worker_start(w.worker, &task, NULL, 0));
	assert_int_equal(fake.added, 0);
	assert_true(worker_is_idle(w.worker));
}

static void test_asked_back_it_settles_what_was_answered_and_gives_back(void **state)
{
	(void)state;
	assert_true(worker_start(w.worker, &task, NULL, 0));
	fake_answer(1, 200);
	worker_recall(w.worker);
	worker_recall(w.worker); /* of no further effect */
	assert_int_equal(fake.dropped, 1);
	WAIT_UNTIL(w.idle == 1);
	assert_int_equal(w.returned, 1);
	assert_true(worker_is_idle(w.worker));
	assert_false(lessor_memory_is_lent(w.memory));
	assert_int_equal(lessor_memory_ended(w.memory), 1);
}

static void test_a_lease_taken_again_leaves_out_what_has_ended(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX] = { 0 };

	assert_true(worker_start(w.worker, &task, NULL, 0));
	fake_answer(1, 200);
	worker_recall(w.worker);
	WAIT_UNTIL(w.idle == 1);
	assert_true(worker_start(w.worker, &task, NULL, 0));
	assert_int_equal(fake_records(records), LINES - 1);
	assert_int_equal(records[0], 0);
	assert_int_equal(records[1], 2);
}

/* Another worker has taken over while this one was cut off. */
static void test_a_lost_lease_drops_what_is_in_flight_and_settles_nothing(void **state)
{
	(void)state;
	struct span_lease other;

	assert_true(worker_start(w.worker, &task, NULL, 0));
	time_passes(LEASE_MS / 1000);
	assert_true(w.lessor.ops->take(w.lessor.ctx, &other));
	fake_answer(0, 200);
	WAIT_UNTIL(w.idle == 1);
	assert_true(worker_is_idle(w.worker));
	assert_int_equal(fake.dropped, 1);
	assert_int_equal(fake.recorded, 1); /* its slot is free all the same */
	assert_int_equal(lessor_memory_ended(w.memory), 0);
	assert_int_equal(w.returned, 0);
	assert_true(lessor_memory_is_lent(w.memory)); /* to the other */
}

static void test_a_lease_is_renewed_in_time(void **state)
{
	(void)state;
	struct span_lease other;

	assert_false(worker_renew_is_due(w.worker, UINT64_MAX)); /* it has none */
	assert_true(worker_start(w.worker, &task, NULL, 0));
	assert_false(worker_renew_is_due(w.worker, sys.monotonic_ms()));
	for (unsigned i = 0; i < 10; i++) {
		time_passes(LEASE_MS / 1000 / 2);
		assert_true(worker_renew_is_due(w.worker, sys.monotonic_ms()));
		worker_renew(w.worker, sys.monotonic_ms());
	}
	assert_false(w.lessor.ops->take(w.lessor.ctx, &other));
	fake_answer(0, 200);
	all_recorded();
	assert_int_equal(lessor_memory_ended(w.memory), 1);
}

static void test_a_lease_that_cannot_be_renewed_ends_the_sending(void **state)
{
	(void)state;
	struct span_lease other;

	assert_true(worker_start(w.worker, &task, NULL, 0));
	worker_renew(w.worker, sys.monotonic_ms()); /* not due: it is not asked */
	time_passes(LEASE_MS / 1000);
	assert_true(w.lessor.ops->take(w.lessor.ctx, &other));
	assert_int_equal(fake.dropped, 0);
	worker_renew(w.worker, sys.monotonic_ms());
	assert_int_equal(fake.dropped, 1);
	WAIT_UNTIL(worker_is_idle(w.worker));
}

static void test_a_full_disk_holds_lines_up_and_loses_none(void **state)
{
	(void)state;
	assert_true(worker_start(w.worker, &task, NULL, 0));
	world_sys.disk_full = true;
	fake_answer(0, 200);
	WAIT_UNTIL(recorder_stalled(world.recorder));
	assert_int_equal(lessor_memory_ended(w.memory), 0);
	assert_int_equal(fake.recorded, 0);
	world_sys.disk_full = false;
	all_recorded();
	assert_int_equal(lessor_memory_ended(w.memory), 1);
	assert_int_equal(fake.recorded, 1);
}

static void test_of_a_batch_that_ends_a_full_disk_does_not_hold_the_lease(void **state)
{
	(void)state;
	assert_true(worker_start(w.worker, &task, NULL, 0));
	world_sys.disk_full = true;
	w.ends = true;
	fake_answer(0, 200);
	worker_recall(w.worker);
	WAIT_UNTIL(w.returned == 1);
	assert_int_equal(lessor_memory_ended(w.memory), 0);
	assert_int_equal(fake.recorded, 1);
}

static void test_a_fault_of_the_input_is_told(void **state)
{
	(void)state;
	AUTO(buf_free) struct buf to = BUF(1 << 16);
	struct request_line line;
	char name[PATH_MAX];

	assert_true(worker_start(w.worker, &task, NULL, 0));
	snprintf(name, sizeof(name), "%s/files/%s.jsonl", world.dir, world.file_id);
	assert_int_equal(truncate(name, 10), 0);
	assert_false(worker_dispatch_ops.line_read(fake.flow->config.owner, 2, &to, &line, &err));
	worker_dispatch_ops.fault(fake.flow->config.owner, &err);
	assert_int_equal(w.faults, 1);
}

/* Which lines of a segment are a share's stands in the index. */
static void test_a_share_waits_for_descriptors(void **state)
{
	(void)state;
	static const uint8_t segments = 1;
	const struct worker_share share = { .model = "m",
					    .rest_lines = LINES,
					    .segments = &segments };
	const struct error why = { .sys = EMFILE };
	struct segment_cursor cursor;
	struct rlimit before, none;

	assert_true(worker_start(w.worker, &task, &share, 1));
	open_table_spare(&w.table, &why);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	bool lent = worker_dispatch_ops.segment_next(fake.flow->config.owner, &cursor);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(lent);
	assert_true(cursor.later);
	assert_int_equal(cursor.lines, 0);
	assert_int_equal(w.faults, 0);
	assert_true(worker_dispatch_ops.segment_next(fake.flow->config.owner, &cursor));
	assert_int_equal(cursor.lines, LINES);
	assert_false(worker_dispatch_ops.segment_next(fake.flow->config.owner, &cursor));
	assert_false(cursor.later);
}

static void test_it_is_suspended_only_while_it_sends(void **state)
{
	(void)state;
	worker_suspend(w.worker, true);
	assert_true(worker_start(w.worker, &task, NULL, 0));
	assert_false(fake.suspended);
	worker_suspend(w.worker, true);
	assert_true(fake.suspended);
}

static void test_what_it_says_of_itself(void **state)
{
	(void)state;
	struct flow_view view;

	worker_look(w.worker, &view);
	assert_int_equal(view.stall, STALL_NONE);
	assert_true(worker_start(w.worker, &task, NULL, 0));
	fake.view.running = 2;
	fake.view.stall = STALL_DOWN;
	snprintf(fake.view.text, sizeof(fake.view.text), "as the test says");
	worker_look(w.worker, &view);
	assert_int_equal(view.running, 2);
	assert_int_equal(view.stall, STALL_DOWN);
	assert_string_equal(view.text, "as the test says");
	assert_true(worker_is_busy(w.worker));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_it_hands_out_what_it_was_lent_and_settles_what_ended),
		TEST(test_without_a_lease_nothing_is_sent),
		TEST(test_asked_back_it_settles_what_was_answered_and_gives_back),
		TEST(test_a_lease_taken_again_leaves_out_what_has_ended),
		TEST(test_a_lost_lease_drops_what_is_in_flight_and_settles_nothing),
		TEST(test_a_lease_is_renewed_in_time),
		TEST(test_a_lease_that_cannot_be_renewed_ends_the_sending),
		TEST(test_a_full_disk_holds_lines_up_and_loses_none),
		TEST(test_of_a_batch_that_ends_a_full_disk_does_not_hold_the_lease),
		TEST(test_a_fault_of_the_input_is_told),
		TEST(test_a_share_waits_for_descriptors),
		TEST(test_it_is_suspended_only_while_it_sends),
		TEST(test_what_it_says_of_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
