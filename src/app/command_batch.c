/* command_batch.c: the commands on one batch: `lowtide show`, `cancel`, `hold`, `resume`, `retry`. */
#include "app/command_line.h"

#include "app/command_client.h"
#include "terminal/batch_calls.h"

struct batch_arguments {
	struct asked asked;
	const char *id;
};

static error_t parse_batch(int key, char *arg, struct argp_state *state)
{
	struct batch_arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		one_set(&a->id, "batch", arg, state);
		return 0;
	case ARGP_KEY_END:
		if (a->id == NULL)
			argp_error(state, "which batch? `lowtide list` shows their ids");
		return 0;
	default:
		return parse_client(key, arg, state, &a->asked);
	}
}

static const struct argp_option options[] = { OUTPUT_ROW, ORG_ROW, URL_ROWS, HELP_ROWS, { 0 } };
/* An operator has no files to make a batch of. */
static const struct argp_option own_options[] = { OUTPUT_ROW, URL_ROWS, HELP_ROWS, { 0 } };

#define EXIT_CODES "Exit code: 0 done, 1 it could not be done, 2 wrong use."

static int act_show(void *arguments)
{
	const struct batch_arguments *a = arguments;

	return ask_show(&a->asked, a->id);
}

static int act_cancel(void *arguments)
{
	const struct batch_arguments *a = arguments;

	return ask_act(&a->asked, a->id, "cancel");
}

static int act_hold(void *arguments)
{
	const struct batch_arguments *a = arguments;

	return ask_act(&a->asked, a->id, "hold");
}

static int act_resume(void *arguments)
{
	const struct batch_arguments *a = arguments;

	return ask_act(&a->asked, a->id, "resume");
}

static int act_retry(void *arguments)
{
	const struct batch_arguments *a = arguments;

	return ask_retry(&a->asked, a->id);
}

static int batch_do(const struct client_way *way, int argc, char **argv)
{
	struct batch_arguments a = { 0 };

	return client_do(way, argc, argv, &a);
}

int command_show(int argc, char **argv)
{
	static const struct client_way way = {
		.argp = { options, parse_batch, "ID",
			  "One batch: how far it is, when it will be done, why it waits, what failed, and "
			  "what to do next.\v" EXIT_CODES },
		.act = act_show,
	};

	return batch_do(&way, argc, argv);
}

int command_cancel(int argc, char **argv)
{
	static const struct client_way way = {
		.argp = { options, parse_batch, "ID",
			  "End a batch. What has an answer is kept, and can be downloaded.\v" EXIT_CODES },
		.act = act_cancel,
	};

	return batch_do(&way, argc, argv);
}

int command_hold(int argc, char **argv)
{
	static const struct client_way way = {
		.argp = { options, parse_batch, "ID",
			  "Send no more lines of a batch until 'lowtide resume'. Lines that are under way "
			  "end; the window does not stop.\v" EXIT_CODES },
		.act = act_hold,
	};

	return batch_do(&way, argc, argv);
}

int command_resume(int argc, char **argv)
{
	static const struct client_way way = {
		.argp = { options, parse_batch, "ID",
			  "Go on with a batch that is held, by 'lowtide hold' or after its "
			  "canary.\v" EXIT_CODES },
		.act = act_resume,
	};

	return batch_do(&way, argc, argv);
}

int command_retry(int argc, char **argv)
{
	static const struct client_way way = {
		.argp = { own_options, parse_batch, "ID",
			  "Run what a batch that has ended has no answers to: lines that failed, expired "
			  "or were cancelled become a batch of their own, with the same options.\v"
			  "The new batch is shown; in plain its id comes first. " EXIT_CODES },
		.act = act_retry,
	};

	return batch_do(&way, argc, argv);
}
