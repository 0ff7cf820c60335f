/* command_line.c: the subcommands. */
#include "app/command_line.h"

#include <stddef.h>

const struct command commands[] = {
	{ "serve", "", "run the server", command_serve },
	{ "run", "IN.jsonl -o OUT.jsonl", "run one batch without a server", command_run },
	{ "check", "FILE...", "check input files", command_check },
	{ "key", "create|list|revoke", "API keys", command_key },
	{ "org", "create|list|weight|limit|suspend|resume", "organizations", command_org },
	{ "gc", "[--delete]", "what the database does not know", command_gc },
	{ NULL, NULL, NULL, NULL },
};
