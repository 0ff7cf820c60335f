/* command_line.c: the subcommands. */
#include "app/command_line.h"

#include <stddef.h>

const struct command commands[] = {
	{ "serve", "", "run the server", command_serve },
	{ "run", "IN.jsonl -o OUT.jsonl", "run one batch without a server", command_run },
	{ "prepare", "DOCS... --prompt TEXT", "make requests from documents", command_prepare },
	{ "join", "OUT.jsonl DOCS...", "put answers beside the documents", command_join },
	{ "check", "FILE...", "check input files", command_check },
	{ "key", "create|list|revoke", "API keys", command_key },
	{ "org", "create|list|weight|limit|suspend|resume", "organizations", command_org },
	{ "health", "[--ready]", "is the server alive?", command_health },
	{ "gc", "[--delete]", "what the database does not know", command_gc },
	{ "migrate", "--from DIR --to URL", "move rows to PostgreSQL", command_migrate },
	{ "login", "URL", "keep a server and its API key", command_login, .asks = true },
	{ "logout", "", "forget them", command_logout, .asks = true },
	{ "submit", "FILE|-", "make a batch of a file", command_submit, .asks = true },
	{ "list", "[--status S] [--since TIME]", "batches of a server", command_list,
	  .asks = true },
	{ "show", "ID", "one batch", command_show, .asks = true },
	{ "watch", "[ID...]", "batches as they run", command_watch, .asks = true },
	{ "wait", "ID...", "until batches have ended", command_wait, .asks = true },
	{ "results", "ID", "the answers of a batch", command_results, .asks = true },
	{ "estimate", "FILE", "what a batch of a file would take", command_estimate, .asks = true },
	{ "cancel", "ID", "end a batch", command_cancel, .asks = true },
	{ "hold", "ID", "send no more lines of a batch", command_hold, .asks = true },
	{ "resume", "ID", "go on with a batch that is held", command_resume, .asks = true },
	{ "retry", "ID", "run what a batch has no answers to", command_retry, .asks = true },
	{ "files", "list|upload|show|content|delete", "files of a server", command_files,
	  .asks = true },
	{ "top", "", "what a server does", command_top, .asks = true },
	{ NULL, NULL, NULL, NULL },
};
