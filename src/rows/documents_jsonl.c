/* documents_jsonl.c: a JSON object a line. */
#include "rows/documents_impl.h"

#include "base/json.h"
#include "base/json_fault.h"
#include "rows/text.h"

static bool begin(struct documents *d, struct error *err)
{
	bool marked;

	return documents_mark_take(d, &marked, err);
}

/* The next line, with its end; *ret_n 0: there is none. */
static bool line_find(struct documents *d, struct slice *ret, size_t *ret_end_n, struct error *err)
{
	struct source *s = &d->source;

	for (;;) {
		struct slice w = source_window(s);
		const char *lf = w.n > 0 ? memchr(w.p, '\n', w.n) : NULL;

		if (lf != NULL || s->ended) {
			*ret = lf != NULL ? (struct slice){ w.p, (size_t)(lf - w.p) } : w;
			*ret_end_n = lf != NULL;
			return true;
		}
		if (!source_more(s, err))
			return false;
	}
}

/* Without white space around it, a CR before the LF among it, which belongs to the line's end. */
static struct slice trimmed(struct slice line, size_t *ret_behind)
{
	size_t all = line.n;

	while (line.n > 0 && strchr(" \t\r", line.p[line.n - 1]) != NULL &&
	       line.p[line.n - 1] != '\0')
		line.n--;
	*ret_behind = all - line.n;
	while (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t')) {
		line.p++;
		line.n--;
	}
	return line;
}

static bool fail_line(const struct documents *d, struct slice line, struct error *err)
{
	struct json_fault fault;

	if (!json_fault_find(line, &fault))
		return documents_fail(d, err, "this is JSON, and not an object: {\"column\": ...}");
	return documents_fail(
		d, err, "this is not JSON: column %zu: %s. A row is a JSON object in one line",
		fault.column, fault.reason);
}

static struct slice inside_quotes(struct slice text)
{
	return (struct slice){ text.p + 1, text.n - 2 };
}

static bool value_set(struct documents *d, size_t i, struct slice value, struct error *err)
{
	struct buf *to = &d->scratch[i];

	d->values[i] = value;
	if (value.p[0] == 'n')
		d->values[i] = SLICE("");
	if (value.p[0] != '"')
		return true;
	value = inside_quotes(value);
	d->values[i] = value;
	if (value.n == 0 || memchr(value.p, '\\', value.n) == NULL)
		return true;
	buf_clear(to);
	if (!buf_reserve(to, value.n)) /* an escape is longer than what it stands for */
		return fail_memory(err);
	to->n = json_decode(value, to->p, value.n);
	d->values[i] = buf_slice(to);
	return true;
}

static bool member_read(struct documents *d, struct slice key, struct slice value,
			struct error *err)
{
	const struct columns *c = d->columns;

	for (size_t i = 0; i < c->wanted_count; i++)
		if (json_key_is(key, c->wanted[i]) && !value_set(d, i, value, err))
			return false;
	for (size_t i = 0; i < c->taken_count; i++)
		if (json_key_is(key, c->taken[i]))
			return documents_fail_taken(d, c->taken[i], err);
	return true;
}

static bool fail_missing(struct documents *d, const char *name, struct slice line,
			 struct error *err)
{
	struct json j;
	struct slice key, value;

	buf_clear(&d->columns_text);
	json_init(&j, line);
	json_next(&j);
	while (json_member(&j, &key) && json_skip(&j, &value))
		documents_column_show(d, key);
	return documents_fail_column(d, name, err);
}

static bool object_read(struct documents *d, struct slice line, struct error *err)
{
	struct json j;
	struct slice key, value;

	for (size_t i = 0; i < d->columns->wanted_count; i++)
		d->values[i] = (struct slice){ 0 };
	json_init(&j, line);
	if (json_next(&j) != JSON_OBJECT)
		return fail_line(d, line, err);
	while (json_member(&j, &key)) {
		if (!json_skip(&j, &value))
			break;
		if (!member_read(d, key, value, err))
			return false;
	}
	if (!json_end(&j))
		return fail_line(d, line, err);
	for (size_t i = 0; i < d->columns->wanted_count; i++)
		if (d->values[i].p == NULL)
			return fail_missing(d, d->columns->wanted[i], line, err);
	return true;
}

/* The line with U+FFFD for what is not UTF-8, where that is asked for. */
static bool line_mend(struct documents *d, struct slice *line, struct error *err)
{
	if (!d->options->replace_invalid || text_valid(*line) == line->n)
		return true;
	buf_clear(&d->line);
	text_replace(*line, &d->line);
	*line = buf_slice(&d->line);
	return !d->line.failed || fail_memory(err);
}

static bool next(struct documents *d, bool *ret_found, struct error *err)
{
	struct row *row = &d->row;
	size_t end_n = 0, behind;

	*ret_found = false;
	do {
		struct slice line;

		if (!line_find(d, &line, &end_n, err))
			return false;
		if (line.n + end_n == 0)
			return true;
		source_take(&d->source, line.n + end_n);
		row->raw = trimmed(line, &behind);
		row->end = (struct slice){ line.p + line.n, end_n };
		if (end_n > 0 && behind > 0 && line.p[line.n - 1] == '\r')
			row->end = (struct slice){ row->end.p - 1, 2 };
		row->line = d->next_line++;
	} while (row->raw.n == 0);
	*ret_found = true;
	return line_mend(d, &row->raw, err) && object_read(d, row->raw, err);
}

const struct document_kind documents_jsonl = { begin, next };
