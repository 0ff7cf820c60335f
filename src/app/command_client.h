/* command_client.h: what the subcommands share that ask a server: where the server is, the key, the
 * form of what they answer. They read no settings. Private to app/. One thread. */
#pragma once

#include "app/command_settings.h"
#include "terminal/asked.h"

#define URL_ROWS                                                                                 \
	OPTION("url", OPTION_URL, "URL",                                                         \
	       "the server (LOWTIDE_URL, what 'lowtide login' has kept, or "                     \
	       "http://127.0.0.1:8000/v1)"),                                                     \
		OPTION("api-key", OPTION_API_KEY, "KEY",                                         \
		       "the API key (LOWTIDE_API_KEY, or what 'lowtide login' has kept); lists " \
		       "of processes show it"),                                                  \
		OPTION("ca-file", OPTION_CA_FILE, "FILE",                                        \
		       "certificates that the server's may be signed with (LOWTIDE_CA_FILE)")
#define ORG_ROW OPTION("org", OPTION_ORG, "NAME", "with an operator's key: the organization")
#define OUTPUT_ROW                                          \
	OPTION("output", OPTION_OUTPUT, "table|json|plain", \
	       "for people (table), as the API answered, or tab-separated for scripts")

/* A parser's last case: the rows above, and those of HELP_ROWS. */
error_t parse_client(int key, char *arg, struct argp_state *state, struct asked *given);

struct client_way {
	struct argp argp;
	int (*act)(void *arguments); /* returns the exit code */
};

/* Parses and acts. Where help was asked for or the words make no sense argp ends the process.
 * Returns the exit code. */
int client_do(const struct client_way *way, int argc, char **argv, void *arguments);

/* The one word that a command takes: `what` it names, in the message about a second. */
void one_set(const char **to, const char *what, const char *word, struct argp_state *state);
/* "90s", "2h", or a number of seconds, for the option of that name. */
void seconds_set(uint64_t *to, const char *option, const char *text, struct argp_state *state);
