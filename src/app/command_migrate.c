/* command_migrate.c: `lowtide migrate`. */
#include "app/command_line.h"

#include <stdio.h>

#include "app/command_settings.h"
#include "cli/migrate.h"
#include "terminal/report.h"

static error_t parse_migrate(int key, char *arg, struct argp_state *state)
{
	return parse_setting(key, arg, state, state->input);
}

static int act_migrate(void *arguments, struct config *config)
{
	(void)arguments;
	if (config->store != NULL)
		return migrate(config->data, config->store);
	fputs("lowtide: where to? lowtide migrate --from DIR --to postgresql://…\n", stderr);
	return EXIT_USAGE;
}

int command_migrate(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("from", OPTION_FROM, "DIR", "data directory (./lowtide-data)"),
		OPTION("to", OPTION_TO, "URL",
		       "PostgreSQL database, or schema, for its rows, which has none"),
		CONFIG_ROW,
		SET_ROW,
		HELP_ROWS,
		{ 0 },
	};
	static const struct command_way way = {
		.argp = {
			.options = options,
			.parser = parse_migrate,
			.doc = "Move the rows of a data directory to PostgreSQL.\v"
			       "All of meta.db goes over in one transaction: organizations, keys, files, "
			       "batches that run and those that have ended. Bytes and journals stay in the "
			       "directory, which is then served with --store URL. No server may run on it "
			       "meanwhile. meta.db becomes meta.db.moved. Exit code: 0 done, 1 it could not be "
			       "done, 2 wrong use, a directory without a database, or a schema that has rows.",
		},
		.act = act_migrate,
	};
	struct settings_given given = { 0 };

	return command_do(&way, argc, argv, &given, &given);
}
