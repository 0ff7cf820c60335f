/* command_top.c: `lowtide top`. */
#include "app/command_line.h"

#include "app/command_client.h"
#include "terminal/top.h"

static error_t parse_top(int key, char *arg, struct argp_state *state)
{
	struct top_options *o = state->input;

	switch (key) {
	case OPTION_ONCE:
		o->once = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is one word too many", arg);
		return 0;
	default:
		return parse_client(key, arg, state, &o->asked);
	}
}

static int act_top(void *arguments)
{
	return ask_top(arguments);
}

int command_top(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("once", OPTION_ONCE, NULL,
		       "show it once, as where standard output is no terminal"),
		OUTPUT_ROW,
		URL_ROWS,
		HELP_ROWS,
		{ 0 },
	};
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_top,
			.doc = "What a server does: upstreams, their engines and limits, online requests "
			       "beside lines of batches, models and organizations.\v"
			       "A key that is no operator's ('lowtide key create --operator') sees the "
			       "upstreams of its own models, and its own limits. Ctrl-C ends it. Exit "
			       "code: 0 done, 1 it could not be asked, 2 wrong use.",
		},
		.act = act_top,
	};
	struct top_options o = { 0 };

	return client_do(&way, argc, argv, &o);
}
