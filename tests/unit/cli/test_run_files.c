/* What a run leaves on disk: names, the state, the results at their places. */
#include "unit.h"

#include "base/part.h"
#include "cli/run_files.h"

static char *scratch;
static struct run_paths paths;

static int setup(void **state)
{
	char output[PATH_MAX];
	struct error err;

	(void)state;
	scratch = scratch_dir_new();
	snprintf(output, sizeof(output), "%s/out.jsonl", scratch);
	assert_true(run_paths_make("in.jsonl", output, NULL, &paths, &err));
	assert_int_equal(mkdir(paths.work, 0700), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	run_paths_done(&paths);
	scratch_dir_remove(scratch);
	return 0;
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void assert_text(const char *path, const char *expected)
{
	char text[256] = "";
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	size_t n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	assert_int_equal(n, strlen(expected));
	assert_string_equal(text, expected);
}

/* ---- names ---- */

static void the_errors_file_is_named_after_the_output(void **state)
{
	static const char *const cases[][2] = {
		{ "out.jsonl", "out.errors.jsonl" },
		{ "a/b.c/out.jsonl", "a/b.c/out.errors.jsonl" },
		{ "out", "out.errors.jsonl" },
		{ "out.txt", "out.txt.errors.jsonl" },
		{ ".jsonl", ".jsonl.errors.jsonl" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct run_paths p;
		struct error err;
		assert_true(run_paths_make("in", cases[i][0], NULL, &p, &err));
		assert_string_equal(p.errors, cases[i][1]);
		run_paths_done(&p);
		assert_true(run_paths_make("in", cases[i][0], "e", &p, &err));
		assert_string_equal(p.errors, "e");
		run_paths_done(&p);
	}
}

/* What is kept on disk of a run whose output is no file stands beside its input. */
static void an_output_that_is_no_file(void **state)
{
	static const char *const streams[] = { "-", "/dev/stdout", "/dev/null" };
	char pipe[PATH_MAX];
	struct run_paths p;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		assert_true(run_paths_make("a/in.jsonl", streams[i], NULL, &p, &err));
		assert_true(p.stream);
		assert_string_equal(p.work, "a/in.jsonl.lowtide");
		assert_string_equal(p.errors, "a/in.errors.jsonl");
		run_paths_done(&p);
	}
	snprintf(pipe, sizeof(pipe), "%s/pipe", scratch);
	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_true(run_paths_make("in", pipe, NULL, &p, &err));
	assert_true(p.stream);
	run_paths_done(&p);
	assert_true(run_paths_make("in", "./-", NULL, &p, &err)); /* so a file may be called */
	assert_false(p.stream);
	run_paths_done(&p);
	assert_false(run_paths_make("in", scratch, NULL, &p, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_non_null(strstr(err.message, "directory"));
	assert_false(run_paths_make("in", "", NULL, &p, &err));
	assert_int_equal(err.kind, ERR_INVALID);
}

/* ---- the state ---- */

static const struct run_state some = {
	.input = { .bytes = UINT64_C(5000000000),
		   .modified_ns = INT64_C(1795000000123456789),
		   .sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	.limit = 12,
	.endpoint = "/v1/chat/completions",
	.file_id = "file-0123456789abcdefABCDEFGH",
	.batch_id = "batch_0123456789abcdef0123456789abcdef",
};

static void the_state_is_read_back(void **state)
{
	struct run_state back = { 0 };
	struct error err;
	bool found = true;

	(void)state;
	assert_true(run_state_load(paths.state, &back, &found, &err));
	assert_false(found);
	assert_true(run_state_save(&paths, &some, &err));
	assert_true(run_state_load(paths.state, &back, &found, &err));
	assert_true(found);
	assert_int_equal(back.input.bytes, some.input.bytes);
	assert_int_equal(back.input.modified_ns, some.input.modified_ns);
	assert_string_equal(back.input.sha256, some.input.sha256);
	assert_int_equal(back.limit, some.limit);
	assert_string_equal(back.endpoint, some.endpoint);
	assert_string_equal(back.file_id, some.file_id);
	assert_string_equal(back.batch_id, some.batch_id);
}

static void a_foreign_state_is_refused(void **state)
{
	static const char *const foreign[] = {
		"", "{", "[]", "{}", "{\"version\": 2}", "{\"version\": 1, \"input_bytes\": \"5\"}"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		struct run_state back;
		struct error err;
		bool found;
		write_text(paths.state, foreign[i]);
		if (run_state_load(paths.state, &back, &found, &err))
			fail_msg("taken: %s", foreign[i]);
		assert_non_null(strstr(err.message, paths.state));
	}
}

/* Whatever call fails: either the whole state is there, or none. */
static void a_state_is_whole_or_not_there(void **state)
{
	struct error err;
	bool fired = true;

	(void)state;
	for (int nth = 1; fired; nth++) {
		struct run_state back;
		bool found;
		unlink(paths.state);
		sys_fail_nth(nth, ENOSPC);
		bool saved = run_state_save(&paths, &some, &err);
		fired = sys_restore();
		assert_true(saved == !fired);
		assert_true(run_state_load(paths.state, &back, &found, &err));
		assert_true(found || !saved);
	}
}

/* ---- results ---- */

static void result_make(const char *id, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/files", paths.work);
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/files/%s.jsonl", paths.work, id);
	write_text(path, text);
	assert_int_equal(chmod(path, 0600), 0);
}

static void results_come_to_their_places(void **state)
{
	struct error err;
	struct stat st;
	mode_t mask = umask(022);

	(void)state;
	result_make("file-a", "answers\n");
	assert_true(run_result_place(&paths, "file-a", paths.output, true, &err));
	assert_text(paths.output, "answers\n");
	assert_int_equal(stat(paths.output, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644); /* no longer a blob's 0600 */
	umask(mask);
	/* again, after a kill: it is there already */
	assert_true(run_result_place(&paths, "file-a", paths.output, true, &err));
	assert_text(paths.output, "answers\n");
}

static void results_go_to_another_file_system(void **state)
{
	char elsewhere[] = "/dev/shm/lowtide-unit-XXXXXX";
	int fd = mkstemp(elsewhere);
	struct error err;

	(void)state;
	if (fd < 0)
		skip();
	close(fd);
	result_make("file-a", "answers\n");
	assert_true(run_result_place(&paths, "file-a", elsewhere, true, &err));
	assert_text(elsewhere, "answers\n");

	/* while another run copies its own to that place */
	char part[PATH_MAX];
	snprintf(part, sizeof(part), "%s.new", elsewhere);
	assert_true(part_open(part, &fd, &err));
	assert_true(sys_write_all(fd, "of another run", 14));
	result_make("file-b", "more\n");
	struct error refused;
	assert_false(run_result_place(&paths, "file-b", elsewhere, true, &refused));
	assert_int_equal(refused.kind, ERR_CONFLICT);
	assert_text(part, "of another run");
	close(fd); /* killed */
	assert_true(run_result_place(&paths, "file-b", elsewhere, true, &err));
	assert_text(elsewhere, "more\n");
	assert_int_not_equal(access(part, F_OK), 0);
	unlink(elsewhere);
}

static void without_lines_the_output_is_empty_and_no_errors_stand(void **state)
{
	struct error err;

	(void)state;
	write_text(paths.output, "of an earlier run");
	write_text(paths.errors, "of an earlier run");
	assert_true(run_result_place(&paths, "", paths.output, true, &err));
	assert_true(run_result_place(&paths, "", paths.errors, false, &err));
	assert_text(paths.output, "");
	assert_int_not_equal(access(paths.errors, F_OK), 0);
	assert_true(run_result_place(&paths, "", paths.errors, false, &err));
}

static void results_that_are_lost_are_told(void **state)
{
	struct error err;

	(void)state;
	assert_false(run_result_place(&paths, "file-none", paths.output, true, &err));
	assert_int_equal(err.sys, ENOENT);
	assert_int_not_equal(access(paths.output, F_OK), 0);
}

static void the_directory_goes_but_not_the_input(void **state)
{
	char input[PATH_MAX], link[PATH_MAX];
	struct error err;

	(void)state;
	snprintf(input, sizeof(input), "%s/in.jsonl", scratch);
	write_text(input, "{}\n");
	result_make("file-a", "x");
	snprintf(link, sizeof(link), "%s/files/file-in.jsonl", paths.work);
	assert_int_equal(symlink(input, link), 0);
	assert_true(run_state_save(&paths, &some, &err));
	assert_true(run_work_remove(&paths, &err));
	assert_int_not_equal(access(paths.work, F_OK), 0);
	assert_text(input, "{}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_errors_file_is_named_after_the_output),
		cmocka_unit_test_setup_teardown(an_output_that_is_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(the_state_is_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_foreign_state_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_state_is_whole_or_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(results_come_to_their_places, setup, teardown),
		cmocka_unit_test_setup_teardown(results_go_to_another_file_system, setup, teardown),
		cmocka_unit_test_setup_teardown(
			without_lines_the_output_is_empty_and_no_errors_stand, setup, teardown),
		cmocka_unit_test_setup_teardown(results_that_are_lost_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(the_directory_goes_but_not_the_input, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
