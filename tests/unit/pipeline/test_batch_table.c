/* test_batch_table.c: coordinators are found by their batches' ids; and a cancel finds one. */
#include "pipeline_unit.h"

#include "pipeline/cancel.h"
#include "pipeline/day_tokens.h"

#define BATCHES 40u

static struct {
	struct pipeline_config config;
	struct coordinator_env env;
	struct day_tokens day;
	struct batch_table table;
	unsigned calls;
} w;

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	turns_forget();
	fake_reset();
	world_open();
	w.env = (struct coordinator_env){ .data_dir = world.dir,
					  .config = &w.config,
					  .store = world.store,
					  .blobs = world.blobs,
					  .recorder = world.recorder,
					  .day = &w.day };
	day_tokens_init(&w.day, 0);
	open_table_init(&w.env.files);
	batch_table_init(&w.table);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (struct coordinator *c; (c = batch_table_pop(&w.table)) != NULL;)
		coordinator_free(c);
	batch_table_done(&w.table);
	open_table_done(&w.env.files);
	day_tokens_done(&w.day);
	recorder_close(world.recorder);
	world_close();
	return 0;
}

static void put(const char *id)
{
	struct coordinator *c;

	MUST(coordinator_new(&w.env, id, &c, &err));
	assert_true(batch_table_add(&w.table, c));
}

static void on_call(void *ctx, struct coordinator *c)
{
	if (ctx != NULL)
		assert_string_equal(coordinator_id(c), ctx);
	w.calls++;
}

static void test_each_is_found_by_its_id(void **state)
{
	(void)state;
	char id[ID_SIZE];

	for (unsigned i = 0; i < BATCHES; i++) {
		snprintf(id, sizeof(id), "batch-%u", i);
		put(id);
	}
	for (unsigned i = 0; i < BATCHES; i++) {
		snprintf(id, sizeof(id), "batch-%u", i);
		assert_true(batch_table_with(&w.table, id, on_call, id));
	}
	assert_false(batch_table_with(&w.table, "batch-x", on_call, NULL));
	assert_int_equal(w.calls, BATCHES);
	batch_table_each(&w.table, on_call, NULL);
	assert_int_equal(w.calls, 2 * BATCHES);
}

static void test_a_batch_has_one_coordinator(void **state)
{
	(void)state;
	struct coordinator *second;

	put("batch-1");
	MUST(coordinator_new(&w.env, "batch-1", &second, &err));
	assert_false(batch_table_add(&w.table, second));
	coordinator_free(second);
	batch_table_each(&w.table, on_call, NULL);
	assert_int_equal(w.calls, 1);
}

static void test_one_that_is_removed_is_found_no_more(void **state)
{
	(void)state;
	struct coordinator *c;

	put("batch-1");
	MUST(coordinator_new(&w.env, "batch-2", &c, &err));
	assert_true(batch_table_add(&w.table, c));
	batch_table_remove(&w.table, c);
	coordinator_free(c);
	assert_false(batch_table_with(&w.table, "batch-2", on_call, NULL));
	assert_true(batch_table_with(&w.table, "batch-1", on_call, NULL));
}

/* ---- cancel ---- */

static enum batch_status status_after_cancel(const char *id, bool *ret_final)
{
	const struct batch_call call = { world.store, &w.table, world.org.id, id };
	struct batch b;

	MUST(batch_cancel(&call, ret_final, &err));
	MUST(store_batch_get(world.store, NULL, id, &b, &err));
	batch_done(&b);
	return b.status;
}

static void put_batch(char id[static ID_SIZE])
{
	struct batch b = { .created_at = NOW, .expires_at = NOW + DAY };

	upload_lines(1);
	id_batch(b.id);
	memcpy(b.org, world.org.id, sizeof(b.org));
	snprintf(b.endpoint, sizeof(b.endpoint), "/v1/chat/completions");
	snprintf(b.input_file_id, sizeof(b.input_file_id), "%s", world.file_id);
	snprintf(b.completion_window, sizeof(b.completion_window), "24h");
	MUST(store_batch_insert(world.store, &b, NULL, false, 0, id, &err));
}

static void test_a_batch_that_has_not_begun_is_cancelled_at_once(void **state)
{
	(void)state;
	char id[ID_SIZE];
	bool final;

	put_batch(id);
	put(id);
	assert_int_equal(status_after_cancel(id, &final), BATCH_CANCELLED);
	assert_false(final);
	assert_true(turn_is_due()); /* its coordinator was told */
}

static void test_a_batch_in_progress_is_cancelling_however_often_it_is_asked(void **state)
{
	(void)state;
	char id[ID_SIZE];
	bool moved, final;

	put_batch(id);
	MUST(store_batch_start(world.store, id, 1, 1, "m", "file-out", "file-err", NOW, &moved,
			       &err));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(status_after_cancel(id, &final), BATCH_CANCELLING);
		assert_false(final);
	}
}

static void test_a_final_batch_stays_as_it_is(void **state)
{
	(void)state;
	char id[ID_SIZE];
	bool moved, final;

	put_batch(id);
	MUST(store_batch_fail(world.store, id, "[]", NOW, &moved, &err));
	assert_int_equal(status_after_cancel(id, &final), BATCH_FAILED);
	assert_true(final);
}

static void test_a_batch_of_another_organization_is_not_found(void **state)
{
	(void)state;
	const struct batch_call call = { world.store, &w.table, "org-other", "batch-1" };
	bool final;

	assert_false(batch_cancel(&call, &final, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_is_found_by_its_id),
		TEST(test_a_batch_has_one_coordinator),
		TEST(test_one_that_is_removed_is_found_no_more),
		TEST(test_a_batch_that_has_not_begun_is_cancelled_at_once),
		TEST(test_a_batch_in_progress_is_cancelling_however_often_it_is_asked),
		TEST(test_a_final_batch_stays_as_it_is),
		TEST(test_a_batch_of_another_organization_is_not_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
