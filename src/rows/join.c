/* join.c */
#include "rows/join.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "rows/answer_table.h"
#include "rows/csv.h"
#include "rows/text.h"

struct joiner {
	const struct join_options *options;
	char *error_column;
	const char *column;
	struct answer_table *answers;
	struct documents *documents;
	struct whole_file *to;
	bool jsonl;       /* what comes out; else a table */
	char delimiter;   /* of that table */
	struct slice end; /* of lines that have none */
	struct buf cell;
};

bool join_is_jsonl(const char *path)
{
	return documents_format_by_name(path) == DOCUMENTS_JSONL;
}

bool join_is_table(const char *path)
{
	enum documents_format format = documents_format_by_name(path);

	return format == DOCUMENTS_CSV || format == DOCUMENTS_TSV;
}

static bool is_texts(const struct joiner *j)
{
	return documents_format(j->documents) == DOCUMENTS_TEXT;
}

/* ---- cells ---- */

static void cell_write(const struct joiner *j, struct slice text)
{
	buf_char(&j->to->held, j->delimiter);
	csv_write(&j->to->held, text, j->delimiter);
}

/* The answer as text: a string decoded, anything else as JSON in one line. */
static bool answer_text(struct joiner *j, struct slice value, struct slice *ret, struct error *err)
{
	buf_clear(&j->cell);
	if (!buf_reserve(&j->cell, value.n + 1))
		return fail_memory(err);
	if (value.n > 0 && value.p[0] == '"')
		j->cell.n = json_decode((struct slice){ value.p + 1, value.n - 2 }, j->cell.p,
					value.n);
	else if (value.n > 0)
		j->cell.n = json_copy_one_line(value, j->cell.p);
	*ret = buf_slice(&j->cell);
	return true;
}

static bool table_write(struct joiner *j, const struct row *row, const struct row_answer *a,
			struct error *err)
{
	struct slice text;

	if (!answer_text(j, a->value, &text, err))
		return false;
	if (is_texts(j))
		csv_write(&j->to->held, slice_of(row->document), j->delimiter);
	else
		buf_add(&j->to->held, row->raw);
	cell_write(j, text);
	cell_write(j, buf_slice(&a->error));
	buf_add(&j->to->held, row->end.n > 0 ? row->end : j->end);
	return true;
}

/* The object up to where a member can be added. */
static void object_open(struct joiner *j, const struct row *row)
{
	struct buf *to = &j->to->held;
	struct slice raw = row->raw;

	if (is_texts(j)) {
		buf_text(to, "{\"file\":");
		buf_json_string(to, slice_of(row->document));
		buf_char(to, ',');
		return;
	}
	raw.n--; /* the brace */
	buf_add(to, raw);
	while (raw.n > 0 && strchr(" \t\r", raw.p[raw.n - 1]) != NULL)
		raw.n--;
	if (raw.p[raw.n - 1] != '{')
		buf_char(to, ',');
}

static bool object_write(struct joiner *j, const struct row *row, const struct row_answer *a,
			 struct error *err)
{
	struct buf *to = &j->to->held;

	object_open(j, row);
	buf_json_string(to, slice_of(j->column));
	buf_char(to, ':');
	if (!a->good)
		buf_text(to, "null");
	else if (buf_reserve(to, a->value.n))
		to->n += json_copy_one_line(a->value, to->p + to->n);
	buf_char(to, ',');
	buf_json_string(to, slice_of(j->error_column));
	buf_char(to, ':');
	if (a->good)
		buf_text(to, "null");
	else
		buf_json_string(to, buf_slice(&a->error));
	buf_char(to, '}');
	buf_add(to, row->end.n > 0 ? row->end : j->end);
	return !to->failed || fail_memory(err);
}

static void header_write(struct joiner *j)
{
	struct slice text = SLICE("file");

	if (j->jsonl)
		return;
	if (!is_texts(j))
		documents_header(j->documents, &text, &j->end);
	buf_add(&j->to->held, text);
	cell_write(j, slice_of(j->column));
	cell_write(j, slice_of(j->error_column));
	buf_add(&j->to->held, j->end);
}

/* ---- rows ---- */

static bool id_of(const struct joiner *j, const struct row *row, struct buf *number,
		  struct slice *ret)
{
	if (j->options->id != NULL) {
		*ret = row->values[0];
		return true;
	}
	buf_clear(number);
	buf_printf(number, "row-%" PRIu64, row->number);
	*ret = buf_slice(number);
	return !number->failed;
}

static bool fail_again(const struct joiner *j, struct slice id, struct error *err)
{
	char shown[TEXT_SHOWN_BYTES];

	return documents_fail(
		j->documents, err,
		"its id '%s' is also that of an earlier row: column '%s' is not another in "
		"each row",
		text_show(id, shown), j->options->id);
}

static bool row_write(struct joiner *j, const struct row *row, struct slice id,
		      struct join_counts *counts, struct error *err)
{
	struct row_answer missing = ANSWER_EMPTY;
	const struct row_answer *answer;
	bool again;

	if (!answer_table_get(j->answers, id, &answer, &again, err))
		return false;
	if (again)
		return fail_again(j, id, err);
	if (answer == NULL) {
		buf_text(&missing.error, "missing: the results have no line of this row");
		answer = &missing;
		counts->missing++;
	}
	counts->rows++;
	if (answer->good)
		counts->answered++;
	else
		counts->failed++;
	if (missing.error.failed)
		return fail_memory(err);
	bool good = (j->jsonl ? object_write(j, row, answer, err)
			      : table_write(j, row, answer, err)) &&
		    whole_file_flush(j->to, err);
	answer_done(&missing);
	return good;
}

static bool rows_write(struct joiner *j, struct join_counts *counts, struct error *err)
{
	AUTO(buf_free) struct buf number = BUF(64);
	const struct row *row;
	struct slice id;

	while (j->options->limit == 0 || counts->rows < j->options->limit) {
		if (!documents_next(j->documents, &row, err))
			return false;
		if (row == NULL)
			return true;
		if (!id_of(j, row, &number, &id))
			return fail_memory(err);
		if (!row_write(j, row, id, counts, err))
			return false;
	}
	return true;
}

static bool fail_strange(const struct joiner *j, struct error *err)
{
	return fail(
		err, ERR_INVALID,
		"no line of %s belongs to a row: is it of other documents, or was there another "
		"--id?",
		j->options->results[0]);
}

static bool join_rows(struct joiner *j, struct join_counts *counts, struct error *err)
{
	j->jsonl = documents_format(j->documents) == DOCUMENTS_JSONL ||
		   (is_texts(j) && j->options->texts_as_jsonl);
	j->delimiter = ',';
	if (!is_texts(j))
		j->delimiter = documents_delimiter(j->documents);
	header_write(j);
	if (!rows_write(j, counts, err))
		return false;
	counts->left = answer_table_count(j->answers) - answer_table_used(j->answers);
	return answer_table_used(j->answers) > 0 || answer_table_count(j->answers) == 0 ||
	       fail_strange(j, err);
}

static bool join_open(struct joiner *j, const struct columns *columns, struct error *err)
{
	const struct join_options *o = j->options;

	return documents_open(&o->documents, columns, &j->documents, err) &&
	       answer_table_open(o->results, o->result_count, o->directory, &j->answers, err);
}

bool join(const struct join_options *options, struct whole_file *to, struct join_counts *ret,
	  struct error *err)
{
	struct joiner j = {
		.options = options,
		.column = options->column != NULL ? options->column : JOIN_COLUMN,
		.to = to,
		.end = SLICE("\n"),
		.cell = BUF(1u << 30),
	};

	*ret = (struct join_counts){ 0 };
	if (asprintf(&j.error_column, "%s_error", j.column) < 0)
		return fail_memory(err);
	const char *taken[] = { j.column, j.error_column };
	const struct columns columns = {
		.wanted = &options->id,
		.wanted_count = options->id != NULL,
		.taken = taken,
		.taken_count = ARRAY_LEN(taken),
	};
	bool good = join_open(&j, &columns, err) && join_rows(&j, ret, err);
	documents_close(j.documents);
	answer_table_close(j.answers);
	buf_free(&j.cell);
	free(j.error_column);
	return good;
}
