/* command_login.c: `lowtide login` and `lowtide logout`. */
#include "app/command_line.h"

#include "app/command_client.h"
#include "terminal/login.h"

struct login_arguments {
	struct asked asked;
	const char *url;
};

static error_t parse_login(int key, char *arg, struct argp_state *state)
{
	struct login_arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (a->url != NULL)
			argp_error(state, "'%s' is one word too many; the key is asked for", arg);
		a->url = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->url == NULL)
			argp_error(state, "which server? lowtide login http://HOST:8000");
		return 0;
	default:
		return parse_client(key, arg, state, &a->asked);
	}
}

static error_t parse_logout(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG) {
		argp_error(state, "'%s' is one word too many", arg);
		return 0;
	}
	return parse_help(key, state);
}

static int act_login(void *arguments)
{
	const struct login_arguments *a = arguments;

	return login_keep(&a->asked, a->url);
}

static int act_logout(void *arguments)
{
	(void)arguments;
	return login_forget();
}

int command_login(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("ca-file", OPTION_CA_FILE, "FILE",
		       "certificates that the server's may be signed with; kept, too"),
		HELP_ROWS,
		{ 0 },
	};
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_login,
			.args_doc = "URL",
			.doc = "Keep a server and its API key for the commands that ask one.\v"
			       "The key is asked for without echo, or read from standard input where that is no "
			       "terminal, and tried. Both are kept in $XDG_CONFIG_HOME/lowtide, else "
			       "~/.config/lowtide, in a file that only you may read. LOWTIDE_URL and "
			       "LOWTIDE_API_KEY come before it. Exit code: 0 kept, 1 the server does not answer "
			       "or does not take the key, 2 wrong use.",
		},
		.act = act_login,
	};
	struct login_arguments a = { 0 };

	return client_do(&way, argc, argv, &a);
}

int command_logout(int argc, char **argv)
{
	static const struct argp_option options[] = { HELP_ROWS, { 0 } };
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_logout,
			.doc = "Forget the server and the key that 'lowtide login' has kept.\v"
			       "Exit code: 0 they are gone, 1 they could not be removed, 2 wrong use.",
		},
		.act = act_logout,
	};

	return client_do(&way, argc, argv, NULL);
}
