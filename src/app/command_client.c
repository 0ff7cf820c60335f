/* command_client.c: see command_client.h. */
#include "app/command_client.h"

#include "base/duration.h"
#include "base/log.h"

#define SECONDS_MAX (100u * 365 * 86400)

error_t parse_client(int key, char *arg, struct argp_state *state, struct asked *given)
{
	switch (key) {
	case OPTION_URL:
		given->url = arg;
		return 0;
	case OPTION_API_KEY:
		given->key = arg;
		return 0;
	case OPTION_CA_FILE:
		given->ca_file = arg;
		return 0;
	case OPTION_ORG:
		given->org = arg;
		return 0;
	case OPTION_OUTPUT:
		if (!output_form_read(arg, &given->form))
			argp_error(state, "--output: '%s' is none of table, json and plain", arg);
		return 0;
	default:
		return parse_help(key, state);
	}
}

int client_do(const struct client_way *way, int argc, char **argv, void *arguments)
{
	argp_parse(&way->argp, argc, argv, ARGP_NO_HELP, NULL, arguments);
	log_set_level(LOG_WARN);
	return way->act(arguments);
}

void one_set(const char **to, const char *what, const char *word, struct argp_state *state)
{
	if (*to != NULL)
		argp_error(state, "one %s at a time; '%s' is a second", what, word);
	*to = word;
}

void seconds_set(uint64_t *to, const char *option, const char *text, struct argp_state *state)
{
	if ((!duration_parse(slice_of(text), to) && !whole_read(text, to)) || *to == 0 ||
	    *to > SECONDS_MAX)
		argp_error(state, "%s: '%s' is no time, such as 90s or 2h", option, text);
}
