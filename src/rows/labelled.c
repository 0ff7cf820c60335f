/* labelled.c: the documents and the file walked side by side. A row of the file begins with the bytes
 * of its row of the documents, as join() leaves them. */
#include "rows/labelled.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

enum { ANSWER, ERROR, FILE_NAME, WANTED };

struct labelled {
	const struct join_options *options;
	const char *path, *column;
	char *error_column;
	struct documents *given, *made;
	struct buf line;
};

static bool is_texts(const struct labelled *l)
{
	return documents_format(l->given) == DOCUMENTS_TEXT;
}

static bool is_jsonl(const struct labelled *l)
{
	return documents_format(l->made) == DOCUMENTS_JSONL;
}

static bool begins(struct slice text, struct slice with)
{
	return text.n > with.n && memcmp(text.p, with.p, with.n) == 0;
}

static bool is_row_of(const struct labelled *l, const struct row *made, const struct row *given)
{
	if (is_texts(l))
		return slice_is(made->values[FILE_NAME], given->document);
	if (is_jsonl(l)) /* without the brace */
		return begins(made->raw, (struct slice){ given->raw.p, given->raw.n - 1 });
	return begins(made->raw, given->raw) &&
	       made->raw.p[given->raw.n] == documents_delimiter(l->given);
}

/* ---- a result line ---- */

/* As it stands: a number, say, is no text. */
static struct slice member_raw(struct slice object, const char *name)
{
	struct slice key, value, found = SLICE("\"\"");
	struct json j;

	json_init(&j, object);
	if (json_next(&j) != JSON_OBJECT)
		return found;
	while (json_member(&j, &key) && json_skip(&j, &value))
		if (json_key_is(key, name))
			found = value;
	return found;
}

static bool line_make(struct labelled *l, const struct row *made, const struct row *given,
		      struct error *err)
{
	struct buf *to = &l->line;

	buf_clear(to);
	buf_text(to, "{\"custom_id\":");
	if (l->options->id != NULL)
		buf_json_string(to, given->values[0]);
	else
		buf_printf(to, "\"row-%" PRIu64 "\"", given->number);
	buf_text(to, ",\"response\":{\"status_code\":200,\"body\":{\"choices\":[{\"message\":"
		     "{\"content\":");
	if (is_jsonl(l))
		buf_add(to, member_raw(made->raw, l->column));
	else
		buf_json_string(to, made->values[ANSWER]);
	buf_text(to, "}}]}},\"error\":null}\n");
	return !to->failed || fail_memory(err);
}

/* ---- both ---- */

static bool fail_other(const struct labelled *l, uint64_t number, struct error *err)
{
	return fail(err, ERR_INVALID,
		    "row %" PRIu64 " of %s is not that of %s: --retry-failed keeps the answers of "
		    "an earlier run of the same documents",
		    number, l->path, l->options->documents.paths[0]);
}

static bool walk(struct labelled *l, bool (*each)(void *ctx, struct slice line, struct error *err),
		 void *ctx, struct error *err)
{
	const struct row *made, *given;

	for (;;) {
		if (!documents_next(l->made, &made, err))
			return false;
		if (made == NULL)
			return true;
		if (!documents_next(l->given, &given, err))
			return false;
		if (given == NULL || !is_row_of(l, made, given))
			return fail_other(l, made->number, err);
		if (made->values[ERROR].n == 0 &&
		    (!line_make(l, made, given, err) || !each(ctx, buf_slice(&l->line), err)))
			return false;
	}
}

static enum documents_format format_made(const struct labelled *l)
{
	if (!is_texts(l))
		return documents_format(l->given);
	return l->options->texts_as_jsonl ? DOCUMENTS_JSONL : DOCUMENTS_CSV;
}

static bool open_both(struct labelled *l, const struct columns *of_given,
		      const struct columns *of_made, struct documents_options *made,
		      struct error *err)
{
	if (!documents_open(&l->options->documents, of_given, &l->given, err))
		return false;
	made->format = format_made(l);
	made->delimiter = ',';
	if (!is_texts(l))
		made->delimiter = documents_delimiter(l->given);
	return documents_open(made, of_made, &l->made, err);
}

bool labelled_results(const struct join_options *options, const char *path,
		      bool (*each)(void *ctx, struct slice line, struct error *err), void *ctx,
		      struct error *err)
{
	struct labelled l = { .options = options,
			      .path = path,
			      .column = options->column != NULL ? options->column : JOIN_COLUMN,
			      .line = BUF(2 * ROW_BYTES_MAX) };
	enum documents_format format;

	if (asprintf(&l.error_column, "%s_error", l.column) < 0)
		return fail_memory(err);
	bool good = documents_format_find(&options->documents, &format, err);
	const char *wanted[WANTED] = { l.column, l.error_column, "file" };
	const struct columns of_given = { .wanted = &options->id,
					  .wanted_count = options->id != NULL };
	const struct columns of_made = { .wanted = wanted,
					 .wanted_count = format == DOCUMENTS_TEXT ? WANTED
										  : FILE_NAME };
	struct documents_options made = { .paths = (char *const *)&path,
					  .path_count = 1,
					  .replace_invalid = options->documents.replace_invalid };
	good = good && open_both(&l, &of_given, &of_made, &made, err) && walk(&l, each, ctx, err);
	documents_close(l.given);
	documents_close(l.made);
	buf_free(&l.line);
	free(l.error_column);
	return good;
}
