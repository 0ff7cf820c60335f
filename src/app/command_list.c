/* command_list.c: `lowtide list`. */
#include "app/command_line.h"

#include <stdlib.h>
#include <string.h>

#include "app/command_client.h"
#include "base/attr.h"
#include "base/sys.h"
#include "batch/batch.h"
#include "terminal/batch_calls.h"
#include "terminal/report.h"
#include "terminal/since.h"

#define LIST_MOST 20

struct list_arguments {
	struct list_options list;
	char **labels;
	char *status; /* of all --status */
};

static void list_arguments_done(struct list_arguments *a)
{
	free(a->labels);
	free(a->status);
}

static void add_label(struct list_arguments *a, char *label, struct argp_state *state)
{
	if (strchr(label, '=') == NULL || label[0] == '=')
		argp_error(state, "--metadata: '%s' is not written KEY=VALUE", label);
	list_add(&a->labels, &a->list.label_count, label, state);
}

/* Several in one, parted by commas, and several options. */
static void add_status(struct list_arguments *a, const char *given, struct argp_state *state)
{
	enum batch_status status;
	char *all;

	for (const char *word = given;; word++) {
		size_t n = strcspn(word, ",");
		if (!batch_status_from_name((struct slice){ word, n }, &status))
			argp_error(
				state,
				"--status: '%.*s' is none of validating, in_progress, finalizing, "
				"cancelling, completed, failed, expired and cancelled",
				(int)n, word);
		word += n;
		if (*word == '\0')
			break;
	}
	if (asprintf(&all, "%s%s%s", a->status != NULL ? a->status : "",
		     a->status != NULL ? "," : "", given) < 0) {
		argp_failure(state, EXIT_FAULT, 0, "out of memory");
		return;
	}
	free(a->status);
	a->status = all;
}

static error_t parse_list(int key, char *arg, struct argp_state *state)
{
	struct list_arguments *a = state->input;

	switch (key) {
	case OPTION_STATUS:
		add_status(a, arg, state);
		return 0;
	case OPTION_SINCE:
		if (!since_read(arg, sys.now_s(), &a->list.since))
			argp_error(
				state,
				"--since: '%s' is no time, such as 2h or 3d (ago), 2026-11-30 or "
				"'2026-11-30 21:00'",
				arg);
		return 0;
	case OPTION_METADATA:
		add_label(a, arg, state);
		return 0;
	case OPTION_LIMIT:
		whole_set(&a->list.most, "--limit", arg, 0, UINT32_MAX, state);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is one word too many; `lowtide show ID` shows one batch",
			   arg);
		return 0;
	default:
		return parse_client(key, arg, state, &a->list.asked);
	}
}

static int act_list(void *arguments)
{
	struct list_arguments *a = arguments;

	a->list.status = a->status;
	a->list.labels = a->labels;
	return ask_list(&a->list);
}

int command_list(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION("status", OPTION_STATUS, "STATUS[,STATUS]", "those in one of these states"),
		OPTION("since", OPTION_SINCE, "TIME",
		       "those made since then: 2h or 3d (ago), 2026-11-30, '2026-11-30 21:00', or Unix "
		       "seconds"),
		OPTION("metadata", OPTION_METADATA, "KEY=VALUE",
		       "those with this in their metadata; may be repeated"),
		OPTION("limit", OPTION_LIMIT, "N", "so many at most (20); 0: all"),
		OUTPUT_ROW,
		ORG_ROW,
		URL_ROWS,
		HELP_ROWS,
		{ 0 },
	};
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_list,
			.doc = "The batches of a server, the newest first.\v"
			       "Exit code: 0 done, 1 it could not be done, 2 wrong use.",
		},
		.act = act_list,
	};
	AUTO(list_arguments_done) struct list_arguments a = { .list.most = LIST_MOST };

	return client_do(&way, argc, argv, &a);
}
