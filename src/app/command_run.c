/* command_run.c: `lowtide run`. */
#include "app/command_line.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

#include "api/metadata.h"
#include "app/blobs.h"
#include "app/command_rows.h"
#include "base/duration.h"
#include "batch/opening.h"
#include "cli/run.h"
#include "terminal/pairs.h"
#include "terminal/report.h"
#include "terminal/signals.h"

#define WINDOW_S_MAX UINT64_C(31536000) /* a year */
#define TOKENS_MAX UINT64_C(1000000000000000000)

struct run_arguments {
	struct settings_given settings;
	struct run_options run;
	struct documents_given documents; /* without --prompt: a file of requests */
	struct request_given request;
	char **metadata; /* "KEY=VALUE" */
	size_t metadata_count;
	bool stop_at_eof;
};

static void status_fd_set(struct run_options *run, const char *text, struct argp_state *state)
{
	uint64_t fd;

	if (!whole_read(text, &fd) || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0)
		argp_error(state, "--status-fd: '%s' is no open descriptor, such as 3", text);
	run->status_fd = (int)fd;
}

static void hours_set(struct run_options *run, const char *text, struct argp_state *state)
{
	struct batch_options *o = &run->batch;
	struct batch_hours hours;
	struct opening opening;
	struct error err;
	bool known = false;

	if (batch_hours_read(slice_of(text), &hours) &&
	    slice_copy(slice_of(text), o->hours, sizeof(o->hours)) &&
	    !opening_read(o, &opening, &known, &err))
		argp_failure(state, EXIT_FAULT, 0, "--hours: %s", err.message);
	if (!known)
		argp_error(state,
			   "--hours: '%s' is not two times of day, such as 22:00-06:00 or "
			   "'22:00-06:00 Europe/Berlin'",
			   text);
}

static void window_set(struct run_options *run, const char *text, struct argp_state *state)
{
	uint64_t s;

	if (!duration_parse(slice_of(text), &s) || s == 0 || s > WINDOW_S_MAX)
		argp_error(state, "--window: '%s' is not a time such as 12h or 7d", text);
	run->window = text;
}

/* Options that `submit` has, too. */
static error_t parse_batch(int key, char *arg, struct argp_state *state, struct run_arguments *a)
{
	struct run_options *run = &a->run;

	switch (key) {
	case OPTION_WINDOW:
		window_set(run, arg, state);
		return 0;
	case OPTION_CANARY:
		whole_set(&run->batch.canary, "--canary", arg, 1, INT32_MAX, state);
		return 0;
	case OPTION_HOURS:
		hours_set(run, arg, state);
		return 0;
	case OPTION_TOKEN_BUDGET:
		whole_set(&run->batch.token_budget, "--token-budget", arg, 1, TOKENS_MAX, state);
		return 0;
	case OPTION_SKIP_BAD_LINES:
		run->batch.skip_invalid = true;
		return 0;
	case OPTION_METADATA:
		list_add(&a->metadata, &a->metadata_count, arg, state);
		return 0;
	case OPTION_WAIT: /* a run always does */
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Of a file of requests: what only documents have would be left aside in silence. */
static void requests_check(struct run_arguments *a, struct argp_state *state)
{
	const struct documents_options *d = &a->documents.documents;
	const struct request_options *r = &a->request.request;

	if (d->path_count > 1)
		argp_error(
			state,
			"one file of requests at a time; '%s' is a second (documents need --prompt)",
			d->paths[1]);
	if (r->system != NULL || r->model != NULL || r->param_count > 0 ||
	    a->documents.id != NULL || d->format != DOCUMENTS_BY_NAME || d->delimiter != '\0' ||
	    d->encoding != NULL || d->replace_invalid || a->run.column != NULL)
		argp_error(state,
			   "what is asked of each row? --prompt is missing (a file of requests "
			   "takes none of --model, --system, --param, --id, --column, --format, "
			   "--delimiter, --encoding, --invalid-utf8)");
	a->run.input = d->paths[0];
}

static void end_check(struct run_arguments *a, struct argp_state *state)
{
	const struct documents_options *d = &a->documents.documents;

	if (d->path_count == 0)
		argp_error(state,
			   "which file? lowtide run IN.jsonl -o OUT.jsonl, or lowtide run DOCS... "
			   "--prompt TEXT -o LABELLED.csv");
	if (a->run.output == NULL)
		argp_error(state, "where to? -o %s is missing",
			   a->request.request.prompt != NULL ? "LABELLED.csv" : "OUT.jsonl");
	if (a->run.retry_failed && (a->run.limit > 0 || a->run.force))
		argp_error(state, "--retry-failed goes with neither --limit nor --force");
	if (a->request.request.prompt == NULL)
		requests_check(a, state);
	if (a->run.column != NULL && a->run.column[0] == '\0')
		argp_error(state, "--column: the name is empty");
}

static error_t parse_others(int key, char *arg, struct argp_state *state, struct run_arguments *a)
{
	error_t taken = parse_batch(key, arg, state, a);

	if (taken == ARGP_ERR_UNKNOWN)
		taken = parse_documents(key, arg, state, &a->documents);
	if (taken == ARGP_ERR_UNKNOWN)
		taken = parse_request(key, arg, state, &a->request);
	return taken == ARGP_ERR_UNKNOWN ? parse_setting(key, arg, state, &a->settings) : taken;
}

static error_t parse_run(int key, char *arg, struct argp_state *state)
{
	struct run_arguments *a = state->input;

	switch (key) {
	case 'o':
		a->run.output = arg;
		return 0;
	case OPTION_ERRORS:
		a->run.errors = arg;
		return 0;
	case OPTION_ENDPOINT:
		a->run.endpoint = arg;
		return 0;
	case OPTION_FORCE:
		a->run.force = true;
		return 0;
	case OPTION_RETRY_FAILED:
		a->run.retry_failed = true;
		return 0;
	case OPTION_STATUS_FD:
		status_fd_set(&a->run, arg, state);
		return 0;
	case OPTION_STOP_AT_EOF:
		a->stop_at_eof = true;
		return 0;
	case OPTION_COLUMN:
		a->run.column = arg;
		return 0;
	case OPTION_LIMIT:
		whole_set(&a->run.limit, "--limit", arg, 1, UINT32_MAX, state);
		return 0;
	case ARGP_KEY_ARG:
		document_add(&a->documents, arg, state);
		return 0;
	case ARGP_KEY_END:
		end_check(a, state);
		return 0;
	default:
		return parse_others(key, arg, state, a);
	}
}

/* A user who runs a batch at a terminal waits for the end of the command. */
#define RUN_DRAIN_MS 5000

/* The limits on files protect a server from its users; here both are the same person. */
static struct pipeline_config run_pipeline(const struct config *c)
{
	struct pipeline_config pipeline = config_pipeline(c);

	pipeline.rules.lines_max = 0;
	pipeline.rules.inputs_max = 0;
	pipeline.enqueued_requests_max = 0;
	pipeline.enqueued_tokens_max = 0;
	pipeline.org_queue = (struct org_queue){ 0 };
	pipeline.org_tokens_per_day = 0;
	pipeline.result_expires_after_s = 0;
	if (config_is_default(c, "execution.drain"))
		pipeline.drain_ms = RUN_DRAIN_MS;
	return pipeline;
}

static bool metadata_make(struct run_arguments *a, struct error *err)
{
	json_t *object;

	if (a->metadata_count == 0)
		return true;
	if (!pairs_object("--metadata", a->metadata, a->metadata_count, &object, err))
		return false;
	AUTO(auto_free) char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text != NULL ? metadata_read(slice_of(text), &a->run.metadata, err)
			    : fail_memory(err);
}

static int act_run(void *arguments, struct config *config)
{
	struct run_arguments *a = arguments;
	struct prepare_options documents;
	struct error err;

	if (!metadata_make(a, &err) || (a->stop_at_eof && !signals_stop_at_eof(&err))) {
		report(&err);
		return exit_code(&err);
	}
	server_blobs_unused(config, "`run` keeps all beside its output file");
	a->run.pipeline = run_pipeline(config);
	if (a->request.request.prompt == NULL)
		return run_batch(&a->run);
	if (!prepare_options_make(&a->documents, &a->request, &documents, &err)) {
		report(&err);
		return exit_code(&err);
	}
	documents.request.endpoint = a->run.endpoint;
	a->run.documents = &documents;
	a->run.input = documents.documents.paths[0];
	return run_batch(&a->run);
}

int command_run(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("output", 'o', "FILE",
		       "where the answers go, in the order of the input; -: standard output, once all "
		       "lines have ended"),
		OPTION("errors", OPTION_ERRORS, "FILE",
		       "where lines without an answer go (the output's name with .errors.jsonl)"),
		UPSTREAM_ROW,
		OPTION("endpoint", OPTION_ENDPOINT, "PATH",
		       "such as /v1/embeddings (the url in the file, else /v1/chat/completions)"),
		REQUEST_ROWS,
		OPTION("model", OPTION_MODEL, "NAME",
		       "of requests that are made of documents (the one that the upstream serves)"),
		COLUMN_ROW,
		DOCUMENTS_ROWS,
		OPTION("limit", OPTION_LIMIT, "N",
		       "only the file's first N request lines, or rows: to try before you pay"),
		OPTION("canary", OPTION_CANARY, "N",
		       "only N lines, spread evenly: shows the answers and stops; the same command "
		       "without it runs the rest"),
		OPTION("window", OPTION_WINDOW, "TIME",
		       "what has not run by then fails as batch_expired (" RUN_WINDOW ")"),
		OPTION("hours", OPTION_HOURS, "FROM-TO",
		       "send only between these times of day, such as 22:00-06:00"),
		OPTION("token-budget", OPTION_TOKEN_BUDGET, "N",
		       "end before the answers have taken so many tokens, prompts counted"),
		OPTION("skip-bad-lines", OPTION_SKIP_BAD_LINES, NULL,
		       "run the good lines of a file that has bad ones"),
		OPTION("metadata", OPTION_METADATA, "KEY=VALUE",
		       "a note on the batch, kept with its work; may be repeated"),
		OPTION("wait", OPTION_WAIT, NULL, "as of 'lowtide submit'; a run always waits"),
		OPTION("retry-failed", OPTION_RETRY_FAILED, NULL,
		       "run again what has no answer in the output of an earlier run of the same lines "
		       "or documents; its answers are kept"),
		OPTION("force", OPTION_FORCE, NULL, "overwrite the output of a run that is done"),
		OPTION("status-fd", OPTION_STATUS_FD, "N",
		       "progress as a JSON object a line on this open descriptor, for the program "
		       "that started this; what it does not read in time is left out"),
		STOP_AT_EOF_ROW,
		PROFILE_ROW,
		CONFIG_ROW,
		SET_ROW,
		HELP_ROWS,
		{ 0 },
	};
	static const struct command_way way = {
		.argp = {
			.options = options,
			.parser = parse_run,
			.args_doc = "IN.jsonl -o OUT.jsonl\nDOCS... --prompt TEXT -o LABELLED.csv",
			.doc = "Run one batch without a server.\v"
			       "With --prompt it is of documents, as for `lowtide prepare`, and their rows "
			       "come out with the answers beside them, as of `lowtide join`. "
			       "Killed or stopped, it goes on where it was when called again: until it "
			       "is done its work is kept in OUT.jsonl.lowtide beside the output; for an "
			       "output that is no file (-, a pipe, /dev/null) in IN.jsonl.lowtide beside the "
			       "input. The API key of upstreams given by --upstream or LOWTIDE_UPSTREAMS is "
			       "taken from LOWTIDE_UPSTREAM_API_KEY, if it is set. Exit code: 0 every line "
			       "completed, 1 some failed or it could not go on, 2 wrong use or an input that "
			       "cannot be run, 128 + N ended by signal N.",
		},
		.act = act_run,
		.sends = true,
		.example = "lowtide run IN.jsonl -o OUT.jsonl",
	};
	struct run_arguments a = { .run.status_fd = -1 };

	int code = command_do(&way, argc, argv, &a, &a.settings);
	documents_given_done(&a.documents);
	request_given_done(&a.request);
	free(a.metadata);
	free(a.run.metadata);
	return code;
}
