/* command_check.c: `lowtide check`. */
#include "app/command_line.h"

#include <stdlib.h>

#include "app/blobs.h"
#include "app/command_settings.h"
#include "base/attr.h"
#include "cli/check.h"
#include "terminal/report.h"

struct check_arguments {
	struct settings_given settings;
	struct check_options check;
	const char *endpoint;
	char **paths;
};

static void check_arguments_done(struct check_arguments *a)
{
	free(a->paths);
}

static void path_add(struct check_arguments *a, char *path, const struct argp_state *state)
{
	char **more = reallocarray(a->paths, a->check.path_count + 1, sizeof(*more));

	if (more == NULL) {
		argp_failure(state, EXIT_FAULT, 0, "out of memory");
		return;
	}
	a->paths = more;
	a->paths[a->check.path_count++] = path;
}

static error_t parse_check(int key, char *arg, struct argp_state *state)
{
	struct check_arguments *a = state->input;

	switch (key) {
	case OPTION_ENDPOINT:
		a->endpoint = arg;
		return 0;
	case OPTION_ALL:
		a->check.all = true;
		return 0;
	case ARGP_KEY_ARG:
		path_add(a, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (a->check.path_count == 0)
			argp_error(state, "which file? lowtide check IN.jsonl");
		return 0;
	default:
		return parse_setting(key, arg, state, &a->settings);
	}
}

static int act_check(void *arguments, struct config *config)
{
	struct check_arguments *a = arguments;

	server_blobs_unused(config, "`check` reads local files");
	a->check.paths = a->paths;
	a->check.limits = config_limits(config);
	a->check.rules = config_rules(config);
	a->check.rules.endpoint = a->endpoint;
	a->check.rules.judges_endpoint = true;
	return check_files(&a->check);
}

int command_check(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("endpoint", OPTION_ENDPOINT, "PATH",
		       "the batch's endpoint (the url of the first line that has one)"),
		OPTION("strict", OPTION_STRICT, NULL, "method and url are required in every line"),
		OPTION("all", OPTION_ALL, NULL,
		       "print every finding, not only the first of each code"),
		PROFILE_ROW,
		CONFIG_ROW,
		SET_ROW,
		HELP_ROWS,
		{ 0 },
	};
	static const struct command_way way = {
		.argp = {
			.options = options,
			.parser = parse_check,
			.args_doc = "FILE...",
			.doc = "Check input files as a server with these settings would. FILE -: standard "
			       "input.\v"
			       "Each finding is printed as file:line: code: message (line 0: the file as a "
			       "whole), the first ten of each code, then how many there are. What a server "
			       "alone can know, which models its upstreams have, is not checked. Exit code: 0 "
			       "nothing found, 1 findings, 2 wrong use or a file that cannot be read.",
		},
		.act = act_check,
	};
	AUTO(check_arguments_done) struct check_arguments a = { 0 };

	return command_do(&way, argc, argv, &a, &a.settings);
}
