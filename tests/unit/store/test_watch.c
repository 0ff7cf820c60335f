/* Changes of state: their numbers, and who is told of them (contract 11.3, events). */
#include "store_test.h"

#define TOLD_MAX 32u

static struct {
	struct batch rows[TOLD_MAX];
	size_t n, unknown;
	bool wanted;
} told;

static bool on_wanted(void *ctx)
{
	(void)ctx;
	return told.wanted;
}

static void on_moved(void *ctx, struct batch *row)
{
	(void)ctx;
	if (row == NULL) {
		told.unknown++;
		return;
	}
	assert_true(told.n < TOLD_MAX);
	told.rows[told.n++] = *row;
}

static const struct batch_watch watch = { on_wanted, on_moved, NULL };

static void told_clear(void)
{
	while (told.n > 0)
		batch_done(&told.rows[--told.n]);
	told.unknown = 0;
	told.wanted = true;
}

static int watch_setup(void **state)
{
	setup(state);
	told_clear();
	store_watch(store, &watch);
	return 0;
}

static int watch_teardown(void **state)
{
	told_clear();
	return teardown(state);
}

#define WATCHED(test) cmocka_unit_test_setup_teardown(test, watch_setup, watch_teardown)

static bool move(const char *id, enum batch_status from, enum batch_status to)
{
	bool moved;

	MUST(store_batch_move(store, id, 1u << from, to, NOW + 1, &moved, &err));
	return moved;
}

static int64_t last_of(const struct org *org)
{
	int64_t last;

	MUST(store_changed_last(store, org->id, &last, &err));
	return last;
}

/* The ids of what changed in a range, one behind the other; their number. */
static size_t changed(const struct changed_query *asked, char ids[static 64][ID_SIZE])
{
	struct batch rows[64];
	size_t n;

	assert_true(asked->limit <= 64);
	MUST(store_batches_changed(store, asked, rows, &n, &err));
	for (size_t i = 0; i < n; i++) {
		assert_true(rows[i].changed > asked->after && rows[i].changed <= asked->up_to);
		assert_true(i == 0 || rows[i].changed > rows[i - 1].changed);
		memcpy(ids[i], rows[i].id, ID_SIZE);
	}
	for (size_t i = 0; i < n; i++)
		batch_done(&rows[i]);
	return n;
}

static void each_change_takes_the_next_number_of_its_organization(void **state)
{
	(void)state;
	assert_int_equal(last_of(&ours), 0);
	struct batch a = put_batch(&ours, NOW), b = put_batch(&ours, NOW),
		     c = put_batch(&theirs, NOW);
	assert_int_equal(last_of(&ours), 2);
	assert_int_equal(last_of(&theirs), 1);
	assert_true(move(a.id, BATCH_VALIDATING, BATCH_IN_PROGRESS));
	assert_int_equal(last_of(&ours), 3);
	assert_false(move(b.id, BATCH_IN_PROGRESS, BATCH_FINALIZING));
	assert_int_equal(last_of(&ours), 3);
	reopen();
	assert_int_equal(last_of(&ours), 3);
	assert_true(move(c.id, BATCH_VALIDATING, BATCH_FAILED));
	assert_int_equal(last_of(&theirs), 2);
}

static void what_changed_is_read_in_order_and_by_ranges(void **state)
{
	struct batch made[6];
	char ids[64][ID_SIZE];

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		made[i] = put_batch(&ours, NOW);
	(void)put_batch(&theirs, NOW);
	assert_true(move(made[0].id, BATCH_VALIDATING, BATCH_FAILED));
	assert_true(move(made[2].id, BATCH_VALIDATING, BATCH_IN_PROGRESS));
	struct changed_query asked = { .org = ours.id, .up_to = INT64_MAX, .limit = 64 };
	assert_int_equal(changed(&asked, ids), 6);
	assert_string_equal(ids[0], made[1].id);
	assert_string_equal(ids[4], made[0].id);
	assert_string_equal(ids[5], made[2].id);
	asked.limit = 2;
	asked.after = 4;
	assert_int_equal(changed(&asked, ids), 2);
	assert_string_equal(ids[0], made[4].id);
	asked.limit = 64;
	asked.up_to = 6;
	assert_int_equal(changed(&asked, ids), 2);
	asked.after = 0;
	asked.up_to = INT64_MAX;
	asked.open_only = true;
	assert_int_equal(changed(&asked, ids), 5);
	for (unsigned i = 0; i < 5; i++)
		assert_string_not_equal(ids[i], made[0].id);
}

static void each_change_is_told_with_the_row_after_it(void **state)
{
	struct batch b = put_batch(&ours, NOW);
	struct merge_state m = { .segments = 1, .counts = { .completed = 1000 } };
	bool moved;

	(void)state;
	MUST(store_batch_start(store, b.id, 1000, 5000, "model", "file-out", "file-err", NOW,
			       &moved, &err));
	assert_true(move(b.id, BATCH_IN_PROGRESS, BATCH_FINALIZING));
	assert_false(move(b.id, BATCH_IN_PROGRESS, BATCH_FINALIZING));
	MUST(store_batch_finish(store, b.id, BATCH_COMPLETED, &m, NULL, NULL, NULL, NOW, &moved,
				&err));
	assert_int_equal(told.n, 4);
	assert_int_equal(told.rows[0].status, BATCH_VALIDATING);
	assert_int_equal(told.rows[1].status, BATCH_IN_PROGRESS);
	assert_string_equal(told.rows[1].model, "model");
	assert_int_equal(told.rows[1].counts.total, 1000);
	assert_int_equal(told.rows[2].status, BATCH_FINALIZING);
	assert_int_equal(told.rows[3].status, BATCH_COMPLETED);
	assert_int_equal(told.rows[3].counts.completed, 1000);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(told.rows[i].changed, i + 1);
}

static void failed_and_cancelled_ones_are_told(void **state)
{
	struct batch a = put_batch(&ours, NOW), b = put_batch(&ours, NOW);
	bool moved;

	(void)state;
	told_clear();
	MUST(store_batch_fail(store, a.id, "[{}]", NOW, &moved, &err));
	MUST(store_batch_cancel_early(store, b.id, NOW, &moved, &err));
	assert_int_equal(told.n, 2);
	assert_string_equal(told.rows[0].errors, "[{}]");
	assert_int_equal(told.rows[1].status, BATCH_CANCELLED);
}

static void nothing_is_told_that_is_not_wanted_or_not_done(void **state)
{
	struct batch b = put_batch(&ours, NOW);

	(void)state;
	told_clear();
	told.wanted = false;
	assert_true(move(b.id, BATCH_VALIDATING, BATCH_IN_PROGRESS));
	assert_int_equal(told.n, 0);
	told.wanted = true;
	store_watch(store, NULL);
	assert_true(move(b.id, BATCH_IN_PROGRESS, BATCH_FINALIZING));
	assert_int_equal(told.n + told.unknown, 0);
}

/* (11.3, retry) A batch on an input that is made for it is told of as any other, and has its trace. */
static void a_retrys_child_is_told_of(void **state)
{
	const struct file_quota room = { 9, 0 };
	struct batch b = { .status = BATCH_VALIDATING, .created_at = NOW, .expires_at = NOW + 60 };
	struct file f = file_of(&ours, NOW);
	char trace[BATCH_TRACEPARENT_SIZE], id[ID_SIZE];

	(void)state;
	id_batch(b.id);
	memcpy(b.org, ours.id, sizeof(b.org));
	strcpy(b.input_file_id, f.id);
	strcpy(b.endpoint, "/v1/chat/completions");
	strcpy(b.completion_window, "24h");
	strcpy(b.traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
	MUST(store_batch_insert_with(store, &b, &f, &room, NULL, 0, id, &err));
	assert_int_equal(told.n, 1);
	assert_string_equal(told.rows[0].id, b.id);
	MUST(store_batch_trace(store, b.id, trace, &err));
	assert_string_equal(trace, b.traceparent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCHED(a_retrys_child_is_told_of),
		WATCHED(each_change_takes_the_next_number_of_its_organization),
		WATCHED(what_changed_is_read_in_order_and_by_ranges),
		WATCHED(each_change_is_told_with_the_row_after_it),
		WATCHED(failed_and_cancelled_ones_are_told),
		WATCHED(nothing_is_told_that_is_not_wanted_or_not_done),
	};

	return cmocka_run_group_tests_name("store/watch", tests, NULL, NULL);
}
