/* command_wait.c: `lowtide wait`. */
#include "app/command_line.h"

#include "app/command_client.h"
#include "terminal/wait.h"

static error_t parse_wait(int key, char *arg, struct argp_state *state)
{
	struct wait_options *o = state->input;

	switch (key) {
	case OPTION_TIMEOUT:
		seconds_set(&o->timeout_s, "--timeout", arg, state);
		return 0;
	case ARGP_KEY_ARGS:
		o->ids = state->argv + state->next;
		o->id_count = (size_t)(state->argc - state->next);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which batch? 'lowtide list' shows their ids");
		return 0;
	default:
		return parse_client(key, arg, state, &o->asked);
	}
}

static int act_wait(void *arguments)
{
	return batches_wait(arguments);
}

int command_wait(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("timeout", OPTION_TIMEOUT, "TIME",
		       "for so long at most, 90s or 2h, all batches together"),
		OUTPUT_ROW,
		ORG_ROW,
		URL_ROWS,
		HELP_ROWS,
		{ 0 },
	};
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_wait,
			.args_doc = "ID...",
			.doc = "Wait until batches have ended.\v"
			       "What came of each is told on standard error; in json and plain each is "
			       "shown on standard output. A server that is started anew is waited for, and "
			       "so are the others where one batch is not there. Exit code: 0 every line "
			       "completed, 1 a batch is not there, or it could not go on, 2 wrong use, 3 "
			       "some lines failed, 4 a batch failed, expired or was cancelled, 124 time is "
			       "up. Of several batches 1, else the greatest.",
		},
		.act = act_wait,
	};
	struct wait_options o = { 0 };

	return client_do(&way, argc, argv, &o);
}
