/* test_result_files.c: the rows of a batch's result files. */
#include "unit.h"

#include "pipeline/result_files.h"

static void what_they_say(void **state)
{
	struct batch b = { .id = "batch_1",
			   .org = "org-1",
			   .output_file_id = "file-o",
			   .error_file_id = "file-e" };
	const struct merge_state m = {
		.output_bytes = 100, .output_lines = 3, .error_bytes = 7, .error_lines = 1
	};
	struct file output, error;

	(void)state;
	result_files(&b, &m, 0, 1000, &output, &error);
	assert_string_equal(output.id, "file-o");
	assert_string_equal(error.id, "file-e");
	assert_string_equal(output.org, "org-1");
	assert_string_equal(output.filename, "batch_1_output.jsonl");
	assert_string_equal(error.filename, "batch_1_error.jsonl");
	assert_true(output.purpose == PURPOSE_BATCH_OUTPUT &&
		    error.purpose == PURPOSE_BATCH_OUTPUT);
	assert_true(output.bytes == 100 && output.lines == 3 && error.bytes == 7 &&
		    error.lines == 1);
	assert_true(output.created_at == 1000 && output.expires_at == 0 && error.expires_at == 0);
	/* for as long as the server says, unless the batch does */
	result_files(&b, &m, 50, 1000, &output, &error);
	assert_true(output.expires_at == 1050 && error.expires_at == 1050);
	b.output_expires_after_s = 20;
	result_files(&b, &m, 50, 1000, &output, &error);
	assert_true(output.expires_at == 1020 && error.expires_at == 1020);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_they_say),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
