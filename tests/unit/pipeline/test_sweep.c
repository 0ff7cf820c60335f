/* test_sweep.c: only a decision deletes; what the store does not know goes to lost/. */
#include "pipeline_unit.h"

static struct sweep sweep;
static _Atomic bool closing;

static int setup(void **state)
{
	(void)state;
	world_open();
	sweep = (struct sweep){ .data_dir = world.dir,
				.closing = &closing,
				.store = world.store,
				.blobs = world.blobs,
				.lost_after_s = DAY };
	sweep_init(&sweep);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sweep_done(&sweep);
	recorder_close(world.recorder);
	world_close();
	return 0;
}

static void put(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", world.dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs("some bytes", f);
	assert_int_equal(fclose(f), 0);
}

/* A batch of an uploaded file, its journal, and its name. */
static const char *put_batch_with_journal(char id[static ID_SIZE])
{
	static char name[128];
	struct batch b = { .created_at = NOW, .expires_at = NOW + DAY };

	upload_lines(1);
	id_batch(b.id);
	memcpy(b.org, world.org.id, sizeof(b.org));
	snprintf(b.endpoint, sizeof(b.endpoint), "/v1/chat/completions");
	snprintf(b.input_file_id, sizeof(b.input_file_id), "%s", world.file_id);
	snprintf(b.completion_window, sizeof(b.completion_window), "24h");
	MUST(store_batch_insert(world.store, &b, NULL, false, 0, id, &err));
	snprintf(name, sizeof(name), "batches/%s.journal", b.id);
	put(name);
	return name;
}

static void test_what_the_store_knows_stays(void **state)
{
	(void)state;
	char id[ID_SIZE];
	const char *journal = put_batch_with_journal(id);

	MUST(sweep_at_start(&sweep, NOW, &err));
	assert_true(scratch_exists(world.dir, journal));
	assert_int_equal(scratch_count(world.dir, "files"), 2);
}

static void test_what_nothing_knows_goes_to_lost(void **state)
{
	(void)state;
	put("files/file-unknown.jsonl");
	put("batches/batch-unknown.journal");
	put("batches/notes.txt"); /* not ours */
	MUST(sweep_at_start(&sweep, NOW, &err));
	assert_false(scratch_exists(world.dir, "files/file-unknown.jsonl"));
	assert_false(scratch_exists(world.dir, "batches/batch-unknown.journal"));
	assert_true(scratch_exists(world.dir, "batches/notes.txt"));
	assert_int_equal(scratch_count(world.dir, "lost"), 1);
}

static void test_the_journal_of_a_final_batch_is_removed(void **state)
{
	(void)state;
	char id[ID_SIZE];
	bool moved;
	const char *journal = put_batch_with_journal(id);

	MUST(store_batch_fail(world.store, id, "[]", NOW, &moved, &err));
	MUST(sweep_at_start(&sweep, NOW, &err));
	assert_false(scratch_exists(world.dir, journal));
}

static void test_a_deleted_file_goes_with_the_next_sweep(void **state)
{
	(void)state;
	upload_lines(1);
	sweep_once(&sweep);
	assert_int_equal(scratch_count(world.dir, "files"), 2);
	MUST(store_file_delete(world.store, world.org.id, world.file_id, NOW, &err));
	sweep_once(&sweep);
	assert_int_equal(scratch_count(world.dir, "files"), 0);
}

static void test_what_is_lost_goes_after_its_time(void **state)
{
	(void)state;
	put("files/file-unknown.jsonl");
	MUST(sweep_at_start(&sweep, NOW, &err));
	time_passes(DAY - 1);
	sweep_once(&sweep);
	assert_int_equal(scratch_count(world.dir, "lost"), 1);
	time_passes(2);
	sweep_once(&sweep);
	assert_int_equal(scratch_count(world.dir, "lost"), 0);
}

static void test_a_node_empties_its_scratch(void **state)
{
	(void)state;
	put("batches/batch-a.3.journal");
	put("batches/batch-a.3.order");
	put("batches/notes.txt"); /* not ours */
	MUST(sweep_scratch(&sweep, &err));
	assert_false(scratch_exists(world.dir, "batches/batch-a.3.journal"));
	assert_false(scratch_exists(world.dir, "batches/batch-a.3.order"));
	assert_true(scratch_exists(world.dir, "batches/notes.txt"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_the_store_knows_stays),
		TEST(test_what_nothing_knows_goes_to_lost),
		TEST(test_the_journal_of_a_final_batch_is_removed),
		TEST(test_a_deleted_file_goes_with_the_next_sweep),
		TEST(test_what_is_lost_goes_after_its_time),
		TEST(test_a_node_empties_its_scratch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
