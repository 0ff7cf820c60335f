/* A file that is there whole or not at all, also where two calls want the same one. */
#include "unit.h"

#include <sys/wait.h>

#include "rows/whole_file.h"

static char *scratch;
static char path[PATH_MAX], temporary[PATH_MAX];

static int setup(void **state)
{
	(void)state;
	scratch = scratch_dir_new();
	snprintf(path, sizeof(path), "%s/out.csv", scratch);
	snprintf(temporary, sizeof(temporary), "%s/out.csv.new", scratch);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(scratch);
	return 0;
}

static void assert_holds(const char *text)
{
	char held[64] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	(void)fread(held, 1, sizeof(held) - 1, f);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(held, text);
}

static void a_second_call_spoils_nothing(void **state)
{
	(void)state;
	struct whole_file first, second;
	struct error err;
	assert_true(whole_file_open(&first, path, false, &err));
	assert_true(whole_file_write(&first, SLICE("first\n"), &err));
	assert_false(whole_file_open(&second, path, true, &err));
	assert_int_equal(err.kind, ERR_CONFLICT);
	assert_int_equal(access(temporary, F_OK), 0);
	assert_true(whole_file_commit(&first, &err));
	whole_file_close(&first);
	assert_holds("first\n");
	assert_int_equal(access(temporary, F_OK), -1);
}

static void what_a_killed_call_left_is_written_anew(void **state)
{
	(void)state;
	struct whole_file file;
	struct error err;
	FILE *f = fopen(temporary, "w");
	assert_non_null(f);
	assert_true(fputs("of a call that was killed\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_true(whole_file_open(&file, path, false, &err));
	assert_true(whole_file_write(&file, SLICE("new\n"), &err));
	assert_true(whole_file_commit(&file, &err));
	whole_file_close(&file);
	assert_holds("new\n");
}

static void what_is_not_committed_goes(void **state)
{
	(void)state;
	struct whole_file file;
	struct error err;
	assert_true(whole_file_open(&file, path, false, &err));
	assert_true(whole_file_write(&file, SLICE("half"), &err));
	whole_file_close(&file);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(temporary, F_OK), -1);
}

static void a_place_that_is_none_is_wrong_use(void **state)
{
	(void)state;
	struct whole_file file;
	struct error err;
	snprintf(path, sizeof(path), "%s/none/out.csv", scratch);
	assert_false(whole_file_open(&file, path, false, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_non_null(strstr(err.message, "/none/out.csv"));
}

#define ROUNDS 50
#define CALLS 6

/* Whether the call has made the file. */
static bool call_once(void)
{
	struct whole_file file;
	struct error err;

	if (!whole_file_open(&file, path, false, &err))
		return false;
	bool good = whole_file_write(&file, SLICE("whole\n"), &err) &&
		    whole_file_commit(&file, &err);
	whole_file_close(&file);
	return good;
}

static void of_calls_at_once_one_makes_the_file(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		int made = 0, status;
		for (int i = 0; i < CALLS; i++)
			if (fork() == 0)
				_exit(call_once());
		for (int i = 0; i < CALLS; i++) {
			assert_true(wait(&status) > 0 && WIFEXITED(status));
			made += WEXITSTATUS(status);
		}
		assert_int_equal(made, 1);
		assert_holds("whole\n");
		assert_int_equal(access(temporary, F_OK), -1);
		assert_int_equal(unlink(path), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_second_call_spoils_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_killed_call_left_is_written_anew, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_not_committed_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(of_calls_at_once_one_makes_the_file, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_place_that_is_none_is_wrong_use, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
