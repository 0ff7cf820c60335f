/* command_health.c: `lowtide health`. */
#include "app/command_line.h"

#include "app/command_settings.h"
#include "cli/health.h"

struct health_arguments {
	struct settings_given settings;
	bool ready;
};

static error_t parse_health(int key, char *arg, struct argp_state *state)
{
	struct health_arguments *a = state->input;

	if (key == OPTION_READY) {
		a->ready = true;
		return 0;
	}
	return parse_setting(key, arg, state, &a->settings);
}

static int act_health(void *arguments, struct config *config)
{
	const struct health_arguments *a = arguments;

	return health(config->listen.host, config->listen.port, a->ready);
}

int command_health(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("listen", OPTION_LISTEN, "HOST:PORT",
		       "where the server listens (127.0.0.1:8000)"),
		OPTION("ready", OPTION_READY, NULL, "does it take new work? Not while it drains"),
		CONFIG_ROW,
		SET_ROW,
		HELP_ROWS,
		{ 0 },
	};
	static const struct command_way way = {
		.argp = {
			.options = options,
			.parser = parse_health,
			.doc = "Ask the server whether it is alive: the one that listens where these settings, "
			       "the same as those of `serve`, say.\v"
			       "For health checks of containers and the like: /healthz, or /readyz with "
			       "--ready, within 5 s. Exit code: 0 it answered 200, 1 it did not, 2 wrong use "
			       "or a wrong setting.",
		},
		.act = act_health,
	};
	struct health_arguments a = { 0 };

	return command_do(&way, argc, argv, &a, &a.settings);
}
