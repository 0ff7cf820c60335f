/* documents_common.c: what the kinds of documents share: messages, values, the beginning of a
 * document. */
#include "rows/documents_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "rows/text.h"

/* ---- messages ---- */

bool documents_fail(const struct documents *d, struct error *err, const char *format, ...)
{
	char why[600];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	if (d->format == DOCUMENTS_TEXT || d->row.line == 0)
		return fail(err, ERR_INVALID, "%s: %s", d->source.name, why);
	return fail(err, ERR_INVALID, "%s: row %" PRIu64 " (line %" PRIu64 "): %s", d->source.name,
		    d->row.number, d->row.line, why);
}

void documents_column_show(struct documents *d, struct slice name)
{
	char shown[TEXT_SHOWN_BYTES];
	struct buf *to = &d->columns_text;

	if (to->n >= COLUMNS_TEXT_BYTES)
		return;
	if (to->n > 0)
		buf_text(to, ", ");
	buf_text(to,
		 to->n < COLUMNS_TEXT_BYTES - TEXT_SHOWN_BYTES ? text_show(name, shown) : "...");
}

bool documents_fail_column(const struct documents *d, const char *name, struct error *err)
{
	char shown[TEXT_SHOWN_BYTES];

	return documents_fail(
		d, err,
		"there is no column '%s'; the columns are: %.*s (a brace that is meant as "
		"one is written twice: {{ or }})",
		text_show(slice_of(name), shown), SLICE_ARG(buf_slice(&d->columns_text)));
}

bool documents_fail_taken(const struct documents *d, const char *name, struct error *err)
{
	char shown[TEXT_SHOWN_BYTES];

	return documents_fail(
		d, err, "there is a column '%s' already; --column gives the answers another name",
		text_show(slice_of(name), shown));
}

/* ---- values ---- */

static bool fail_invalid(const struct documents *d, size_t i, unsigned char byte, struct error *err)
{
	char shown[TEXT_SHOWN_BYTES];

	return documents_fail(
		d, err,
		"column '%s': the byte 0x%02X is not UTF-8. If all of it is in another "
		"encoding, say which (--encoding windows-1252); --invalid-utf8=replace puts "
		"U+FFFD in its place",
		text_show(slice_of(d->columns->wanted[i]), shown), byte);
}

bool documents_value(struct documents *d, size_t i, struct slice text, struct error *err)
{
	struct buf *to = &d->scratch[i];
	size_t valid = text_valid(text);

	d->values[i] = text;
	if (valid == text.n)
		return true;
	if (!d->options->replace_invalid)
		return fail_invalid(d, i, (unsigned char)text.p[valid], err);
	struct buf replaced = BUF(4 * ROW_BYTES_MAX);
	text_replace(text, &replaced); /* which may stand in *to */
	buf_free(to);
	*to = replaced;
	d->values[i] = buf_slice(to);
	return !to->failed || fail_memory(err);
}

/* ---- the beginning of a document ---- */

bool documents_window_least(struct documents *d, size_t n, struct error *err)
{
	struct source *s = &d->source;

	while (!s->ended && source_window(s).n < n)
		if (!source_more(s, err))
			return false;
	return true;
}

bool documents_mark_take(struct documents *d, bool *ret_marked, struct error *err)
{
	const struct slice mark = BYTE_ORDER_MARK;

	if (!documents_window_least(d, mark.n, err))
		return false;
	struct slice window = source_window(&d->source);
	*ret_marked = window.n >= mark.n && memcmp(window.p, mark.p, mark.n) == 0;
	if (*ret_marked)
		source_take(&d->source, mark.n);
	return true;
}
