/* command_settings.h: what the subcommands share: the flags that are settings (--listen, --set,
 * ...), and the way from words to a configuration and to the command's own function. Private to
 * app/. One thread. */
#pragma once

#include <argp.h>

#include "app/config.h"
#include "app/serve.h"

enum option_key {
	OPTION_ADOPT = 256, /* above every character: no short form */
	OPTION_ALL,
	OPTION_API_KEY,
	OPTION_CANARY,
	OPTION_CA_FILE,
	OPTION_CANCEL,
	OPTION_CHECK,
	OPTION_COLUMN,
	OPTION_BLOBS,
	OPTION_DATA,
	OPTION_DELETE,
	OPTION_DELIMITER,
	OPTION_ENCODING,
	OPTION_ENDPOINT,
	OPTION_ERRORS,
	OPTION_FOLLOW,
	OPTION_FORCE,
	OPTION_FORMAT,
	OPTION_FROM,
	OPTION_HOURS,
	OPTION_ID,
	OPTION_INIT,
	OPTION_INVALID_UTF8,
	OPTION_KEEP,
	OPTION_LIMIT,
	OPTION_LISTEN,
	OPTION_MERGE,
	OPTION_METADATA,
	OPTION_MODEL,
	OPTION_ONCE,
	OPTION_OPERATOR,
	OPTION_ORG,
	OPTION_OUTPUT,
	OPTION_PARAM,
	OPTION_PROFILE,
	OPTION_PROMPT,
	OPTION_READY,
	OPTION_RETRY_FAILED,
	OPTION_ROLE,
	OPTION_SET,
	OPTION_SINCE,
	OPTION_SKIP_BAD_LINES,
	OPTION_STATUS,
	OPTION_STATUS_FD,
	OPTION_STOP_AT_EOF,
	OPTION_STORE,
	OPTION_STRICT,
	OPTION_SYSTEM,
	OPTION_TIMEOUT,
	OPTION_TO,
	OPTION_TOKEN_BUDGET,
	OPTION_UPSTREAM,
	OPTION_URL,
	OPTION_USAGE,
	OPTION_WAIT,
	OPTION_WINDOW,
};

/* One row of argp's table: name, key, argument, text. */
#define OPTION(name, key, argument, text)       \
	{                                       \
		name, key, argument, 0, text, 0 \
	}
#define STOP_AT_EOF_ROW                                 \
	OPTION("stop-at-eof", OPTION_STOP_AT_EOF, NULL, \
	       "stop as by SIGTERM when standard input ends: with the program that started this")
#define CONFIG_ROW OPTION("config", 'c', "FILE", "read settings from a YAML file")
#define SET_ROW OPTION("set", OPTION_SET, "KEY=VALUE", "set any setting; may be repeated")
#define DATA_ROW OPTION("data", OPTION_DATA, "DIR", "data directory (./lowtide-data)")
#define STORE_ROW \
	OPTION("store", OPTION_STORE, "URL", "PostgreSQL database of its rows (DIR/meta.db)")
#define INIT_ROW                          \
	OPTION("init", OPTION_INIT, NULL, \
	       "with create: a directory that holds no data becomes a data directory")
#define PROFILE_ROW OPTION("profile", OPTION_PROFILE, "kimi|openai", "whose rules hold (kimi)")
#define UPSTREAM_ROW                               \
	OPTION("upstream", OPTION_UPSTREAM, "URL", \
	       "base URL of an OpenAI-compatible server that lines are sent to; may be repeated")

/* argp's own rows, which command_do() leaves out, know no -h. */
#define HELP_ROWS                                                         \
	OPTION("help", 'h', NULL, "show this and end"),                   \
		{ NULL, '?', NULL, OPTION_HIDDEN, NULL, -1 },             \
		OPTION("usage", OPTION_USAGE, NULL, "show less and end"), \
		OPTION("version", 'V', NULL, "show the version and end")

/* The settings given by flags, and the file that others are read from. Its texts are argv's. */
struct settings_given {
	const char *file;
	struct config_flag *flags;
	size_t count;
};

struct config_source source_of(const struct settings_given *given);
/* A parser's last case: the rows of HELP_ROWS. */
error_t parse_help(int key, struct argp_state *state);
/* The same, with the options that several subcommands share. */
error_t parse_setting(int key, char *arg, struct argp_state *state, struct settings_given *given);

/* One more of an array of texts. */
void list_add(char ***list, size_t *count, char *text, struct argp_state *state);
/* Digits alone, that fit. */
bool whole_read(const char *text, uint64_t *ret);
/* A whole number within these, for the option of that name. */
void whole_set(uint64_t *to, const char *option, const char *text, uint64_t least, uint64_t most,
	       struct argp_state *state);

/* A subcommand. Its arguments are what argp's parser fills. */
struct command_way {
	struct argp argp;
	int (*act)(void *arguments, struct config *config); /* returns the exit code */
	bool sends; /* sends lines: the keys of upstreams are read, and there must be one */
	bool logs;  /* else what answers on the terminal logs only what is wrong, unless asked */
	const char *example; /* of a call, where there is no upstream; NULL: argv[0] */
};

/* Parses, loads the configuration, acts. Where help was asked for or the words make no sense argp
 * ends the process. `given`, which is in the arguments, is freed. Returns the exit code. */
int command_do(const struct command_way *way, int argc, char **argv, void *arguments,
	       struct settings_given *given);
