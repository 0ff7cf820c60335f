/* command_estimate.c: `lowtide estimate`. */
#include "app/command_line.h"

#include "app/command_client.h"
#include "terminal/estimate.h"

static error_t parse_estimate(int key, char *arg, struct argp_state *state)
{
	struct estimate_options *o = state->input;

	switch (key) {
	case OPTION_WINDOW:
		o->window = arg;
		return 0;
	case OPTION_ENDPOINT:
		o->endpoint = arg;
		return 0;
	case OPTION_KEEP:
		o->keep = true;
		return 0;
	case ARGP_KEY_ARG:
		one_set(&o->file, "file", arg, state);
		return 0;
	case ARGP_KEY_END:
		if (o->file == NULL)
			argp_error(state, "which file? lowtide estimate IN.jsonl");
		return 0;
	default:
		return parse_client(key, arg, state, &o->asked);
	}
}

static int act_estimate(void *arguments)
{
	return ask_estimate(arguments);
}

int command_estimate(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("window", OPTION_WINDOW, "TIME", "of the batch (24h)"),
		OPTION("endpoint", OPTION_ENDPOINT, "PATH",
		       "of the batch (the url in the file, else /v1/chat/completions)"),
		OPTION("keep", OPTION_KEEP, NULL,
		       "keep the file on the server, and show its id; else it is deleted again"),
		OUTPUT_ROW,
		URL_ROWS,
		HELP_ROWS,
		{ 0 },
	};
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_estimate,
			.args_doc = "FILE|-|FILE-ID",
			.doc = "Tokens, cost and end of a batch, and the lines that cannot run, before it "
			       "is made.\v"
			       "The file is sent to the server and deleted again; of a FILE-ID (file-...) "
			       "that is there already nothing is sent, and it stays. Exit code: 0 it can "
			       "run, 1 lines of it cannot, or it could not be done, 2 wrong use, or a file "
			       "that cannot be a batch.",
		},
		.act = act_estimate,
	};
	struct estimate_options o = { .window = "24h" };

	return client_do(&way, argc, argv, &o);
}
