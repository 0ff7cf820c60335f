/* command_migrate.c: `lowtide migrate`. */
#include "app/command_line.h"

#include <stdio.h>
#include <string.h>

#include "app/blobs.h"
#include "app/command_settings.h"
#include "cli/migrate.h"
#include "terminal/report.h"

static error_t parse_migrate(int key, char *arg, struct argp_state *state)
{
	struct settings_given *given = state->input;

	if (key != ARGP_KEY_ARG)
		return parse_setting(key, arg, state, given);
	if (state->arg_num > 0 || strncmp(arg, "s3://", 5) != 0)
		return ARGP_ERR_UNKNOWN;
	return parse_setting(OPTION_BLOBS, arg, state, given);
}

static bool bucket_open(void *config, struct blobs **ret, struct error *err)
{
	return server_blobs_open(config, NULL, false, ret, err);
}

static int act_migrate(void *arguments, struct config *config)
{
	(void)arguments;
	const struct migrate_config way = { .data_dir = config->data,
					    .url = config->store,
					    .bucket_url = config->blobs_url,
					    .bucket = bucket_open,
					    .ctx = config };

	if (config->store != NULL)
		return migrate(&way);
	fputs("lowtide: where to? lowtide migrate --from DIR --to postgresql://… [s3://BUCKET/PREFIX]\n",
	      stderr);
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
			.args_doc = "[s3://BUCKET/PREFIX]",
			.doc = "Move the rows of a data directory to PostgreSQL, and for several nodes its "
			       "files to a bucket.\v"
			       "All of meta.db goes over in one transaction: organizations, keys, files, "
			       "batches that run and those that have ended. Without a bucket bytes and "
			       "journals stay in the directory, which is then served with --store URL. With "
			       "one the files go there before, and what has ended of batches in progress, so "
			       "that nodes go on with the rest (--store URL --blobs s3://BUCKET/PREFIX). No "
			       "server may run on the directory meanwhile; a call that was cut off is made "
			       "again. meta.db becomes meta.db.moved. Exit code: 0 done, 1 it could not be "
			       "done, 2 wrong use, a directory without a database, or a schema that has rows.",
		},
		.act = act_migrate,
	};
	struct settings_given given = { 0 };

	return command_do(&way, argc, argv, &given, &given);
}
