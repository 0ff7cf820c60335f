/* command_results.c: `lowtide results`. */
#include "app/command_line.h"

#include "app/command_client.h"
#include "terminal/results.h"

static error_t parse_results(int key, char *arg, struct argp_state *state)
{
	struct results_options *o = state->input;

	switch (key) {
	case 'o':
		o->output = arg;
		return 0;
	case OPTION_ERRORS:
		o->errors = arg;
		return 0;
	case OPTION_FOLLOW:
		o->follow = true;
		return 0;
	case OPTION_MERGE:
		o->merge = arg;
		return 0;
	case ARGP_KEY_ARG:
		one_set(&o->id, "batch", arg, state);
		return 0;
	case ARGP_KEY_END:
		if (o->id == NULL)
			argp_error(state, "which batch? `lowtide list` shows their ids");
		return 0;
	default:
		return parse_client(key, arg, state, &o->asked);
	}
}

static int act_results(void *arguments)
{
	return results(arguments);
}

int command_results(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION(NULL, 'o', "OUT", "write the answers to OUT, not to standard output"),
		OPTION("errors", OPTION_ERRORS, "ERR",
		       "write the lines without an answer to ERR, each with the reason"),
		OPTION("follow", OPTION_FOLLOW, NULL,
		       "lines as they end, in that order, until the batch has ended"),
		OPTION("merge", OPTION_MERGE, "IN.jsonl",
		       "put the request beside its answer, as the member \"request\"; IN.jsonl is the "
		       "file that the batch was made of"),
		URL_ROWS,
		HELP_ROWS,
		{ 0 },
	};
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_results,
			.args_doc = "ID",
			.doc = "The answers of a batch.\v"
			       "OUT has its name once it is whole; until then it is OUT.part-ID, and a call that "
			       "was cut off goes on with that when it is made again. Exit code: 0 all is "
			       "written, 1 it could not be done, such as with a batch that has not ended, 2 "
			       "wrong use.",
		},
		.act = act_results,
	};
	struct results_options o = { 0 };

	return client_do(&way, argc, argv, &o);
}
