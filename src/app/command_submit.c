/* command_submit.c: `lowtide submit`. */
#include "app/command_line.h"

#include <stdlib.h>

#include "app/command_client.h"
#include "base/attr.h"
#include "terminal/submit.h"

#define WINDOW_USUAL "24h"

static void options_done(struct submit_options *o)
{
	free(o->metadata);
}

static void check(const struct submit_options *o, struct argp_state *state)
{
	if (o->path == NULL)
		argp_error(state, "which file? lowtide submit IN.jsonl, or - for standard input");
	if (!o->wait && (o->output != NULL || o->errors != NULL || o->timeout_s > 0))
		argp_error(state, "-o, --errors and --timeout go with --wait; without it, "
				  "'lowtide results ID -o FILE' fetches what came of a batch");
}

static error_t parse_submit(int key, char *arg, struct argp_state *state)
{
	struct submit_options *o = state->input;

	switch (key) {
	case OPTION_WINDOW:
		o->window = arg;
		return 0;
	case OPTION_ENDPOINT:
		o->endpoint = arg;
		return 0;
	case OPTION_METADATA:
		list_add(&o->metadata, &o->metadata_count, arg, state);
		return 0;
	case OPTION_CANARY:
		whole_set(&o->canary, "--canary", arg, 1, INT64_MAX, state);
		return 0;
	case OPTION_HOURS:
		o->hours = arg;
		return 0;
	case OPTION_TOKEN_BUDGET:
		whole_set(&o->token_budget, "--token-budget", arg, 1, INT64_MAX, state);
		return 0;
	case OPTION_SKIP_BAD_LINES:
		o->skip_bad_lines = true;
		return 0;
	case OPTION_WAIT:
		o->wait = true;
		return 0;
	case OPTION_TIMEOUT:
		seconds_set(&o->timeout_s, "--timeout", arg, state);
		return 0;
	case 'o':
		o->output = arg;
		return 0;
	case OPTION_ERRORS:
		o->errors = arg;
		return 0;
	case ARGP_KEY_ARG:
		one_set(&o->path, "file", arg, state);
		return 0;
	case ARGP_KEY_END:
		check(o, state);
		return 0;
	default:
		return parse_client(key, arg, state, &o->asked);
	}
}

static int act_submit(void *arguments)
{
	return submit(arguments);
}

int command_submit(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("window", OPTION_WINDOW, "WINDOW",
		       "within which the batch is to be done, such as 12h, 24h or 3d (" WINDOW_USUAL
		       ")"),
		OPTION("endpoint", OPTION_ENDPOINT, "PATH",
		       "such as /v1/embeddings (the url in the file's lines, else "
		       "/v1/chat/completions)"),
		OPTION("metadata", OPTION_METADATA, "KEY=VALUE",
		       "a note on the batch, to find it by; may be repeated"),
		OPTION("canary", OPTION_CANARY, "N",
		       "run N lines first, and hold the others until 'lowtide resume'"),
		OPTION("hours", OPTION_HOURS, "FROM-TO",
		       "send only at that time of day: 22:00-06:00, or \"22:00-06:00 Europe/Berlin\""),
		OPTION("token-budget", OPTION_TOKEN_BUDGET, "N",
		       "send no more lines once N tokens are used"),
		OPTION("skip-bad-lines", OPTION_SKIP_BAD_LINES, NULL,
		       "run the good lines, where a bad one would fail the batch"),
		OPTION("wait", OPTION_WAIT, NULL, "until the batch has ended; see the exit codes"),
		OPTION("timeout", OPTION_TIMEOUT, "TIME",
		       "with --wait: no longer than that, such as 90s or 2h"),
		OPTION(NULL, 'o', "OUT", "with --wait: then write the answers to OUT"),
		OPTION("errors", OPTION_ERRORS, "ERR",
		       "with --wait: then write the lines without an answer to ERR"),
		URL_ROWS,
		HELP_ROWS,
		{ 0 },
	};
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_submit,
			.args_doc = "FILE|-",
			.doc = "Make a batch of a file of requests, and print its id.\v"
			       "A file over 64 MB goes in parts. After a broken connection, and after a kill when "
			       "the same call is made again, what is there already is not sent again, and no "
			       "second batch is made. Exit code: 0 done, 1 it could not be done, 2 wrong use or a "
			       "file that cannot be a batch; with --wait 0 every line completed, 3 some lines "
			       "failed, 4 the batch failed, expired or was cancelled, 124 time-out.",
		},
		.act = act_submit,
	};
	AUTO(options_done) struct submit_options o = { .window = WINDOW_USUAL };

	return client_do(&way, argc, argv, &o);
}
