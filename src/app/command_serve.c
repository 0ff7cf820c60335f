/* command_serve.c: `lowtide serve`. */
#include "app/command_line.h"

#include <stdio.h>

#include "app/command_settings.h"
#include "terminal/report.h"
#include "terminal/signals.h"

struct serve_arguments {
	struct settings_given settings;
	bool check, adopt, stop_at_eof;
};

static error_t parse_serve(int key, char *arg, struct argp_state *state)
{
	struct serve_arguments *a = state->input;

	switch (key) {
	case OPTION_CHECK:
		a->check = true;
		return 0;
	case OPTION_ADOPT:
		a->adopt = true;
		return 0;
	case OPTION_STOP_AT_EOF:
		a->stop_at_eof = true;
		return 0;
	default:
		return parse_setting(key, arg, state, &a->settings);
	}
}

static int act_serve(void *arguments, struct config *config)
{
	const struct serve_arguments *a = arguments;
	struct config_source source = source_of(&a->settings);
	struct error err;

	if (a->stop_at_eof && !signals_stop_at_eof(&err)) {
		report(&err);
		return EXIT_FAULT;
	}
	if (!a->check)
		return serve(config, &source, a->adopt);
	config_print(config, stdout);
	puts("configuration is valid");
	return EXIT_GOOD;
}

int command_serve(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("listen", OPTION_LISTEN, "HOST:PORT",
		       "where to listen (127.0.0.1:8000); port 0 takes any free one"),
		DATA_ROW,
		STORE_ROW,
		OPTION("blobs", OPTION_BLOBS, "s3://BUCKET/PREFIX",
		       "keep files and results in a bucket of an S3-compatible store"),
		OPTION("role", OPTION_ROLE, "api|worker|all",
		       "what a node does that shares --store and --blobs with others (all)"),
		UPSTREAM_ROW,
		PROFILE_ROW,
		CONFIG_ROW,
		SET_ROW,
		OPTION("check", OPTION_CHECK, NULL, "only check the configuration, and print it"),
		OPTION("adopt", OPTION_ADOPT, NULL,
		       "go on with a database that does not belong to the files in the data "
		       "directory; what it does not know is moved to lost/"),
		STOP_AT_EOF_ROW,
		HELP_ROWS,
		{ 0 },
	};
	static const struct command_way way = {
		.argp = {
			.options = options,
			.parser = parse_serve,
			.doc = "Run the server.\v"
			       "Flags win over the environment (LOWTIDE_LISTEN, "
			       "LOWTIDE_EXECUTION_CONCURRENCY: each setting has its variable), the "
			       "environment over the file. The API key of upstreams given by --upstream "
			       "or LOWTIDE_UPSTREAMS is taken from LOWTIDE_UPSTREAM_API_KEY, that of "
			       "others from where the file says. SIGHUP reads all of it anew: upstreams, "
			       "their concurrency and log.level change at once, the rest at the next start. At "
			       "the first start an API key is made and printed, or LOWTIDE_BOOTSTRAP_KEY "
			       "is taken. Exit code: 0 stopped by a signal, 1 it could not start, 2 wrong "
			       "use or a wrong setting.",
		},
		.act = act_serve,
		.sends = true,
		.logs = true,
	};
	struct serve_arguments a = { 0 };

	return command_do(&way, argc, argv, &a, &a.settings);
}
