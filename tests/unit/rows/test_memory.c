/* Memory runs out while documents are read, requests made and answers joined: it is said, and no
 * output is left. */
#include "memory_fault.h"

#include "no_sync.h"
#include "rows/join.h"
#include "rows/labelled.h"
#include "rows/prepare.h"

static char *scratch;
static char docs[PATH_MAX], in[PATH_MAX], results[PATH_MAX], labelled[PATH_MAX], again[PATH_MAX];

static void file_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void names_set(const char *ending)
{
	snprintf(docs, sizeof(docs), "%s/docs.%s", scratch, ending);
	snprintf(in, sizeof(in), "%s/in.jsonl", scratch);
	snprintf(results, sizeof(results), "%s/out.jsonl", scratch);
	snprintf(labelled, sizeof(labelled), "%s/labelled.%s", scratch, ending);
	snprintf(again, sizeof(again), "%s/again.jsonl", scratch);
	file_write(
		results,
		"{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":"
		"{\"content\":[{\"type\":\"text\",\"text\":\"A\"}]}},\"error\":null}\n"
		"{\"custom_id\":\"b\",\"response\":null,\"error\":{\"code\":\"c\",\"message\":\"m\"}}\n");
}

static struct documents_options documents(void)
{
	static char *paths[] = { docs };

	return (struct documents_options){ .paths = paths,
					   .path_count = 1,
					   .replace_invalid = true };
}

static bool line_write(void *ctx, struct slice line, struct error *err)
{
	return whole_file_write(ctx, line, err);
}

static bool prepares(struct error *err)
{
	char *params[] = { (char *)"t=0", (char *)"u=v" };
	const struct prepare_options options = {
		.documents = documents(),
		.request = { .model = "m",
			     .prompt = "{{{text}",
			     .system = "{id}",
			     .id = "id",
			     .params = params,
			     .param_count = 2 },
		.directory = scratch,
	};
	struct whole_file to;
	uint64_t rows;

	if (!whole_file_open(&to, in, true, err))
		return false;
	bool good = prepare(&options, line_write, &to, &rows, err) && whole_file_commit(&to, err);
	whole_file_close(&to);
	return good;
}

static bool joins(struct error *err)
{
	const char *const files[] = { results };
	const struct join_options options = {
		.documents = documents(),
		.id = "id",
		.results = files,
		.result_count = 1,
		.directory = scratch,
	};
	struct join_counts counts;
	struct whole_file to;

	if (!whole_file_open(&to, labelled, true, err))
		return false;
	bool good = join(&options, &to, &counts, err) && whole_file_commit(&to, err);
	whole_file_close(&to);
	return good;
}

static bool relabels(struct error *err)
{
	const struct join_options options = { .documents = documents(), .id = "id" };
	struct whole_file to;

	if (!whole_file_open(&to, again, true, err))
		return false;
	bool good = labelled_results(&options, labelled, line_write, &to, err) &&
		    whole_file_commit(&to, err);
	whole_file_close(&to);
	return good;
}

static void sweep(bool (*work)(struct error *err), const char *made)
{
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct error err = { 0 };

		(void)unlink(made);
		memory_fail(&s);
		bool ok = work(&err);
		memory_restore(&s);
		if (ok)
			continue; /* a message did without, or nothing failed */
		assert_true(s.fired);
		assert_no_memory(&err);
		assert_int_not_equal(access(made, F_OK), 0);
	}
}

static void tables(void **state)
{
	(void)state;
	names_set("csv");
	file_write(docs, "id,text\na,\"x \"\"y\"\" \xff\"\nb,\xff\nd,plain\n");
	sweep(prepares, in);
	sweep(joins, labelled);
	sweep(relabels, again);
}

static void objects(void **state)
{
	(void)state;
	names_set("jsonl");
	file_write(docs, "{\"id\":\"a\",\"text\":\"\\u0041\xff\"}\n{\"id\":\"b\",\"text\":[1]}\n");
	sweep(prepares, in);
	sweep(joins, labelled);
	sweep(relabels, again);
}

static int begin(void **state)
{
	(void)state;
	scratch = scratch_dir_new();
	return 0;
}

static int done(void **state)
{
	(void)state;
	scratch_dir_remove(scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(tables), cmocka_unit_test(objects) };

	return cmocka_run_group_tests(tests, begin, done);
}
