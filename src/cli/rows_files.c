/* rows_files.c */
#include "cli/rows_files.h"

#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>

#include "rows/whole_file.h"
#include "terminal/report.h"

char *rows_directory(const char *output)
{
	const char *temporary = getenv("TMPDIR");
	char *copy;

	if (whole_file_is_stream(output))
		return strdup(temporary != NULL && temporary[0] != '\0' ? temporary : "/var/tmp");
	copy = strdup(output);
	if (copy == NULL)
		return NULL;
	char *directory = strdup(dirname(copy));
	free(copy);
	return directory;
}

static FILE *say(const struct rows_place *place)
{
	return whole_file_is_stream(place->output) ? stderr : stdout;
}

/* ---- prepare ---- */

static bool line_write(void *ctx, struct slice line, struct error *err)
{
	return whole_file_write(ctx, line, err);
}

static bool prepare_to(struct prepare_options *options, const struct rows_place *place,
		       uint64_t *ret_rows, struct error *err)
{
	AUTO(auto_free) char *directory = rows_directory(place->output);
	struct whole_file to;

	if (directory == NULL)
		return fail_memory(err);
	if (!whole_file_open(&to, place->output, place->force, err))
		return false;
	options->directory = directory;
	bool good = prepare(options, line_write, &to, ret_rows, err) && whole_file_commit(&to, err);
	options->directory = NULL;
	whole_file_close(&to);
	return good;
}

int prepare_file(struct prepare_options *options, const struct rows_place *place)
{
	struct error err;
	uint64_t rows;

	if (!prepare_to(options, place, &rows, &err)) {
		report(&err);
		return exit_code(&err);
	}
	fprintf(say(place), "%" PRIu64 " requests%s%s\n", rows,
		whole_file_is_stream(place->output) ? "" : ": ",
		whole_file_is_stream(place->output) ? "" : place->output);
	return EXIT_GOOD;
}

/* ---- join ---- */

bool rows_ending_check(const struct documents_options *documents, const char *output,
		       struct error *err)
{
	enum documents_format format;

	if (whole_file_is_stream(output))
		return true;
	if (!documents_format_find(documents, &format, err))
		return false;
	bool jsonl = format == DOCUMENTS_JSONL;
	if (format == DOCUMENTS_TEXT || !(jsonl ? join_is_table(output) : join_is_jsonl(output)))
		return true;
	return fail(
		err, ERR_INVALID,
		"-o %s: what comes out is of the kind that went in, which is %s: give it that ending",
		output, jsonl ? "JSONL" : "a table (CSV, TSV)");
}

static bool join_to(struct join_options *options, const struct rows_place *place,
		    struct join_counts *ret, struct error *err)
{
	AUTO(auto_free) char *directory = rows_directory(place->output);
	struct whole_file to;

	if (directory == NULL)
		return fail_memory(err);
	if (!rows_ending_check(&options->documents, place->output, err) ||
	    !whole_file_open(&to, place->output, place->force, err))
		return false;
	options->directory = directory;
	options->texts_as_jsonl = join_is_jsonl(place->output);
	bool good = join(options, &to, ret, err) && whole_file_commit(&to, err);
	options->directory = NULL;
	whole_file_close(&to);
	return good;
}

int join_file(struct join_options *options, const struct rows_place *place)
{
	struct join_counts counts;
	struct error err;

	if (!join_to(options, place, &counts, &err)) {
		report(&err);
		return exit_code(&err);
	}
	fprintf(say(place), "%" PRIu64 " rows: %" PRIu64 " answered, %" PRIu64 " failed",
		counts.rows, counts.answered, counts.failed);
	if (counts.missing > 0)
		fprintf(say(place), " (%" PRIu64 " of them have no line in the results)",
			counts.missing);
	fputc('\n', say(place));
	if (counts.left > 0)
		fprintf(stderr, "lowtide: %" PRIu64 " lines of the results belong to no row\n",
			counts.left);
	return counts.answered == counts.rows ? EXIT_GOOD : EXIT_FAULT;
}
