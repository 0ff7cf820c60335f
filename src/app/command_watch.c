/* command_watch.c: `lowtide watch`. */
#include "app/command_line.h"

#include "app/command_client.h"
#include "terminal/watch.h"

static error_t parse_watch(int key, char *arg, struct argp_state *state)
{
	struct watch_options *o = state->input;

	if (key != ARGP_KEY_ARGS)
		return parse_client(key, arg, state, &o->asked);
	o->ids = state->argv + state->next;
	o->id_count = (size_t)(state->argc - state->next);
	return 0;
}

static int act_watch(void *arguments)
{
	return batches_watch(arguments);
}

int command_watch(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OUTPUT_ROW, ORG_ROW, URL_ROWS, HELP_ROWS, { 0 },
	};
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_watch,
			.args_doc = "[ID...]",
			.doc = "Show batches as they run, until all have ended; without an ID those that "
			       "have not ended, and those that come meanwhile.\v"
			       "On a terminal each has a bar, its speed, its expected end and, if it "
			       "waits, why. Elsewhere there is a line for each change of state, and one "
			       "every ten seconds; in json and plain an object for each change. A server "
			       "that is started anew is waited for. Ctrl-C ends the watching alone. Exit "
			       "code: 0 all have ended, in whatever way (see 'lowtide wait'), 1 it could "
			       "not go on, 2 wrong use.",
		},
		.act = act_watch,
	};
	struct watch_options o = { 0 };

	return client_do(&way, argc, argv, &o);
}
