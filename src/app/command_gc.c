/* command_gc.c: `lowtide gc`. */
#include "app/command_line.h"

#include "app/blobs.h"
#include "app/command_settings.h"
#include "cli/gc.h"

struct gc_arguments {
	struct settings_given settings;
	bool remove;
};

static error_t parse_gc(int key, char *arg, struct argp_state *state)
{
	struct gc_arguments *a = state->input;

	if (key == OPTION_DELETE) {
		a->remove = true;
		return 0;
	}
	return parse_setting(key, arg, state, &a->settings);
}

static int act_gc(void *arguments, struct config *config)
{
	const struct gc_arguments *a = arguments;

	server_blobs_unused(config,
			    "`gc` looks into the data directory; what the bucket has in lost/ "
			    "is removed after retention.lost");
	return gc(config->data, config->lost_s, a->remove);
}

int command_gc(int argc, char **argv)
{
	static const struct argp_option options[] = {
		DATA_ROW,   OPTION("delete", OPTION_DELETE, NULL, "remove them now"),
		CONFIG_ROW, SET_ROW,
		HELP_ROWS,  { 0 },
	};
	static const struct command_way way = {
		.argp = {
			.options = options,
			.parser = parse_gc,
			.doc = "Show, or remove, what is in the data directory's lost/.\v"
			       "What a server finds at its start in files/ and batches/ and its database "
			       "does not know is moved there, and removed after retention.lost. To put a "
			       "file back: .jsonl and .index belong into files/, .journal and .order into "
			       "batches/. What is lost in a bucket (blobs.url) is not shown. Also beside "
			       "a server that runs. Exit code: 0 done, 1 it could not be done, 2 wrong "
			       "use.",
		},
		.act = act_gc,
	};
	struct gc_arguments a = { 0 };

	return command_do(&way, argc, argv, &a, &a.settings);
}
