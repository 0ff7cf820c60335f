/* command_line.c: argp for every subcommand. Flags that are settings (--listen, --set, ...) are
 * collected as such and go through the one table; the rest becomes the options of src/cli. */
#include "app/command_line.h"

#include <argp.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/serve.h"
#include "base/attr.h"
#include "cli/check.h"
#include "cli/gc.h"
#include "cli/keys.h"
#include "cli/report.h"
#include "cli/run.h"

/* ---- flags that are settings ---- */

enum option_key {
	OPTION_ADOPT = 256, /* above every character: no short form */
	OPTION_ALL,
	OPTION_CANCEL,
	OPTION_CHECK,
	OPTION_DATA,
	OPTION_DELETE,
	OPTION_ENDPOINT,
	OPTION_ERRORS,
	OPTION_FORCE,
	OPTION_INIT,
	OPTION_LIMIT,
	OPTION_LISTEN,
	OPTION_ORG,
	OPTION_PROFILE,
	OPTION_RETRY_FAILED,
	OPTION_SET,
	OPTION_STRICT,
	OPTION_UPSTREAM,
	OPTION_USAGE,
};

/* One row of argp's table: name, key, argument, text. */
#define OPTION(name, key, argument, text)       \
	{                                       \
		name, key, argument, 0, text, 0 \
	}
#define CONFIG_ROW OPTION("config", 'c', "FILE", "read settings from a YAML file")
#define SET_ROW OPTION("set", OPTION_SET, "KEY=VALUE", "set any setting; may be repeated")
#define DATA_ROW OPTION("data", OPTION_DATA, "DIR", "data directory (./lowtide-data)")
#define INIT_ROW                          \
	OPTION("init", OPTION_INIT, NULL, \
	       "with create: a directory that holds no data becomes a data directory")
#define PROFILE_ROW OPTION("profile", OPTION_PROFILE, "kimi|openai", "whose rules hold (kimi)")
#define UPSTREAM_ROW                               \
	OPTION("upstream", OPTION_UPSTREAM, "URL", \
	       "base URL of an OpenAI-compatible server that lines are sent to; may be repeated")

/* argp's own rows, which parse_command() leaves out, know no -h. */
#define HELP_ROWS                                                         \
	OPTION("help", 'h', NULL, "show this and end"),                   \
		{ NULL, '?', NULL, OPTION_HIDDEN, NULL, -1 },             \
		OPTION("usage", OPTION_USAGE, NULL, "show less and end"), \
		OPTION("version", 'V', NULL, "show the version and end")

struct settings_given {
	const char *file;
	struct config_flag *flags;
	size_t count;
};

static struct config_source source_of(const struct settings_given *given)
{
	return (struct config_source){ given->file, given->flags, given->count };
}

static void flag_add(struct settings_given *given, const char *flag, const char *key,
		     const char *value, const struct argp_state *state)
{
	struct config_flag *more = reallocarray(given->flags, given->count + 1, sizeof(*more));

	if (more == NULL) {
		argp_failure(state, EXIT_FAULT, 0, "out of memory");
		return;
	}
	given->flags = more;
	given->flags[given->count++] = (struct config_flag){ flag, key, value };
}

static void set_add(struct settings_given *given, char *assignment, struct argp_state *state)
{
	char *equals = strchr(assignment, '=');

	if (equals == NULL) {
		argp_error(state, "--set wants KEY=VALUE, such as execution.concurrency=64");
		return;
	}
	*equals = '\0';
	flag_add(given, "--set", assignment, equals + 1, state);
}

/* The options that several subcommands share. */
static error_t parse_setting(int key, char *arg, struct argp_state *state,
			     struct settings_given *given)
{
	switch (key) {
	case 'h':
	case '?':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case OPTION_USAGE:
		argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
		return 0;
	case 'V':
		argp_program_version_hook(stdout, state);
		exit(EXIT_GOOD);
	case 'c':
		given->file = arg;
		return 0;
	case OPTION_SET:
		set_add(given, arg, state);
		return 0;
	case OPTION_DATA:
		flag_add(given, "--data", "data", arg, state);
		return 0;
	case OPTION_LISTEN:
		flag_add(given, "--listen", "listen", arg, state);
		return 0;
	case OPTION_PROFILE:
		flag_add(given, "--profile", "profile", arg, state);
		return 0;
	case OPTION_UPSTREAM:
		flag_add(given, "--upstream", "upstreams", arg, state);
		return 0;
	case OPTION_STRICT:
		flag_add(given, "--strict", "validation.strict_lines", "true", state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Ends the process where help was asked for or the words make no sense. */
static void parse_command(const struct argp *argp, int argc, char **argv, void *arguments)
{
	argp_parse(argp, argc, argv, ARGP_NO_HELP, NULL, arguments);
}

static void given_done(struct settings_given *given)
{
	free(given->flags);
	given->flags = NULL;
}

/* On failure it has been reported: the exit code is 2. */
static bool load(const struct settings_given *given, struct config *ret)
{
	struct error err;
	bool good = config_load(given->file, given->flags, given->count, ret, &err);

	if (!good) {
		report(&err);
		return false;
	}
	log_set_level((enum log_level)ret->log_level);
	config_warn_environment(ret);
	return true;
}

/* For commands that send lines: with the upstreams' keys. */
static bool load_with_keys(const struct settings_given *given, struct config *ret)
{
	struct error err;

	if (!load(given, ret))
		return false;
	if (config_read_keys(ret, &err))
		return true;
	config_done(ret);
	report(&err);
	return false;
}

/* Commands that answer on the terminal log only what is wrong, unless asked for more. */
static void log_less(const struct config *c)
{
	if (config_is_default(c, "log.level"))
		log_set_level(LOG_WARN);
}

/* Shown by commands that send lines when nobody said where to. */
static const char no_upstream[] =
	"lowtide: no upstream: nowhere to send lines to.\n"
	"Name the OpenAI-compatible server that does the work, as its clients know it:\n"
	"  %s --upstream http://127.0.0.1:8080/v1\n"
	"or list `upstreams` in a config file (--config); lowtide.example.yaml shows how.\n";

/* ---- serve ---- */

struct serve_arguments {
	struct settings_given settings;
	bool check, adopt;
};

static void serve_arguments_done(struct serve_arguments *a)
{
	given_done(&a->settings);
}

static error_t parse_serve(int key, char *arg, struct argp_state *state)
{
	struct serve_arguments *a = state->input;

	if (key == OPTION_CHECK || key == OPTION_ADOPT) {
		*(key == OPTION_CHECK ? &a->check : &a->adopt) = true;
		return 0;
	}
	return parse_setting(key, arg, state, &a->settings);
}

static int command_serve(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("listen", OPTION_LISTEN, "HOST:PORT",
		       "where to listen (127.0.0.1:8000); port 0 takes any free one"),
		DATA_ROW,
		UPSTREAM_ROW,
		PROFILE_ROW,
		CONFIG_ROW,
		SET_ROW,
		OPTION("check", OPTION_CHECK, NULL, "only check the configuration, and print it"),
		OPTION("adopt", OPTION_ADOPT, NULL,
		       "go on with a database that does not belong to the files in the data "
		       "directory; what it does not know is moved to lost/"),
		HELP_ROWS,
		{ 0 },
	};
	static const struct argp argp = {
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
	};
	AUTO(serve_arguments_done) struct serve_arguments a = { 0 };
	struct config config;
	int code = EXIT_GOOD;

	parse_command(&argp, argc, argv, &a);
	struct config_source source = source_of(&a.settings);
	if (!load_with_keys(&a.settings, &config))
		return EXIT_USAGE;
	if (config.upstream_count == 0) {
		fprintf(stderr, no_upstream, argv[0]);
		code = EXIT_USAGE;
	} else if (a.check) {
		config_print(&config, stdout);
		puts("configuration is valid");
	} else {
		code = serve(&config, &source, a.adopt);
	}
	config_done(&config);
	return code;
}

/* ---- run ---- */

struct run_arguments {
	struct settings_given settings;
	struct run_options run;
};

static void run_arguments_done(struct run_arguments *a)
{
	given_done(&a->settings);
}

static void limit_set(struct run_options *run, const char *text, struct argp_state *state)
{
	char *end;

	run->limit = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || run->limit == 0 ||
	    run->limit > UINT32_MAX)
		argp_error(state, "--limit: '%s' is not a number of lines, such as 10", text);
}

static error_t parse_run(int key, char *arg, struct argp_state *state)
{
	struct run_arguments *a = state->input;

	switch (key) {
	case 'o':
		a->run.output = arg;
		return 0;
	case OPTION_ERRORS:
		a->run.errors = arg;
		return 0;
	case OPTION_ENDPOINT:
		a->run.endpoint = arg;
		return 0;
	case OPTION_FORCE:
		a->run.force = true;
		return 0;
	case OPTION_RETRY_FAILED:
		a->run.retry_failed = true;
		return 0;
	case OPTION_LIMIT:
		limit_set(&a->run, arg, state);
		return 0;
	case ARGP_KEY_ARG:
		if (a->run.input != NULL)
			argp_error(state, "one input file at a time; '%s' is a second", arg);
		a->run.input = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->run.input == NULL)
			argp_error(state, "which file? lowtide run IN.jsonl -o OUT.jsonl");
		if (a->run.output == NULL)
			argp_error(state, "where to? -o OUT.jsonl is missing");
		if (a->run.retry_failed && (a->run.limit > 0 || a->run.force))
			argp_error(state, "--retry-failed goes with neither --limit nor --force");
		return 0;
	default:
		return parse_setting(key, arg, state, &a->settings);
	}
}

/* Who runs a batch at a terminal waits for the end of the command. */
#define RUN_DRAIN_MS 5000

/* The limits on files protect a server from its users; here both are the same person. */
static struct pipeline_config run_pipeline(const struct config *c)
{
	struct pipeline_config pipeline = config_pipeline(c);

	pipeline.rules.lines_max = 0;
	pipeline.rules.inputs_max = 0;
	pipeline.enqueued_requests_max = 0;
	pipeline.enqueued_tokens_max = 0;
	pipeline.result_expires_after_s = 0;
	if (config_is_default(c, "execution.drain"))
		pipeline.drain_ms = RUN_DRAIN_MS;
	return pipeline;
}

static int command_run(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("output", 'o', "FILE",
		       "where the answers go, in the order of the input; -: standard output, once all "
		       "lines have ended"),
		OPTION("errors", OPTION_ERRORS, "FILE",
		       "where lines without an answer go (the output's name with .errors.jsonl)"),
		UPSTREAM_ROW,
		OPTION("endpoint", OPTION_ENDPOINT, "PATH",
		       "such as /v1/embeddings (the url in the file, else /v1/chat/completions)"),
		OPTION("limit", OPTION_LIMIT, "N",
		       "only the file's first N request lines: to try before you pay"),
		OPTION("retry-failed", OPTION_RETRY_FAILED, NULL,
		       "run again what has no answer in the output of an earlier run; its answers are "
		       "kept"),
		OPTION("force", OPTION_FORCE, NULL, "overwrite the output of a run that is done"),
		PROFILE_ROW,
		CONFIG_ROW,
		SET_ROW,
		HELP_ROWS,
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_run,
		.args_doc = "IN.jsonl -o OUT.jsonl",
		.doc = "Run one batch without a server.\v"
		       "Killed or stopped, it goes on where it was when called again: until it "
		       "is done its work is kept in OUT.jsonl.lowtide beside the output; for an "
		       "output that is no file (-, a pipe, /dev/null) in IN.jsonl.lowtide beside the "
		       "input. The API key of upstreams given by --upstream or LOWTIDE_UPSTREAMS is "
		       "taken from LOWTIDE_UPSTREAM_API_KEY, if it is set. Exit code: 0 every line "
		       "completed, 1 some failed or it could not go on, 2 wrong use or an input that "
		       "cannot be run, 128 + N ended by signal N.",
	};
	AUTO(run_arguments_done) struct run_arguments a = { 0 };
	struct config config;
	int code = EXIT_USAGE;

	parse_command(&argp, argc, argv, &a);
	if (!load_with_keys(&a.settings, &config))
		return EXIT_USAGE;
	if (config.upstream_count == 0) {
		fprintf(stderr, no_upstream, "lowtide run IN.jsonl -o OUT.jsonl");
	} else {
		log_less(&config);
		a.run.pipeline = run_pipeline(&config);
		code = run_batch(&a.run);
	}
	config_done(&config);
	return code;
}

/* ---- check ---- */

struct check_arguments {
	struct settings_given settings;
	struct check_options check;
	const char *endpoint;
	char **paths;
};

static void check_arguments_done(struct check_arguments *a)
{
	given_done(&a->settings);
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

static int command_check(int argc, char **argv)
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
	static const struct argp argp = {
		.options = options,
		.parser = parse_check,
		.args_doc = "FILE...",
		.doc = "Check input files as a server with these settings would. FILE -: standard "
		       "input.\v"
		       "Each finding is printed as file:line: code: message (line 0: the file as a "
		       "whole), the first ten of each code, then how many there are. What a server "
		       "alone can know, which models its upstreams have, is not checked. Exit code: 0 "
		       "nothing found, 1 findings, 2 wrong use or a file that cannot be read.",
	};
	AUTO(check_arguments_done) struct check_arguments a = { 0 };
	struct config config;

	parse_command(&argp, argc, argv, &a);
	if (!load(&a.settings, &config))
		return EXIT_USAGE;
	a.check.paths = a.paths;
	a.check.limits = config_limits(&config);
	a.check.rules = config_rules(&config);
	a.check.rules.endpoint = a.endpoint;
	a.check.rules.judges_endpoint = true;
	log_less(&config);
	int code = check_files(&a.check);
	config_done(&config);
	return code;
}

/* ---- key, org ---- */

struct key_arguments {
	struct settings_given settings;
	const char *action, *subject, *amount; /* the words after the command */
	const char *org;
	bool init;
	bool cancel;
};

static void key_arguments_done(struct key_arguments *a)
{
	given_done(&a->settings);
}

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

static int key_action(const struct key_arguments *a, const char *data)
{
	static const char create[] = "lowtide key create --org NAME [--data DIR] [--init]";
	static const char list[] = "lowtide key list [--org NAME] [--data DIR]";
	static const char revoke[] = "lowtide key revoke [KEY] [--data DIR]";

	if (is(a->action, "create"))
		return a->org != NULL && a->subject == NULL ? key_create(data, a->init, a->org)
							    : usage("lowtide key", create);
	if (is(a->action, "list"))
		return a->subject == NULL ? key_list(data, a->org) : usage("lowtide key", list);
	if (is(a->action, "revoke"))
		return a->org == NULL ? key_revoke(data, a->subject) : usage("lowtide key", revoke);
	return usage("lowtide key", "lowtide key create|list|revoke");
}

static int org_action(const struct key_arguments *a, const char *data)
{
	if (a->cancel && !is(a->action, "suspend"))
		return usage("lowtide org", "lowtide org suspend NAME [--cancel] [--data DIR]");
	if (is(a->action, "suspend"))
		return a->subject != NULL
			       ? org_suspend(data, a->subject, a->cancel)
			       : usage("lowtide org",
				       "lowtide org suspend NAME [--cancel] [--data DIR]");
	if (is(a->action, "limit"))
		return a->subject != NULL
			       ? org_limit(data, a->subject, a->amount)
			       : usage("lowtide org",
				       "lowtide org limit NAME [KEY=VALUE] [--data DIR]");
	if (is(a->action, "resume"))
		return a->subject != NULL
			       ? org_resume(data, a->subject)
			       : usage("lowtide org", "lowtide org resume NAME [--data DIR]");
	if (is(a->action, "create"))
		return a->subject != NULL ? org_create(data, a->init, a->subject)
					  : usage("lowtide org",
						  "lowtide org create NAME [--data DIR] [--init]");
	if (is(a->action, "list"))
		return a->subject == NULL ? org_list(data)
					  : usage("lowtide org", "lowtide org list [--data DIR]");
	if (is(a->action, "weight"))
		return a->amount != NULL
			       ? org_weight(data, a->subject, a->amount)
			       : usage("lowtide org", "lowtide org weight NAME N [--data DIR]");
	return usage("lowtide org", "lowtide org create|list|weight|limit|suspend|resume");
}

static int run_key_command(const struct argp *argp, int argc, char **argv,
			   int (*action)(const struct key_arguments *a, const char *data))
{
	AUTO(key_arguments_done) struct key_arguments a = { 0 };
	struct config config;

	parse_command(argp, argc, argv, &a);
	if (!load(&a.settings, &config))
		return EXIT_USAGE;
	log_less(&config);
	int code = action(&a, config.data);
	config_done(&config);
	return code;
}

static int command_key(int argc, char **argv)
{
	static const struct argp_option options[] = {
		DATA_ROW,
		OPTION("org", OPTION_ORG, "NAME", "the organization that the key belongs to"),
		INIT_ROW,
		CONFIG_ROW,
		HELP_ROWS,
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_key,
		.args_doc = "create --org NAME\nlist [--org NAME]\nrevoke [KEY]",
		.doc = "API keys: make one, list them, revoke one. Also while the server runs.\v"
		       "'create' makes the organization if there is none and prints the key and "
		       "nothing else; it is not kept and cannot be shown again. KEY is an id as "
		       "'list' shows it, the key, or its first characters; without it, or with -, it "
		       "is read from standard input. Exit code: 0 done, 1 it could not be done, such "
		       "as with a name that is not there, 2 wrong use.",
	};

	return run_key_command(&argp, argc, argv, key_action);
}

static int command_org(int argc, char **argv)
{
	static const struct argp_option options[] = {
		DATA_ROW,
		INIT_ROW,
		CONFIG_ROW,
		OPTION("cancel", OPTION_CANCEL, NULL, "with suspend: cancel its batches as well"),
		HELP_ROWS,
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_key,
		.args_doc =
			"create NAME\nlist\nweight NAME N\nlimit NAME [KEY=VALUE]\nsuspend NAME [--cancel]\nresume NAME",
		.doc = "Organizations: files and batches belong to one, and do not exist for others.\v"
		       "'weight' sets an organization's share of the work while others have some, "
		       "too: one of weight 3 gets three times what one of 1 gets, which all have "
		       "at first. 1 to 1000; it counts from the organization's next batch on, also "
		       "while the server runs. 'limit' gives it limits of its own: KEY is files, bytes, "
		       "uploads, open_batches or online; a VALUE of 0 is no limit, 'default' the "
		       "configured one; without KEY it prints them. 'suspend' refuses an organization's keys and sends "
		       "no new lines of its batches, until 'resume'; a server that runs follows "
		       "within a second or two. Windows do not stop meanwhile. Exit code: 0 done, 1 it "
		       "could not be done, such as with a name that is not there, 2 wrong use.",
	};

	return run_key_command(&argp, argc, argv, org_action);
}

/* ---- gc ---- */

struct gc_arguments {
	struct settings_given settings;
	bool remove;
};

static void gc_arguments_done(struct gc_arguments *a)
{
	given_done(&a->settings);
}

static error_t parse_gc(int key, char *arg, struct argp_state *state)
{
	struct gc_arguments *a = state->input;

	if (key == OPTION_DELETE) {
		a->remove = true;
		return 0;
	}
	return parse_setting(key, arg, state, &a->settings);
}

static int command_gc(int argc, char **argv)
{
	static const struct argp_option options[] = {
		DATA_ROW,   OPTION("delete", OPTION_DELETE, NULL, "remove them now"),
		CONFIG_ROW, SET_ROW,
		HELP_ROWS,  { 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_gc,
		.doc = "Show, or remove, what is in the data directory's lost/.\v"
		       "What a server finds at its start in files/ and batches/ and its database "
		       "does not know is moved there, and removed after retention.lost. To put a "
		       "file back: .jsonl and .index belong into files/, .journal into batches/. "
		       "Also while the server runs. Exit code: 0 done, 1 it could not be done, 2 wrong "
		       "use.",
	};
	AUTO(gc_arguments_done) struct gc_arguments a = { 0 };
	struct config config;

	parse_command(&argp, argc, argv, &a);
	if (!load(&a.settings, &config))
		return EXIT_USAGE;
	log_less(&config);
	int code = gc(config.data, config.lost_s, a.remove);
	config_done(&config);
	return code;
}

const struct command commands[] = {
	{ "serve", "", "run the server", command_serve },
	{ "run", "IN.jsonl -o OUT.jsonl", "run one batch without a server", command_run },
	{ "check", "FILE...", "check input files", command_check },
	{ "key", "create|list|revoke", "API keys", command_key },
	{ "org", "create|list|weight|limit|suspend|resume", "organizations", command_org },
	{ "gc", "[--delete]", "what the database does not know", command_gc },
	{ NULL, NULL, NULL, NULL },
};
