/* command_key.c: `lowtide key` and `lowtide org`: an action, and what it is done to. */
#include "app/command_line.h"

#include <stdio.h>
#include <string.h>

#include "app/command_settings.h"
#include "cli/keys.h"
#include "terminal/report.h"

struct key_arguments {
	struct settings_given settings;
	const char *action, *subject, *amount; /* the words after the command */
	const char *org;
	bool init;
	bool cancel;
	bool is_operator;
};

static bool is(const char *action, const char *name)
{
	return action != NULL && strcmp(action, name) == 0;
}

/* Where the next word goes; NULL: it is one too many. */
static const char **word_place(struct key_arguments *a)
{
	if (a->action == NULL)
		return &a->action;
	if (a->subject == NULL)
		return &a->subject;
	return a->amount == NULL && (is(a->action, "weight") || is(a->action, "limit")) ? &a->amount
											: NULL;
}

static error_t parse_key(int key, char *arg, struct argp_state *state)
{
	struct key_arguments *a = state->input;
	const char **place;

	switch (key) {
	case OPTION_ORG:
		a->org = arg;
		return 0;
	case OPTION_INIT:
		a->init = true;
		return 0;
	case OPTION_CANCEL:
		a->cancel = true;
		return 0;
	case OPTION_OPERATOR:
		a->is_operator = true;
		return 0;
	case ARGP_KEY_ARG:
		place = word_place(a);
		if (place == NULL)
			argp_error(state, "'%s' is one word too many", arg);
		else
			*place = arg;
		return 0;
	default:
		return parse_setting(key, arg, state, &a->settings);
	}
}

/* Says how the command is used: as argp_error does, after the parsing. */
static int usage(const char *command, const char *uses)
{
	fprintf(stderr, "Usage: %s\nTry '%s --help' for more.\n", uses, command);
	return EXIT_USAGE;
}

static int key_action(const struct key_arguments *a, const struct store_place *at)
{
	static const char create[] =
		"lowtide key create --org NAME|--operator [--data DIR] [--init]";
	static const char list[] = "lowtide key list [--org NAME] [--data DIR]";
	static const char revoke[] = "lowtide key revoke [KEY] [--data DIR]";

	if (is(a->action, "create"))
		return (a->org != NULL || a->is_operator) && a->subject == NULL
			       ? key_create(at, a->init, a->org, a->is_operator)
			       : usage("lowtide key", create);
	if (a->is_operator)
		return usage("lowtide key", create);
	if (is(a->action, "list"))
		return a->subject == NULL ? key_list(at, a->org) : usage("lowtide key", list);
	if (is(a->action, "revoke"))
		return a->org == NULL ? key_revoke(at, a->subject) : usage("lowtide key", revoke);
	return usage("lowtide key", "lowtide key create|list|revoke");
}

static int org_action(const struct key_arguments *a, const struct store_place *at)
{
	if (a->cancel && !is(a->action, "suspend"))
		return usage("lowtide org", "lowtide org suspend NAME [--cancel] [--data DIR]");
	if (is(a->action, "suspend"))
		return a->subject != NULL
			       ? org_suspend(at, a->subject, a->cancel)
			       : usage("lowtide org",
				       "lowtide org suspend NAME [--cancel] [--data DIR]");
	if (is(a->action, "limit"))
		return a->subject != NULL
			       ? org_limit(at, a->subject, a->amount)
			       : usage("lowtide org",
				       "lowtide org limit NAME [KEY=VALUE] [--data DIR]");
	if (is(a->action, "resume"))
		return a->subject != NULL
			       ? org_resume(at, a->subject)
			       : usage("lowtide org", "lowtide org resume NAME [--data DIR]");
	if (is(a->action, "create"))
		return a->subject != NULL ? org_create(at, a->init, a->subject)
					  : usage("lowtide org",
						  "lowtide org create NAME [--data DIR] [--init]");
	if (is(a->action, "list"))
		return a->subject == NULL ? org_list(at)
					  : usage("lowtide org", "lowtide org list [--data DIR]");
	if (is(a->action, "weight"))
		return a->amount != NULL
			       ? org_weight(at, a->subject, a->amount)
			       : usage("lowtide org", "lowtide org weight NAME N [--data DIR]");
	return usage("lowtide org", "lowtide org create|list|weight|limit|suspend|resume");
}

static int act_key(void *arguments, struct config *config)
{
	return key_action(arguments, &(struct store_place){ config->data, config->store });
}

static int act_org(void *arguments, struct config *config)
{
	return org_action(arguments, &(struct store_place){ config->data, config->store });
}

int command_key(int argc, char **argv)
{
	static const struct argp_option options[] = {
		DATA_ROW,
		STORE_ROW,
		OPTION("org", OPTION_ORG, "NAME", "the organization that the key belongs to"),
		OPTION("operator", OPTION_OPERATOR, NULL,
		       "with create: a key for /v1/lowtide/orgs and keys, and for the batches of every "
		       "organization; it reads no files and sends no requests"),
		INIT_ROW,
		CONFIG_ROW,
		HELP_ROWS,
		{ 0 },
	};
	static const struct command_way way = {
		.argp = {
			.options = options,
			.parser = parse_key,
			.args_doc = "create --org NAME\ncreate --operator\nlist [--org NAME]\nrevoke [KEY]",
			.doc = "API keys: make one, list them, revoke one. Also while the server runs.\v"
			       "'create' makes the organization if there is none and prints the key and "
			       "nothing else; it is not kept and cannot be shown again. KEY is an id as "
			       "'list' shows it, the key, or its first characters; without it, or with -, it "
			       "is read from standard input. Exit code: 0 done, 1 it could not be done, such "
			       "as with a name that is not there, 2 wrong use.",
		},
		.act = act_key,
	};
	struct key_arguments a = { 0 };

	return command_do(&way, argc, argv, &a, &a.settings);
}

int command_org(int argc, char **argv)
{
	static const struct argp_option options[] = {
		DATA_ROW,
		STORE_ROW,
		INIT_ROW,
		CONFIG_ROW,
		OPTION("cancel", OPTION_CANCEL, NULL, "with suspend: cancel its batches as well"),
		HELP_ROWS,
		{ 0 },
	};
	static const struct command_way way = {
		.argp = {
			.options = options,
			.parser = parse_key,
			.args_doc =
				"create NAME\nlist\nweight NAME N\nlimit NAME [KEY=VALUE]\nsuspend NAME [--cancel]\nresume NAME",
			.doc = "Organizations: files and batches belong to one, and do not exist for others.\v"
			       "'weight' sets an organization's share of the work while others have some, "
			       "too: one of weight 3 gets three times what one of 1 gets, which all have "
			       "at first. 1 to 1000; it counts from the organization's next batch on, also "
			       "while the server runs. 'limit' gives it limits of its own: KEY is files, bytes, "
			       "uploads, open_batches, online, enqueued_requests, enqueued_tokens, "
			       "calls_per_minute or tokens_per_day; a VALUE of 0 is no limit, 'default' the "
			       "configured one; without KEY it prints them. 'suspend' refuses an organization's keys and sends "
			       "no new lines of its batches, until 'resume'; a server that runs follows "
			       "at once. Windows do not stop meanwhile. Exit code: 0 done, 1 it "
			       "could not be done, such as with a name that is not there, 2 wrong use.",
		},
		.act = act_org,
	};
	struct key_arguments a = { 0 };

	return command_do(&way, argc, argv, &a, &a.settings);
}
