/* prepare.c: what is the same in all lines is written once. */
#include "rows/prepare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "rows/id_table.h"
#include "rows/prompt.h"
#include "rows/text.h"

#define FIXED_BYTES_MAX (1u << 20)

/* How an endpoint wants a prompt. */
struct shape {
	const char *path;
	const char *opening;
	const char *system, *system_end; /* NULL: it takes none */
	const char *prompt, *prompt_end;
};

static const struct shape shapes[] = {
	{ "/v1/chat/completions", "\"messages\":[", "{\"role\":\"system\",\"content\":", "},",
	  "{\"role\":\"user\",\"content\":", "}]" },
	{ "/v1/completions", "", NULL, NULL, "\"prompt\":", "" },
	{ "/v1/embeddings", "", NULL, NULL, "\"input\":", "" },
	{ "/v1/responses", "", "\"instructions\":", ",", "\"input\":", "" },
	{ "/v1/messages", "", "\"system\":", ",",
	  "\"messages\":[{\"role\":\"user\",\"content\":", "}]" },
};

struct maker {
	const struct prepare_options *options;
	const struct shape *shape;
	struct column_names columns;
	struct prompt prompt, system;
	size_t id; /* the column */
	struct documents *documents;
	struct id_table *ids; /* NULL: they are numbers */

	struct columns wanted; /* of the documents */
	struct buf head, tail; /* of each line: from behind the custom_id; from behind the prompt */
	struct buf text, line;
};

/* ---- what is the same in all lines ---- */

static bool shape_find(struct maker *m, struct error *err)
{
	const struct request_options *o = &m->options->request;
	const char *endpoint = o->endpoint != NULL ? o->endpoint : shapes[0].path;

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (strcmp(endpoint, shapes[i].path) == 0)
			m->shape = &shapes[i];
	if (m->shape == NULL)
		return fail(
			err, ERR_INVALID,
			"--endpoint: prompts can be sent to /v1/chat/completions, /v1/completions, "
			"/v1/embeddings, /v1/responses and /v1/messages, and not to '%.100s'",
			endpoint);
	return o->system == NULL || m->shape->system != NULL ||
	       fail(err, ERR_INVALID, "--system: %s takes no system prompt", endpoint);
}

static bool is_taken(const char *name, size_t n)
{
	static const char *const taken[] = { "model", "messages", "prompt",
					     "input", "system",   "instructions" };

	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		if (slice_is((struct slice){ name, n }, taken[i]))
			return true;
	return false;
}

static size_t param_name(const char *param)
{
	return strcspn(param, "=");
}

static bool param_check(const struct request_options *o, size_t i, struct error *err)
{
	const char *param = o->params[i];
	size_t n = param_name(param);

	if (param[n] != '=' || n == 0)
		return fail(err, ERR_INVALID,
			    "--param wants NAME=VALUE, such as temperature=0, and not '%.60s'",
			    param);
	if (is_taken(param, n))
		return fail(err, ERR_INVALID, "--param %.*s: --model, --prompt and --system say it",
			    (int)n, param);
	for (size_t k = 0; k < i; k++)
		if (strncmp(param, o->params[k], n + 1) == 0)
			return fail(err, ERR_INVALID, "--param %.*s is given twice", (int)n, param);
	return true;
}

/* ,"name":value */
static void param_write(const char *param, struct buf *to)
{
	size_t n = param_name(param);
	struct slice value = slice_of(param + n + 1), text;
	struct json j;

	buf_char(to, ',');
	buf_json_string(to, (struct slice){ param, n });
	buf_char(to, ':');
	json_init(&j, value);
	if (!json_skip(&j, &text) || !json_end(&j))
		buf_json_string(to, value);
	else if (buf_reserve(to, text.n))
		to->n += json_copy_one_line(text, to->p + to->n);
}

static bool fixed_write(struct maker *m, struct error *err)
{
	const struct request_options *o = &m->options->request;

	buf_text(&m->head, ",\"method\":\"POST\",\"url\":");
	buf_json_string(&m->head, slice_of(m->shape->path));
	buf_text(&m->head, ",\"body\":{\"model\":");
	buf_json_string(&m->head, slice_of(o->model));
	buf_char(&m->head, ',');
	buf_text(&m->head, m->shape->opening);
	buf_text(&m->tail, m->shape->prompt_end);
	for (size_t i = 0; i < o->param_count; i++) {
		if (!param_check(o, i, err))
			return false;
		param_write(o->params[i], &m->tail);
	}
	buf_text(&m->tail, "}}\n");
	return (!m->head.failed && !m->tail.failed) || fail_memory(err);
}

static bool columns_read(struct maker *m, struct error *err)
{
	const struct request_options *o = &m->options->request;

	if (!prompt_read("--prompt", o->prompt, &m->columns, &m->prompt, err) ||
	    (o->system != NULL &&
	     !prompt_read("--system", o->system, &m->columns, &m->system, err)))
		return false;
	if (m->columns.count == 0)
		return fail(
			err, ERR_INVALID,
			"--prompt names no column, so every row would ask the same: put {column} "
			"where a row's text belongs ({text} for text files)");
	return o->id == NULL || names_add(&m->columns, slice_of(o->id), &m->id, err);
}

static bool maker_open(struct maker *m, struct error *err)
{
	return shape_find(m, err) && fixed_write(m, err) && columns_read(m, err);
}

static void maker_close(struct maker *m)
{
	documents_close(m->documents);
	id_table_close(m->ids);
	prompt_done(&m->prompt);
	prompt_done(&m->system);
	names_done(&m->columns);
	buf_free(&m->head);
	buf_free(&m->tail);
	buf_free(&m->text);
	buf_free(&m->line);
}

/* ---- a line ---- */

static bool id_unique(struct maker *m, const struct row *row, struct slice id, struct error *err)
{
	char shown[TEXT_SHOWN_BYTES];
	struct id_entry there;
	bool known;

	if (!id_table_add(m->ids, id, row->number, row->line, &known, &there, err))
		return false;
	return !known ||
	       documents_fail(m->documents, err,
			      "its id '%s' is also that of row %" PRIu64 " (line %" PRIu64
			      "): column '%s' cannot be --id, which has to be another in each row",
			      text_show(id, shown), there.a, there.b, m->options->request.id);
}

static bool id_write(struct maker *m, const struct row *row, struct error *err)
{
	if (m->ids == NULL) {
		buf_printf(&m->line, "\"row-%" PRIu64 "\"", row->number);
		return true;
	}
	struct slice id = row->values[m->id];
	if (id.n == 0)
		return documents_fail(m->documents, err, "its id (column '%s') is empty",
				      m->options->request.id);
	if (id.n > ROW_ID_BYTES_MAX)
		return documents_fail(m->documents, err,
				      "its id (column '%s') has %zu bytes, where %u are allowed",
				      m->options->request.id, id.n, ROW_ID_BYTES_MAX);
	buf_json_string(&m->line, id);
	return id_unique(m, row, id, err);
}

static void prompt_write(struct maker *m, const struct prompt *p, const struct row *row)
{
	buf_clear(&m->text);
	prompt_fill(p, row->values, &m->text);
	buf_json_string(&m->line, buf_slice(&m->text));
}

static bool line_make(struct maker *m, const struct row *row, struct error *err)
{
	struct buf *line = &m->line;

	buf_clear(line);
	buf_text(line, "{\"custom_id\":");
	if (!id_write(m, row, err))
		return false;
	buf_add(line, buf_slice(&m->head));
	if (m->options->request.system != NULL) {
		buf_text(line, m->shape->system);
		prompt_write(m, &m->system, row);
		buf_text(line, m->shape->system_end);
	}
	buf_text(line, m->shape->prompt);
	prompt_write(m, &m->prompt, row);
	buf_add(line, buf_slice(&m->tail));
	if (line->no_memory || m->text.no_memory)
		return fail_memory(err);
	return (!line->failed && !m->text.failed) ||
	       documents_fail(m->documents, err, "its request is longer than %u MiB",
			      ROW_BYTES_MAX >> 20);
}

static bool lines_make(struct maker *m, request_fn each, void *ctx, uint64_t *ret_rows,
		       struct error *err)
{
	const uint64_t limit = m->options->limit;
	const struct row *row;

	*ret_rows = 0;
	while (limit == 0 || *ret_rows < limit) {
		if (!documents_next(m->documents, &row, err))
			return false;
		if (row == NULL)
			break;
		if (!line_make(m, row, err) || !each(ctx, buf_slice(&m->line), err))
			return false;
		++*ret_rows;
	}
	return *ret_rows > 0 ||
	       fail(err, ERR_INVALID, "%s: there are no rows", m->options->documents.paths[0]);
}

static bool rows_open(struct maker *m, struct error *err)
{
	const struct prepare_options *o = m->options;

	m->wanted.wanted = (const char *const *)m->columns.list;
	m->wanted.wanted_count = m->columns.count;
	if (o->request.id != NULL && !id_table_open(o->directory, 0, &m->ids, err))
		return false;
	return documents_open(&o->documents, &m->wanted, &m->documents, err);
}

bool prepare(const struct prepare_options *options, request_fn each, void *ctx, uint64_t *ret_rows,
	     struct error *err)
{
	struct maker m = {
		.options = options,
		.head = BUF(FIXED_BYTES_MAX),
		.tail = BUF(FIXED_BYTES_MAX),
		.text = BUF(ROW_BYTES_MAX),
		.line = BUF(ROW_BYTES_MAX),
	};
	bool good = maker_open(&m, err) && rows_open(&m, err) &&
		    lines_make(&m, each, ctx, ret_rows, err);

	maker_close(&m);
	return good;
}
