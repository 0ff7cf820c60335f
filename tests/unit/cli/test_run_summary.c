/* test_run_summary.c: what a person reads at the end of a run. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run_summary.h"

static char output[] = "out.jsonl", errors[] = "out.errors.jsonl";
static const struct run_paths paths = { .output = output, .errors = errors };

static struct batch_view batch_of(uint64_t total, uint64_t completed, uint64_t failed)
{
	return (struct batch_view){
		.row = { .status = BATCH_COMPLETED,
			 .counts = { .total = total, .completed = completed, .failed = failed },
			 .usage = { .input = 70, .output = 9 } },
	};
}

static void tells(const struct run_summary *s, const char *want)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);

	assert_non_null(to);
	run_summary_print(s, to);
	fclose(to);
	assert_string_equal(text, want);
	free(text);
}

static void test_all_answered(void **state)
{
	struct batch_view batch = batch_of(3, 3, 0);

	(void)state;
	tells(&(struct run_summary){ .paths = &paths, .batch = &batch, .ms = 1600 },
	      "completed: 3 lines in 2s: 3 completed, 0 failed\n"
	      "tokens: 70 in, 9 out\n"
	      "answers: out.jsonl\n");
}

static void test_some_failed_and_a_part_before(void **state)
{
	struct batch_view batch = batch_of(5, 4, 1);

	(void)state;
	tells(&(struct run_summary){ .paths = &paths,
				     .batch = &batch,
				     .ms = 1000,
				     .kept = 2,
				     .continued = true,
				     .with_errors = true },
	      "completed: 5 lines in 1s (the last part): 4 completed, 1 failed\n"
	      "of them 2 answers of the earlier run\n"
	      "tokens: 70 in, 9 out\n"
	      "answers: out.jsonl\n"
	      "errors: out.errors.jsonl\n"
	      "next: the same command with --retry-failed runs the lines that failed; these "
	      "answers are kept\n");
}

static void test_a_limit_leaves_lines(void **state)
{
	struct batch_view batch = batch_of(2, 2, 0);

	(void)state;
	tells(&(struct run_summary){ .paths = &paths, .batch = &batch, .ms = 1000, .limit = 2 },
	      "completed: 2 lines in 1s: 2 completed, 0 failed\n"
	      "tokens: 70 in, 9 out\n"
	      "answers: out.jsonl\n"
	      "next: the same command with --retry-failed instead of --limit runs all other "
	      "lines; these answers are kept\n");
}

static void test_a_stream_names_no_place(void **state)
{
	static const struct run_paths stream = { .stream = true };
	struct batch_view batch = batch_of(2, 1, 1);

	(void)state;
	tells(&(struct run_summary){ .paths = &stream, .batch = &batch, .ms = 1000 },
	      "completed: 2 lines in 1s: 1 completed, 1 failed\n"
	      "tokens: 70 in, 9 out\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_answered),
		cmocka_unit_test(test_some_failed_and_a_part_before),
		cmocka_unit_test(test_a_limit_leaves_lines),
		cmocka_unit_test(test_a_stream_names_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
