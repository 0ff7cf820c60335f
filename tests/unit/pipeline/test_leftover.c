/* test_leftover.c: which lines of a batch that has ended are left, and their bytes (contract 11.3,
 * retry). */
#include "coordinator_unit.h"

#include <unistd.h>

#include "pipeline/leftover.h"
#include "results/order.h"

#define LINE(id) "{\"custom_id\":\"" id "\",\"body\":{\"model\":\"m\",\"messages\":[]}}"

static struct batch parent;

/* The lines that are left of the batch, as one text. */
static char *left(void)
{
	static char text[1 << 14];
	const struct ingest_limits limits = { 0 };
	struct leftover *from;
	struct ingest *in;
	struct blob_reader *copy;
	char id[ID_SIZE];

	batch_done(&parent);
	parent = row();
	MUST(leftover_open(world.dir, world.blobs, &parent, &parent, &from, &err));
	MUST(ingest_open(world.blobs, &limits, &in, &err));
	MUST(leftover_copy(from, in, &err) && ingest_finish(in, &err));
	assert_int_equal(ingest_bytes(in), leftover_bytes(from));
	assert_int_equal(ingest_summary(in)->lines, leftover_lines(from));
	assert_int_equal(ingest_summary(in)->flags_any & LINE_NOT_JSON, 0);
	id_file(id);
	MUST(ingest_commit(in, id, &err));
	MUST(blob_open(world.blobs, id, BLOB_DATA, &copy, &err));
	size_t n = blob_bytes(copy);
	assert_true(n < sizeof(text));
	MUST(blob_read_at(copy, 0, text, n, &err));
	text[n] = '\0';
	blob_reader_close(copy);
	leftover_close(from);
	return text;
}

static void refused(const char *param, const char *words)
{
	struct leftover *from;

	batch_done(&parent);
	parent = row();
	assert_false(leftover_open(world.dir, world.blobs, &parent, &parent, &from, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_string_equal(err.param, param);
	assert_non_null(strstr(err.message, words));
}

static int begin(void **state)
{
	parent = (struct batch){ 0 };
	(void)setup(state);
	w.config.rules.profile = PROFILE_KIMI;
	return 0;
}

static int end(void **state)
{
	batch_done(&parent);
	return teardown(state);
}

/* Lines 1 to 5 of a file that has more in it than lines. */
static void batch_of_odd_lines(void)
{
	upload("\xef\xbb\xbf" LINE("1") "\n\n" LINE("2") "\n" LINE("3") "  \r\n \n" LINE(
		"4") "\n" LINE("5"));
	batch_begin();
	assert_int_equal(status(), BATCH_IN_PROGRESS);
}

static void test_the_lines_that_failed_as_they_stand_in_the_input(void **state)
{
	(void)state;
	batch_of_odd_lines();
	for (unsigned i = 0; i < 5; i++)
		fake_answer(i, i == 1 ? 200 : 422);
	all_recorded();
	to_the_end();
	assert_string_equal(left(),
			    LINE("1") "\n" LINE("3") "  \r\n" LINE("4") "\n" LINE("5") "\n");
}

static void test_lines_that_were_cut_off_are_left(void **state)
{
	(void)state;
	batch_of_odd_lines();
	answer(3);
	fake_answer(1, 404);
	all_recorded();
	time_passes(DAY);
	times_look();
	to_the_end();
	assert_int_equal(status(), BATCH_EXPIRED);
	assert_string_equal(left(),
			    LINE("1") "\n" LINE("2") "\n" LINE("3") "  \r\n" LINE("5") "\n");
}

static void test_nothing_is_left_of_a_whole_batch(void **state)
{
	(void)state;
	batch_of_odd_lines();
	for (unsigned i = 0; i < 5; i++)
		fake_answer(4 - i, 200);
	all_recorded();
	to_the_end();
	assert_string_equal(left(), "");
}

static void test_without_an_output_all_is_left(void **state)
{
	(void)state;
	upload(LINE("1") "\n" LINE("2") "\n");
	batch_begin();
	fake_answer(0, 422);
	fake_answer(1, 422);
	all_recorded();
	to_the_end();
	assert_string_equal(left(), LINE("1") "\n" LINE("2") "\n");
}

static void test_of_a_batch_that_was_never_judged_all_is_left(void **state)
{
	(void)state;
	bool moved;

	upload(LINE("1") "\n" LINE("2") "\n");
	batch_insert(w.batch_id);
	MUST(store_batch_cancel_early(world.store, w.batch_id, sys.now_s(), &moved, &err));
	assert_string_equal(left(), LINE("1") "\n" LINE("2") "\n");
}

static void test_nothing_is_left_of_one_that_was_judged_bad(void **state)
{
	(void)state;
	upload(LINE("1") "\nx\n");
	batch_begin();
	assert_int_equal(status(), BATCH_FAILED);
	assert_string_equal(left(), "");
}

static void test_bad_lines_are_not_retried(void **state)
{
	(void)state;
	const struct batch_options skips = { .skip_invalid = true };

	upload(LINE("1") "\nx\n" LINE("1") "\n" LINE("2") "\n" LINE("3") "\n");
	batch_begin_as(&skips);
	fake_answer(0, 200);
	fake_answer(3, 422);
	fake_answer(4, 200);
	all_recorded();
	to_the_end();
	assert_counts(2, 3, 0, 0);
	assert_string_equal(left(), LINE("2") "\n");
}

static void test_what_is_gone_is_told(void **state)
{
	(void)state;
	batch_of_odd_lines();
	for (unsigned i = 0; i < 5; i++)
		fake_answer(i, i == 1 ? 200 : 422);
	all_recorded();
	to_the_end();
	struct batch b = row();
	MUST(blob_remove(world.blobs, b.output_file_id, &err)); /* the error file is there */
	assert_string_equal(left(),
			    LINE("1") "\n" LINE("3") "  \r\n" LINE("4") "\n" LINE("5") "\n");
	MUST(blob_remove(world.blobs, b.error_file_id, &err));
	refused("", "output file");
	MUST(blob_remove(world.blobs, b.input_file_id, &err));
	refused("input_file_id", "is gone");
	batch_done(&b);
}

/* As between the commit of the end and the move of the order, or after a kill there. */
static void test_the_order_may_still_be_where_it_was(void **state)
{
	(void)state;
	char home[512], path[512];

	batch_of_odd_lines();
	for (unsigned i = 0; i < 5; i++)
		fake_answer(i, i == 1 ? 200 : 422);
	all_recorded();
	to_the_end();
	struct batch b = row();
	snprintf(home, sizeof(home), "%s/files/%s.index", world.dir, b.output_file_id);
	snprintf(path, sizeof(path), "%s/batches/%s.order", world.dir, b.id);
	assert_int_equal(rename(home, path), 0);
	snprintf(home, sizeof(home), "%s/files/%s.index", world.dir, b.error_file_id);
	assert_int_equal(unlink(home), 0);
	assert_string_equal(left(),
			    LINE("1") "\n" LINE("3") "  \r\n" LINE("4") "\n" LINE("5") "\n");
	batch_done(&b);
}

static void test_an_order_without_all_lines_is_refused(void **state)
{
	(void)state;
	char home[512];

	batch_of_odd_lines();
	for (unsigned i = 0; i < 5; i++)
		fake_answer(i, i < 2 ? 200 : 422);
	all_recorded();
	to_the_end();
	struct batch b = row();
	snprintf(home, sizeof(home), "%s/files/%s.index", world.dir, b.output_file_id);
	assert_int_equal(truncate(home, ORDER_ENTRY_BYTES),
			 0); /* as coordinator_open.c begins one */
	refused("", "Some of the order");
	batch_done(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_lines_that_failed_as_they_stand_in_the_input),
		TEST(test_lines_that_were_cut_off_are_left),
		TEST(test_nothing_is_left_of_a_whole_batch),
		TEST(test_without_an_output_all_is_left),
		TEST(test_of_a_batch_that_was_never_judged_all_is_left),
		TEST(test_nothing_is_left_of_one_that_was_judged_bad),
		TEST(test_bad_lines_are_not_retried),
		TEST(test_what_is_gone_is_told),
		TEST(test_the_order_may_still_be_where_it_was),
		TEST(test_an_order_without_all_lines_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
