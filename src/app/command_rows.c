/* command_rows.c: see command_rows.h. */
#include "app/command_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rows/text.h"

#define PROMPT_BYTES_MAX (4u << 20)

void document_add(struct documents_given *given, char *path, struct argp_state *state)
{
	char **paths = (char **)given->documents.paths;

	list_add(&paths, &given->documents.path_count, path, state);
	given->documents.paths = paths;
}

static char delimiter_of(const char *arg, struct argp_state *state)
{
	if (strcmp(arg, "\\t") == 0 || strcmp(arg, "tab") == 0)
		return '\t';
	if (strlen(arg) != 1 || strchr("\"\r\n", arg[0]) != NULL || (arg[0] & 0x80) != 0)
		argp_error(state, "--delimiter: '%s' is not one character, such as ; or tab", arg);
	return arg[0];
}

error_t parse_documents(int key, char *arg, struct argp_state *state, struct documents_given *given)
{
	struct documents_options *o = &given->documents;

	switch (key) {
	case OPTION_FORMAT:
		if (!documents_format_read(arg, &o->format))
			argp_error(state, "--format: '%s' is none of csv, tsv, jsonl and text",
				   arg);
		return 0;
	case OPTION_DELIMITER:
		o->delimiter = delimiter_of(arg, state);
		return 0;
	case OPTION_ENCODING:
		o->encoding = arg;
		return 0;
	case OPTION_INVALID_UTF8:
		o->replace_invalid = strcmp(arg, "replace") == 0;
		if (!o->replace_invalid && strcmp(arg, "error") != 0)
			argp_error(state, "--invalid-utf8: '%s' is neither error nor replace", arg);
		return 0;
	case OPTION_ID:
		given->id = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

error_t parse_request(int key, char *arg, struct argp_state *state, struct request_given *given)
{
	struct request_options *o = &given->request;
	char **params = (char **)o->params;

	switch (key) {
	case OPTION_PROMPT:
		o->prompt = arg;
		return 0;
	case OPTION_SYSTEM:
		o->system = arg;
		return 0;
	case OPTION_MODEL:
		o->model = arg;
		return 0;
	case OPTION_PARAM:
		list_add(&params, &o->param_count, arg, state);
		o->params = params;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- prompts from files ---- */

static bool file_read(const char *what, const char *path, struct buf *to, struct error *err)
{
	FILE *f = fopen(path, "re");
	size_t got = 1;

	if (f == NULL)
		return fail(err, ERR_INVALID, "%s @%s: %s", what, path, strerrordesc_np(errno));
	while (got > 0 && buf_reserve(to, BUFSIZ)) {
		got = fread(to->p + to->n, 1, to->cap - to->n, f);
		to->n += got;
	}
	bool good = ferror(f) == 0;
	fclose(f);
	if (!good)
		return fail_sys(err, EIO, "reading %s", path);
	if (to->no_memory)
		return fail_memory(err);
	return !to->failed || fail(err, ERR_INVALID, "%s @%s: a prompt has at most %u MiB", what,
				   path, PROMPT_BYTES_MAX >> 20);
}

static void line_end_leave(struct buf *text)
{
	if (text->n == 0 || text->p[text->n - 1] != '\n')
		return;
	text->n--;
	if (text->n > 0 && text->p[text->n - 1] == '\r')
		text->n--;
}

/* `*text` "@FILE" becomes what the file has, without the line end at its end; kept in *keep. */
static bool text_read(const char *what, const char **text, char **keep, struct error *err)
{
	AUTO(buf_free) struct buf file = BUF(PROMPT_BYTES_MAX);

	if (*text != NULL && (*text)[0] == '@') {
		if (!file_read(what, *text + 1, &file, err))
			return false;
		line_end_leave(&file);
		if (memchr(file.p, '\0', file.n) != NULL)
			return fail(err, ERR_INVALID, "%s %s: the file has a NUL, and is no text",
				    what, *text);
		buf_char(&file, '\0');
		if (file.failed)
			return fail_memory(err);
		*text = *keep = TAKE(file.p);
		file = BUF(0);
	}
	return *text == NULL || text_valid(slice_of(*text)) == strlen(*text) ||
	       fail(err, ERR_INVALID, "%s is not UTF-8", what);
}

static bool texts_read(struct request_given *given, struct error *err)
{
	return text_read("--prompt", &given->request.prompt, &given->prompt, err) &&
	       text_read("--system", &given->request.system, &given->system, err);
}

bool prepare_options_make(const struct documents_given *documents, struct request_given *request,
			  struct prepare_options *ret, struct error *err)
{
	if (!texts_read(request, err))
		return false;
	*ret = (struct prepare_options){ .documents = documents->documents,
					 .request = request->request };
	ret->request.id = documents->id;
	return true;
}

void documents_given_done(struct documents_given *given)
{
	free((void *)given->documents.paths);
	*given = (struct documents_given){ 0 };
}

void request_given_done(struct request_given *given)
{
	free((void *)given->request.params);
	free(given->prompt);
	free(given->system);
	*given = (struct request_given){ 0 };
}
