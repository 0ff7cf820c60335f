/* command_files.c: `lowtide files`: an action, and what it is done to. */
#include "app/command_line.h"

#include <string.h>

#include "app/command_client.h"
#include "terminal/files.h"

#define IDS_MAX 1000u

struct files_arguments {
	struct asked asked;
	const char *action, *to;
	const char *words[IDS_MAX]; /* behind the action */
	size_t count;
};

static bool is(const struct files_arguments *a, const char *action)
{
	return strcmp(a->action, action) == 0;
}

static void check(const struct files_arguments *a, struct argp_state *state)
{
	if (a->action == NULL)
		argp_error(state, "what? list, upload, show, content or delete");
	else if (!is(a, "list") && !is(a, "upload") && !is(a, "show") && !is(a, "content") &&
		 !is(a, "delete"))
		argp_error(state,
			   "there is no action '%s'; there are list, upload, show, content and "
			   "delete",
			   a->action);
	else if (is(a, "list") && a->count > 0)
		argp_error(state, "'%s' is one word too many", a->words[0]);
	else if (!is(a, "list") && a->count == 0)
		argp_error(state, is(a, "upload")
					  ? "which file? lowtide files upload IN.jsonl"
					  : "which file? `lowtide files list` shows their ids");
	else if (!is(a, "delete") && a->count > 1)
		argp_error(state, "one file at a time; '%s' is a second", a->words[1]);
	if (a->to != NULL && a->action != NULL && !is(a, "content"))
		argp_error(state, "-o goes with 'content'");
}

static error_t parse_files(int key, char *arg, struct argp_state *state)
{
	struct files_arguments *a = state->input;

	switch (key) {
	case 'o':
		a->to = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->action == NULL)
			a->action = arg;
		else if (a->count < IDS_MAX)
			a->words[a->count++] = arg;
		else
			argp_error(state, "%u files at a time", IDS_MAX);
		return 0;
	case ARGP_KEY_END:
		check(a, state);
		return 0;
	default:
		return parse_client(key, arg, state, &a->asked);
	}
}

static int act_files(void *arguments)
{
	const struct files_arguments *a = arguments;

	if (is(a, "list"))
		return files_show_all(&a->asked);
	if (is(a, "upload"))
		return files_send(&a->asked, a->words[0]);
	if (is(a, "show"))
		return files_show(&a->asked, a->words[0]);
	if (is(a, "content"))
		return files_content(&a->asked, a->words[0], a->to != NULL ? a->to : "-");
	return files_remove(&a->asked, a->words, a->count);
}

int command_files(int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION(NULL, 'o', "FILE", "with content: write to FILE, not to standard output"),
		OUTPUT_ROW,
		URL_ROWS,
		HELP_ROWS,
		{ 0 },
	};
	static const struct client_way way = {
		.argp = {
			.options = options,
			.parser = parse_files,
			.args_doc = "list\nupload FILE|-\nshow ID\ncontent ID [-o FILE]\ndelete ID...",
			.doc = "The files of a server: inputs of batches, and their results.\v"
			       "'upload' prints the id and nothing else; 'delete' goes on where one of several "
			       "cannot be deleted. Exit code: 0 done, 1 it could not be done, such as with "
			       "a file that is not there, 2 wrong use.",
		},
		.act = act_files,
	};
	struct files_arguments a = { 0 };

	return client_do(&way, argc, argv, &a);
}
