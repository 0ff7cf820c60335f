/* command_run.c: `lowtide run`. */
#include "app/command_line.h"

#include <ctype.h>
#include <stdlib.h>

#include "app/command_settings.h"
#include "cli/run.h"

struct run_arguments {
	struct settings_given settings;
	struct run_options run;
};

static void limit_set(struct run_options *run, const char *text, struct argp_state *state)
{
	char *end;

	run->limit = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || run->limit == 0 ||
	    run->limit > UINT32_MAX)
		argp_error(state, "--limit: '%s' is not a number of lines, such as 10", text);
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
	case OPTION_LIMIT:
		limit_set(&a->run, arg, state);
		return 0;
	case ARGP_KEY_ARG:
		if (a->run.input != NULL)
			argp_error(state, "one input file at a time; '%s' is a second", arg);
		a->run.input = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->run.input == NULL)
			argp_error(state, "which file? lowtide run IN.jsonl -o OUT.jsonl");
		if (a->run.output == NULL)
			argp_error(state, "where to? -o OUT.jsonl is missing");
		if (a->run.retry_failed && (a->run.limit > 0 || a->run.force))
			argp_error(state, "--retry-failed goes with neither --limit nor --force");
		return 0;
	default:
		return parse_setting(key, arg, state, &a->settings);
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

static int act_run(void *arguments, struct config *config)
{
	struct run_arguments *a = arguments;

	a->run.pipeline = run_pipeline(config);
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
		OPTION("limit", OPTION_LIMIT, "N",
		       "only the file's first N request lines: to try before you pay"),
		OPTION("retry-failed", OPTION_RETRY_FAILED, NULL,
		       "run again what has no answer in the output of an earlier run; its answers are "
		       "kept"),
		OPTION("force", OPTION_FORCE, NULL, "overwrite the output of a run that is done"),
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
			.args_doc = "IN.jsonl -o OUT.jsonl",
			.doc = "Run one batch without a server.\v"
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
	struct run_arguments a = { 0 };

	return command_do(&way, argc, argv, &a, &a.settings);
}
