/* command_join.c: `lowtide join`. */
#include "app/command_line.h"

#include "app/command_rows.h"
#include "cli/rows_files.h"
#include "terminal/report.h"

struct join_arguments {
	struct documents_given documents;
	struct rows_place place;
	const char *results[2]; /* the second: --errors, or NULL */
	const char *column;
};

static void end_check(const struct join_arguments *a, struct argp_state *state)
{
	if (a->results[0] == NULL || a->documents.documents.path_count == 0)
		argp_error(state,
			   "which results, and of which documents? lowtide join OUT.jsonl DOCS... "
			   "-o LABELLED.csv");
	if (a->place.output == NULL)
		argp_error(state, "where to? -o LABELLED.csv is missing");
	if (a->column != NULL && a->column[0] == '\0')
		argp_error(state, "--column: the name is empty");
}

static error_t parse_join(int key, char *arg, struct argp_state *state)
{
	struct join_arguments *a = state->input;
	error_t taken;

	switch (key) {
	case 'o':
		a->place.output = arg;
		return 0;
	case OPTION_FORCE:
		a->place.force = true;
		return 0;
	case OPTION_ERRORS:
		a->results[1] = arg;
		return 0;
	case OPTION_COLUMN:
		a->column = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->results[0] == NULL)
			a->results[0] = arg;
		else
			document_add(&a->documents, arg, state);
		return 0;
	case ARGP_KEY_END:
		end_check(a, state);
		return 0;
	default:
		taken = parse_documents(key, arg, state, &a->documents);
		return taken == ARGP_ERR_UNKNOWN ? parse_help(key, state) : taken;
	}
}

int command_join(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("output", 'o', "FILE",
		       "where the rows with their answers go; -: standard output"),
		OPTION("errors", OPTION_ERRORS, "FILE",
		       "the batch's error file: why rows have no answer"),
		COLUMN_ROW,
		DOCUMENTS_ROWS,
		OPTION("force", OPTION_FORCE, NULL, "overwrite the output"),
		HELP_ROWS,
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_join,
		.args_doc = "OUT.jsonl DOCS... -o LABELLED.csv",
		.doc = "Put the answers of a batch beside the rows that they belong to.\v"
		       "DOCS and --id are those that `lowtide prepare` was given. What comes out is of the "
		       "kind that went in, with two columns more: the answer, and why there is none. Of "
		       "texts it is CSV, or JSONL if -o says so, with the name of each file. Exit code: 0 "
		       "every row has an answer, 1 some have not, 2 wrong use or files that cannot be used.",
	};
	struct join_arguments a = { 0 };

	argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &a);
	struct join_options join = {
		.documents = a.documents.documents,
		.id = a.documents.id,
		.column = a.column,
		.results = a.results,
		.result_count = a.results[1] != NULL ? 2 : 1,
	};
	int code = join_file(&join, &a.place);
	documents_given_done(&a.documents);
	return code;
}
