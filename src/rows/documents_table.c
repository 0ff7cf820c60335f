/* documents_table.c: CSV and TSV. */
#include "rows/documents_impl.h"

#include <stdlib.h>

#include "rows/text.h"

static bool fail_record(struct documents *d, enum csv_end end, struct error *err)
{
	size_t field = d->record.count + (end == CSV_OPEN); /* from 1 */

	if (end == CSV_NO_MEMORY)
		return fail_memory(err);
	if (end == CSV_OPEN)
		return documents_fail(
			d, err,
			"field %zu begins with a quote, and the quote that ends it is "
			"missing",
			field);
	return documents_fail(
		d, err,
		"field %zu has text behind its closing quote; a quote in a field is written "
		"twice, and the field in quotes",
		field);
}

/* Takes blank lines; *ret_found: something else follows. */
static bool blank_skip(struct documents *d, bool *ret_found, struct error *err)
{
	struct source *s = &d->source;

	for (;;) {
		struct slice w = source_window(s);
		bool cr = w.n > 0 && w.p[0] == '\r';

		if (!s->ended && (w.n == 0 || (cr && w.n == 1))) {
			if (!source_more(s, err))
				return false;
			continue;
		}
		*ret_found = w.n > 0 && !cr && w.p[0] != '\n';
		if (*ret_found || w.n == 0)
			return true;
		source_take(s, cr && w.n > 1 && w.p[1] == '\n' ? 2 : 1);
		d->next_line++;
	}
}

/* Reads the record at the window's beginning, which is not taken. */
static bool record_read(struct documents *d, struct error *err)
{
	struct source *s = &d->source;
	enum csv_end end;

	while ((end = csv_read(source_window(s), s->ended, d->delimiter, &d->record)) == CSV_MORE)
		if (!source_more(s, err))
			return false;
	return end == CSV_RECORD || fail_record(d, end, err);
}

/* ---- the header ---- */

static bool delimiter_choose(struct documents *d, struct error *err)
{
	struct source *s = &d->source;
	char found;

	if (d->delimiter != '\0')
		return true;
	while (!csv_delimiter(source_window(s), s->ended, &found))
		if (!source_more(s, err))
			return false;
	if (found == '?')
		return documents_fail(
			d, err,
			"the header has several of , ; and tab: --delimiter says which one "
			"is between the columns");
	d->delimiter = ',';
	if (found != '\0')
		d->delimiter = found;
	return true;
}

static struct slice field_slice(const struct documents *d, size_t i)
{
	return (struct slice){ source_window(&d->source).p + d->record.fields[i].at,
			       d->record.fields[i].n };
}

/* Decodes the names of the record at hand, one after another. */
static bool names_decode(const struct documents *d, struct buf *text, struct slice *names,
			 struct error *err)
{
	if (!buf_reserve(text, d->record.bytes)) /* so that the text stays where it is */
		return fail_memory(err);
	for (size_t i = 0; i < d->record.count; i++) {
		struct slice field = field_slice(d, i);
		char *to = text->p + text->n;
		size_t n = field.n;

		if (d->record.fields[i].doubled)
			n = csv_unquote(field, to);
		else if (n > 0)
			memcpy(to, field.p, n);
		names[i] = (struct slice){ to, n };
		text->n += n;
	}
	return true;
}

static bool column_find(struct documents *d, const char *name, size_t *ret, struct error *err)
{
	const struct table_header *h = &d->header;
	size_t found = 0;

	for (size_t i = 0; i < h->count; i++) {
		if (!slice_is(h->names[i], name))
			continue;
		*ret = i;
		found++;
	}
	if (found > 1)
		return documents_fail(d, err, "%zu columns have the name '%s'", found, name);
	return found == 1 || documents_fail_column(d, name, err);
}

static bool columns_find(struct documents *d, struct error *err)
{
	const struct columns *c = d->columns;
	const struct table_header *h = &d->header;

	for (size_t i = 0; i < h->count; i++)
		documents_column_show(d, h->names[i]);
	for (size_t i = 0; i < c->wanted_count; i++)
		if (!column_find(d, c->wanted[i], &d->header.wanted_at[i], err))
			return false;
	for (size_t i = 0; i < c->taken_count; i++)
		for (size_t k = 0; k < h->count; k++)
			if (slice_is(h->names[k], c->taken[i]))
				return documents_fail_taken(d, c->taken[i], err);
	return true;
}

static bool header_keep(struct documents *d, bool marked, struct error *err)
{
	const struct slice mark = marked ? BYTE_ORDER_MARK : SLICE("");
	struct table_header *h = &d->header;
	size_t all = d->record.bytes + d->record.end_bytes;

	h->n = mark.n + d->record.bytes;
	h->end_n = d->record.end_bytes;
	h->count = d->record.count;
	h->text = malloc(mark.n + all + 1);
	h->names = calloc(h->count, sizeof(*h->names));
	h->wanted_at = calloc(d->columns->wanted_count + 1, sizeof(*h->wanted_at));
	if (h->text == NULL || h->names == NULL || h->wanted_at == NULL)
		return fail_memory(err);
	memcpy(h->text, mark.p, mark.n);
	memcpy(h->text + mark.n, source_window(&d->source).p, all);
	return names_decode(d, &h->names_text, h->names, err) && columns_find(d, err);
}

/* The header of a further table is that of the first. */
static bool header_same(struct documents *d, struct error *err)
{
	const struct table_header *h = &d->header;
	AUTO(buf_free) struct buf text = BUF(ROW_BYTES_MAX);
	AUTO(auto_free) struct slice *names = calloc(d->record.count, sizeof(*names));
	bool same = d->record.count == h->count;

	if (names == NULL)
		return fail_memory(err);
	if (!names_decode(d, &text, names, err))
		return false;
	for (size_t i = 0; i < h->count && same; i++)
		same = slice_eq(names[i], h->names[i]);
	return same || documents_fail(d, err, "its header is not that of %s: %.*s", d->first,
				      SLICE_ARG(buf_slice(&d->columns_text)));
}

static bool begin(struct documents *d, struct error *err)
{
	bool found, marked;

	if (!documents_mark_take(d, &marked, err) || !blank_skip(d, &found, err))
		return false;
	if (!found)
		return documents_fail(d, err,
				      "the document is empty: its first line has to name the "
				      "columns");
	if (!delimiter_choose(d, err) || !record_read(d, err))
		return false;
	if (d->record.count > CSV_FIELDS_MAX)
		return documents_fail(d, err, "the header has %zu columns, where %u are read",
				      d->record.count, CSV_FIELDS_MAX);
	if (!(d->header.text == NULL ? header_keep(d, marked, err) : header_same(d, err)))
		return false;
	source_take(&d->source, d->record.bytes + d->record.end_bytes);
	d->next_line += d->record.lines;
	return true;
}

/* ---- rows ---- */

static bool field_value(struct documents *d, size_t i, struct error *err)
{
	size_t at = d->header.wanted_at[i];
	struct slice text = field_slice(d, at);
	struct buf *to = &d->scratch[i];

	if (!d->record.fields[at].doubled)
		return documents_value(d, i, text, err);
	buf_clear(to);
	if (!buf_reserve(to, text.n))
		return fail_memory(err);
	to->n = csv_unquote(text, to->p);
	return documents_value(d, i, buf_slice(to), err);
}

static bool next(struct documents *d, bool *ret_found, struct error *err)
{
	struct row *row = &d->row;

	if (!blank_skip(d, ret_found, err))
		return false;
	if (!*ret_found)
		return true;
	row->line = d->next_line;
	if (!record_read(d, err))
		return false;
	if (d->record.count != d->header.count)
		return documents_fail(d, err, "it has %zu fields, where the header has %zu",
				      d->record.count, d->header.count);
	const char *p = source_window(&d->source).p;
	row->raw = (struct slice){ p, d->record.bytes };
	row->end = (struct slice){ p + d->record.bytes, d->record.end_bytes };
	for (size_t i = 0; i < d->columns->wanted_count; i++)
		if (!field_value(d, i, err))
			return false;
	source_take(&d->source, d->record.bytes + d->record.end_bytes);
	d->next_line += d->record.lines;
	return true;
}

const struct document_kind documents_table = { begin, next };
