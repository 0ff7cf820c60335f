/* csv.h: one record of a table in text (RFC 4180; with tabs: TSV), found in bytes that lie in
 * memory. Pure.
 *
 * A record ends with LF, CR LF or CR. A field that begins with a quote ends with one: in it
 * stand delimiters and line ends as they are, and two quotes for one. In other fields a quote is
 * a character like any other. Any bytes may stand in a field, NUL among them. So Python's csv
 * module reads the same, but for text after a closing quote, which is a mistake here. */
#pragma once

#include "base/attr.h"
#include "base/buf.h"

#define CSV_FIELDS_MAX 16384u /* columns of a table */

enum csv_end {
	CSV_RECORD,    /* there it is */
	CSV_MORE,      /* it goes on behind the bytes at hand */
	CSV_OPEN,      /* the text ends in a quoted field */
	CSV_TRAILING,  /* text follows the closing quote of a field */
	CSV_NO_MEMORY, /* for its fields */
};

struct csv_field {
	size_t at, n; /* in the bytes given, without the quotes around */
	bool doubled; /* two quotes stand for one in it */
};

/* All zero at first; the arrays are used again by the next call. */
struct csv_record {
	struct csv_field *fields;
	size_t room;
	size_t count;     /* fields that it has; those beyond CSV_FIELDS_MAX are only counted */
	size_t bytes;     /* without its line end; of CSV_TRAILING and CSV_OPEN: to the fault */
	size_t end_bytes; /* of its line end */
	size_t lines;     /* LFs in quotes, and its own end */
};

/* The record at text.p. `last`: the text ends with these bytes. text.n == 0 is a record of one
 * empty field: callers look first. */
MUST_USE enum csv_end csv_read(struct slice text, bool last, char delimiter,
			       struct csv_record *ret);
/* Which of , ; and tab stands between the fields of the first record, outside of quotes: '\0' if
 * none does, '?' if several do. False: the record goes on behind the bytes at hand. */
MUST_USE bool csv_delimiter(struct slice text, bool last, char *ret);
void csv_record_done(struct csv_record *r);

/* Copies a doubled field's text to `to` (field.n bytes at most) with one quote for two; returns
 * bytes. */
size_t csv_unquote(struct slice field, char *to);

/* `text` as a field, in quotes where that is needed. */
void csv_write(struct buf *to, struct slice text, char delimiter);
