/* command_settings.c: flags that are settings are collected as such and go through the one
 * table. */
#include "app/command_settings.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/log.h"
#include "terminal/report.h"

struct config_source source_of(const struct settings_given *given)
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

void list_add(char ***list, size_t *count, char *text, struct argp_state *state)
{
	char **more = reallocarray(*list, *count + 1, sizeof(*more));

	if (more == NULL) {
		argp_failure(state, EXIT_FAULT, 0, "out of memory");
		return;
	}
	more[(*count)++] = text;
	*list = more;
}

bool whole_read(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return isdigit((unsigned char)text[0]) && *end == '\0' && errno == 0;
}

void whole_set(uint64_t *to, const char *option, const char *text, uint64_t least, uint64_t most,
	       struct argp_state *state)
{
	if (!whole_read(text, to) || *to < least || *to > most)
		argp_error(state, "%s: '%s' is not a whole number from %" PRIu64 " to %" PRIu64,
			   option, text, least, most);
}

error_t parse_help(int key, struct argp_state *state)
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
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

error_t parse_setting(int key, char *arg, struct argp_state *state, struct settings_given *given)
{
	switch (key) {
	case 'c':
		given->file = arg;
		return 0;
	case OPTION_SET:
		set_add(given, arg, state);
		return 0;
	case OPTION_DATA:
		flag_add(given, "--data", "data", arg, state);
		return 0;
	case OPTION_FROM:
		flag_add(given, "--from", "data", arg, state);
		return 0;
	case OPTION_TO:
		flag_add(given, "--to", "store", arg, state);
		return 0;
	case OPTION_STORE:
		flag_add(given, "--store", "store", arg, state);
		return 0;
	case OPTION_BLOBS:
		flag_add(given, "--blobs", "blobs.url", arg, state);
		return 0;
	case OPTION_ROLE:
		flag_add(given, "--role", "role", arg, state);
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
		return parse_help(key, state);
	}
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
	log_set_format((enum log_format)ret->log_format);
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

/* Shown by commands that send lines when no upstream is given. */
static const char no_upstream[] =
	"lowtide: no upstream: nowhere to send lines to.\n"
	"Name the OpenAI-compatible server that does the work, as its clients know it:\n"
	"  %s --upstream http://127.0.0.1:8080/v1\n"
	"or list `upstreams` in a config file (--config); lowtide.example.yaml shows how.\n";

static bool load_for(const struct command_way *way, const struct settings_given *given,
		     struct config *ret)
{
	return way->sends ? load_with_keys(given, ret) : load(given, ret);
}

int command_do(const struct command_way *way, int argc, char **argv, void *arguments,
	       struct settings_given *given)
{
	struct config config;
	int code = EXIT_USAGE;

	argp_parse(&way->argp, argc, argv, ARGP_NO_HELP, NULL, arguments);
	if (!load_for(way, given, &config)) {
		given_done(given);
		return EXIT_USAGE;
	}
	if (way->sends && config.upstream_count == 0) {
		fprintf(stderr, no_upstream, way->example != NULL ? way->example : argv[0]);
	} else {
		if (!way->logs)
			log_less(&config);
		code = way->act(arguments, &config);
	}
	config_done(&config);
	given_done(given);
	return code;
}
