/* test_skip.c: bad lines that are left out (contract 11.1, on_invalid_line), from the verdict to
 * the error file, over restarts and damage. */
#include "coordinator_unit.h"

#define LINE(id, model)                                                                   \
	"{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\"," \
	"\"body\":{\"model\":\"" model "\",\"messages\":[]}}\n"
#define GOOD(id) LINE(id, "m")

static const struct batch_options skips = { .skip_invalid = true };

/* Lines 0 and 3 are good. */
static void batch_of_two_good_lines(void)
{
	upload(GOOD("c-0") "no JSON\n" GOOD("c-0") GOOD("c-3"));
	batch_begin_as(&skips);
	assert_int_equal(status(), BATCH_IN_PROGRESS);
	assert_int_equal(fake.added, 1);
}

static void assert_two_are_sent(void)
{
	uint64_t records[LINES_MAX] = { 0 };

	assert_int_equal(fake_records(records), 2);
	assert_int_equal(records[0], 0);
	assert_int_equal(records[1], 3);
}

static void assert_error_lines(void)
{
	const char *text = result(true);

	assert_non_null(strstr(text, "\"custom_id\":null,\"response\":null,\"error\":{\"code\":"
				     "\"invalid_json_line\",\"line\":2,\"message\":\"This line is "
				     "not parseable as valid JSON.\",\"param\":null}}\n"));
	assert_non_null(strstr(text, "\"custom_id\":\"c-0\",\"response\":null,\"error\":{\"code\":"
				     "\"duplicate_custom_id\",\"line\":3,"));
	assert_non_null(strstr(text, "\"param\":\"custom_id\"}}\n"));
	assert_in_order(text, "invalid_json_line", "duplicate_custom_id");
	assert_in_order(result(false), "c-0", "c-3");
}

static void test_the_good_lines_run_and_the_bad_ones_have_failed(void **state)
{
	(void)state;
	batch_of_two_good_lines();
	assert_int_equal(fake.flow->config.rest_lines, 2);
	struct batch_view v = view();
	assert_int_equal(v.row.counts.total, 4);
	assert_int_equal(v.row.counts.failed, 2);
	assert_int_equal(v.row.counts.retried, 0);
	assert_int_equal(v.pending, 2);
	assert_int_equal(v.causes.n, 2);
	assert_int_equal(v.causes.of[0].line, 2);
	assert_two_are_sent();
	answer(3);
	answer(0);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_counts(2, 2, 0, 0);
	assert_error_lines();
}

static void test_a_restart_counts_them_as_before(void **state)
{
	(void)state;
	batch_of_two_good_lines();
	answer(0);
	restart();
	assert_int_equal(view().row.counts.failed, 2);
	assert_int_equal(fake.flow->config.rest_lines, 1);
	answer(3);
	to_the_end();
	assert_counts(2, 2, 0, 0);
	assert_error_lines();
}

/* Killed between the journal and the row: it is judged again, and its lines stand there once. */
static void test_a_batch_that_was_still_validating_is_judged_again(void **state)
{
	(void)state;
	char name[PATH_MAX];

	upload(GOOD("c-0") "no JSON\n" GOOD("c-0") GOOD("c-3"));
	batch_insert_as(&skips, w.batch_id);
	snprintf(name, sizeof(name), "%s/%s", world.dir, journal_name());
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	assert_true(fputs("what another judging has left, which may be anything", f) >= 0);
	assert_int_equal(fclose(f), 0);
	batch_take_up();
	assert_two_are_sent();
	answer(0);
	answer(3);
	to_the_end();
	assert_counts(2, 2, 0, 0);
	assert_error_lines();
}

static void test_a_bad_line_whose_record_is_damaged_is_not_sent(void **state)
{
	(void)state;
	batch_of_two_good_lines();
	overwrite(journal_name(), JOURNAL_START + 60, "~~~~");
	restart();
	assert_int_equal(view().row.counts.failed, 2);
	assert_two_are_sent();
	answer(0);
	answer(3);
	to_the_end();
	assert_counts(2, 2, 0, 0);
	assert_error_lines();
}

/* What a line may be is decided once: other settings later fail none of them. */
static void test_settings_that_change_fail_no_line(void **state)
{
	(void)state;
	upload("no JSON\n"
	       "{\"custom_id\":\"a\",\"body\":{\"model\":\"m\",\"messages\":[],\"n\":1}}\n"
	       "{\"custom_id\":\"b\",\"body\":{\"model\":\"m\",\"messages\":[]}}\n");
	w.config.rules.profile = PROFILE_KIMI;
	batch_begin_as(&skips);
	restart();
	assert_int_equal(view().row.counts.failed, 1);
	w.config.rules.refuse_sampling = w.config.rules.strict_lines = true;
	w.config.rules.profile = PROFILE_OPENAI;
	fake.serves = false;
	restart();
	assert_int_equal(view().row.counts.failed, 1);
	assert_int_equal(view().pending, 2);
}

static void test_without_a_good_line_the_batch_fails(void **state)
{
	(void)state;
	upload("no JSON\n[]\n");
	batch_begin_as(&skips);
	assert_int_equal(w.ended, 1);
	struct batch b = row();
	assert_int_equal(b.status, BATCH_FAILED);
	assert_int_equal(b.counts.total, 0);
	assert_non_null(strstr(b.errors, "\"line\":2"));
	batch_done(&b);
	assert_false(scratch_exists(world.dir, journal_name()));
}

static void test_a_file_that_is_bad_as_a_whole_fails_the_batch(void **state)
{
	(void)state;
	w.config.rules.lines_max = 2;
	upload(GOOD("a") "no JSON\n" GOOD("b"));
	batch_begin_as(&skips);
	struct batch b = row();
	assert_int_equal(b.status, BATCH_FAILED);
	assert_non_null(strstr(b.errors, "too_many_tasks"));
	batch_done(&b);
	assert_false(scratch_exists(world.dir, journal_name()));
}

/* The model is that of the first good line; others are bad. */
static void test_a_line_of_another_model_is_a_bad_one(void **state)
{
	(void)state;
	uint64_t records[LINES_MAX] = { 0 };

	upload("{\"custom_id\":\"a\",\"body\":{\"model\":\"bad\"}}\n" GOOD("b") LINE("c", "n"));
	batch_begin_as(&skips);
	assert_string_equal(fake.flow->config.model, "m");
	assert_int_equal(fake_records(records), 1);
	struct batch b = row();
	assert_string_equal(b.model, "m");
	batch_done(&b);
	restart();
	assert_string_equal(fake.flow->config.model, "m");
	assert_int_equal(fake_records(records), 1);
}

static void test_a_batch_that_ends_early_has_them_in_its_error_file(void **state)
{
	(void)state;
	batch_of_two_good_lines();
	time_passes(DAY);
	times_look();
	to_the_end();
	assert_int_equal(status(), BATCH_EXPIRED);
	assert_counts(0, 2, 2, 0);
}

static void test_a_full_disk_is_waited_for(void **state)
{
	(void)state;
	upload(GOOD("c-0") "no JSON\n" GOOD("c-0") GOOD("c-3"));
	world_sys.disk_full = true;
	batch_begin_as(&skips);
	assert_int_equal(status(), BATCH_VALIDATING);
	world_sys.disk_full = false;
	time_passes(1);
	turns_take();
	assert_int_equal(status(), BATCH_IN_PROGRESS);
	assert_two_are_sent();
	assert_int_equal(view().row.counts.failed, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_good_lines_run_and_the_bad_ones_have_failed),
		TEST(test_a_restart_counts_them_as_before),
		TEST(test_a_batch_that_was_still_validating_is_judged_again),
		TEST(test_a_bad_line_whose_record_is_damaged_is_not_sent),
		TEST(test_settings_that_change_fail_no_line),
		TEST(test_without_a_good_line_the_batch_fails),
		TEST(test_a_file_that_is_bad_as_a_whole_fails_the_batch),
		TEST(test_a_line_of_another_model_is_a_bad_one),
		TEST(test_a_batch_that_ends_early_has_them_in_its_error_file),
		TEST(test_a_full_disk_is_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
