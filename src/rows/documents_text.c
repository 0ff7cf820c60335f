/* documents_text.c: a file is a row. */
#include "rows/documents_impl.h"

static bool begin(struct documents *d, struct error *err)
{
	const struct columns *c = d->columns;
	bool marked;

	if (d->columns_text.n == 0)
		buf_text(&d->columns_text, "file, text");
	for (size_t i = 0; i < c->wanted_count; i++)
		if (strcmp(c->wanted[i], "file") != 0 && strcmp(c->wanted[i], "text") != 0)
			return documents_fail_column(d, c->wanted[i], err);
	for (size_t i = 0; i < c->taken_count; i++)
		if (strcmp(c->taken[i], "file") == 0)
			return documents_fail_taken(d, c->taken[i], err);
	return documents_mark_take(d, &marked, err);
}

static bool next(struct documents *d, bool *ret_found, struct error *err)
{
	const struct columns *c = d->columns;

	*ret_found = !d->told;
	if (d->told)
		return true;
	while (!d->source.ended)
		if (!source_more(&d->source, err))
			return false;
	d->told = true;
	d->row.line = 1;
	for (size_t i = 0; i < c->wanted_count; i++) {
		bool text = strcmp(c->wanted[i], "text") == 0;

		if (!documents_value(
			    d, i, text ? source_window(&d->source) : slice_of(d->source.name), err))
			return false;
	}
	return true;
}

const struct document_kind documents_text = { begin, next };
