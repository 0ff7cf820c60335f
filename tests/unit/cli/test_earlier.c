/* An earlier run's answers become the beginning of a journal. */
#include "unit.h"

#include <fcntl.h>

#include "cli/earlier.h"
#include "ingest/ingest.h"
#include "journal/journal.h"

#define LINE(id) "{\"custom_id\":\"" id "\"}\n"
#define RESULT(id, status)                                                                         \
	"{\"id\":\"r\",\"custom_id\":\"" id "\",\"response\":{\"status_code\":" status             \
	",\"body\":{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}}," \
	"\"error\":null}\n"

static char *scratch;
static char output[PATH_MAX], journal[PATH_MAX];
static struct blob_reader *file;
static struct index *input;

static int setup(void **state)
{
	static const char text[] = LINE("a") LINE("b") "\n" LINE("\\u0063") LINE("d") LINE("e");
	char path[PATH_MAX], sha256[65];
	struct error err;

	(void)state;
	scratch = scratch_dir_new();
	snprintf(path, sizeof(path), "%s/in", scratch);
	snprintf(output, sizeof(output), "%s/out", scratch);
	snprintf(journal, sizeof(journal), "%s/journal", scratch);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_true(blob_reader_of_file(fd, path, &file, &err));
	struct ingest_limits limits = { 0 };
	assert_true(ingest_file(NULL, file, &limits, NULL, sha256, &input, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	index_close(input);
	blob_reader_close(file);
	scratch_dir_remove(scratch);
	return 0;
}

/* What is in the journal: "0 2 4", the records. */
static char kept[64];
static uint64_t tokens;

static void note(void *ctx, const struct journal_head *head, uint64_t at)
{
	size_t n = strlen(kept);

	(void)ctx;
	(void)at;
	assert_int_equal(head->kind, JOURNAL_OUTPUT);
	tokens += head->total;
	snprintf(kept + n, sizeof(kept) - n, "%s%u", n > 0 ? " " : "", head->record);
}

static bool keep(struct slice earlier, struct error *err)
{
	struct journal *j;
	struct journal_found found;
	uint64_t count;
	int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, earlier.p, earlier.n), earlier.n);
	close(fd);
	kept[0] = '\0';
	tokens = 0;
	if (!earlier_keep(output, file, input, journal, &count, err))
		return false;
	assert_true(journal_open(journal, JOURNAL_START, index_summary(input)->lines, note, NULL,
				 &j, &found, err));
	assert_int_equal(found.torn_bytes + found.damaged_bytes + found.missing_bytes, 0);
	assert_int_equal(tokens, count * 5);
	journal_close(j);
	return true;
}

static void answers_are_kept(void **state)
{
	struct error err;

	(void)state;
	assert_true(keep(SLICE(RESULT("a", "200") RESULT("c", "201") RESULT("e", "200")), &err));
	assert_string_equal(kept, "0 2 4");
}

/* Written out by hand, an output may hold lines that failed, and end without a line break. */
static void lines_without_an_answer_run_again(void **state)
{
	static const char last[] = RESULT("d", "200");
	char text[1000];
	struct error err;

	(void)state;
	int n = snprintf(text, sizeof(text), "%s%s%.*s", RESULT("a", "429"),
			 "{\"custom_id\":\"b\",\"response\":null,\"error\":{\"code\":\"x\"}}\n",
			 (int)sizeof(last) - 2, last);
	assert_true(keep((struct slice){ text, (size_t)n }, &err));
	assert_string_equal(kept, "3");
}

static void an_empty_output_keeps_nothing(void **state)
{
	struct error err;

	(void)state;
	assert_true(keep(SLICE(""), &err));
	assert_string_equal(kept, "");
}

static void what_is_not_of_this_input_is_refused(void **state)
{
	static const struct slice outputs[] = {
		SLICE(RESULT("a", "200") RESULT("x", "200")),
		SLICE(RESULT("b", "200") RESULT("a", "200")), /* another order */
		SLICE(RESULT("a", "200") RESULT("a", "200")), /* twice */
		SLICE(RESULT("a", "200") "{\"custom_id\":\"b\"\n"),
		SLICE(RESULT("a", "200") "{\"custom_id\":1}\n"),
		SLICE(RESULT("a", "200") "[]\n"),
		SLICE(RESULT("a", "200") "\n"),
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(outputs); i++) {
		unlink(journal);
		if (keep(outputs[i], &err))
			fail_msg("taken: %s", outputs[i].p);
		assert_int_equal(err.kind, ERR_INVALID);
		assert_non_null(strstr(err.message, "/out:2: "));
	}
	unlink(output);
	uint64_t count;
	assert_false(earlier_keep(output, file, input, journal, &count, &err));
	assert_int_equal(err.kind, ERR_INVALID);
}

/* Whatever call fails, that is told. */
static void failures_are_told(void **state)
{
	struct error err;
	bool fired = true;

	(void)state;
	for (int nth = 1; fired; nth++) {
		unlink(journal);
		uint64_t count;
		sys_fail_nth(nth, ENOSPC);
		bool good = earlier_keep(output, file, input, journal, &count, &err);
		fired = sys_restore();
		assert_true(good == !fired);
		if (fired)
			assert_int_equal(err.kind, ERR_NO_SPACE);
	}
}

static int setup_output(void **state)
{
	struct error err;

	setup(state);
	return !keep(SLICE(RESULT("a", "200")), &err);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_are_kept),
		TEST(lines_without_an_answer_run_again),
		TEST(an_empty_output_keeps_nothing),
		TEST(what_is_not_of_this_input_is_refused),
		cmocka_unit_test_setup_teardown(failures_are_told, setup_output, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
