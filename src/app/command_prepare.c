/* command_prepare.c: `lowtide prepare`. */
#include "app/command_line.h"

#include "app/command_rows.h"
#include "cli/rows_files.h"
#include "terminal/report.h"

struct prepare_arguments {
	struct documents_given documents;
	struct request_given request;
	struct rows_place place;
};

static void end_check(const struct prepare_arguments *a, struct argp_state *state)
{
	const struct request_options *r = &a->request.request;

	if (a->documents.documents.path_count == 0)
		argp_error(state,
			   "which documents? lowtide prepare DOCS... --prompt TEXT --model M -o "
			   "IN.jsonl");
	if (r->prompt == NULL)
		argp_error(state,
			   "what is asked of each row? --prompt 'Is this positive? {review}'");
	if (r->model == NULL || r->model[0] == '\0')
		argp_error(state, "of which model? --model is missing");
	if (a->place.output == NULL)
		argp_error(state, "where to? -o IN.jsonl is missing");
}

static error_t parse_prepare(int key, char *arg, struct argp_state *state)
{
	struct prepare_arguments *a = state->input;
	error_t taken;

	switch (key) {
	case 'o':
		a->place.output = arg;
		return 0;
	case OPTION_FORCE:
		a->place.force = true;
		return 0;
	case OPTION_ENDPOINT:
		a->request.request.endpoint = arg;
		return 0;
	case ARGP_KEY_ARG:
		document_add(&a->documents, arg, state);
		return 0;
	case ARGP_KEY_END:
		end_check(a, state);
		return 0;
	default:
		taken = parse_documents(key, arg, state, &a->documents);
		if (taken == ARGP_ERR_UNKNOWN)
			taken = parse_request(key, arg, state, &a->request);
		return taken == ARGP_ERR_UNKNOWN ? parse_help(key, state) : taken;
	}
}

static int act_prepare(struct prepare_arguments *a)
{
	struct prepare_options options;
	struct error err;

	if (!prepare_options_make(&a->documents, &a->request, &options, &err)) {
		report(&err);
		return exit_code(&err);
	}
	return prepare_file(&options, &a->place);
}

int command_prepare(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("output", 'o', "FILE", "where the requests go; -: standard output"),
		REQUEST_ROWS,
		OPTION("model", OPTION_MODEL, "NAME", "the model of each request"),
		OPTION("endpoint", OPTION_ENDPOINT, "PATH",
		       "/v1/completions, /v1/embeddings, /v1/responses or /v1/messages "
		       "(/v1/chat/completions)"),
		DOCUMENTS_ROWS,
		OPTION("force", OPTION_FORCE, NULL, "overwrite the output"),
		HELP_ROWS,
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_prepare,
		.args_doc = "DOCS... --prompt TEXT --model M -o IN.jsonl",
		.doc = "Make a file of requests from documents: one of each row.\v"
		       "DOCS are tables (CSV, TSV), JSON objects a line (JSONL), texts, or directories of "
		       "them; - is standard input (with --format). The columns of a text are {text} and "
		       "{file}; {{ and }} are braces. `lowtide join` puts the answers beside the rows. "
		       "Exit code: 0 done, 1 it could not be done, 2 wrong use or documents that cannot "
		       "be used.",
	};
	struct prepare_arguments a = { 0 };

	argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &a);
	int code = act_prepare(&a);
	documents_given_done(&a.documents);
	request_given_done(&a.request);
	return code;
}
