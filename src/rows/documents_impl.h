/* documents_impl.h: what the kinds of documents share. Private to rows/. */
#pragma once

#include "base/buf.h"
#include "rows/csv.h"
#include "rows/documents.h"
#include "rows/source.h"
#include "rows/walk.h"

#define COLUMNS_TEXT_BYTES 400u /* of the list of columns in a message */

/* What a kind of documents does. */
struct document_kind {
	/* A document was opened: reads its header. */
	bool (*begin)(struct documents *d, struct error *err);
	/* Fills d->row but for its number and document, and d->values; *ret_found false: it
	 * ended. */
	bool (*next)(struct documents *d, bool *ret_found, struct error *err);
};
extern const struct document_kind documents_table, documents_jsonl, documents_text;

/* Of the first table. */
struct table_header {
	char *text; /* malloc'ed: a byte order mark if it has one, the record, its line end */
	size_t n, end_n;
	struct buf names_text;
	struct slice *names; /* in names_text */
	size_t count;
	size_t *wanted_at; /* which of them are wanted */
};

struct documents {
	const struct documents_options *options;
	const struct columns *columns;
	const struct document_kind *kind;
	enum documents_format format;
	char delimiter;

	struct document_walk walk;
	struct source source;
	char *path, *first; /* of the document that is open; of the first one */
	bool ended;
	bool told; /* whether the text of this document was handed out */

	struct row row;
	uint64_t next_line;
	struct slice *values;
	struct buf *scratch; /* of each value, where it does not stand in the document as it is */

	struct table_header header;
	struct csv_record record;
	struct buf line;         /* of JSONL, with what is not UTF-8 replaced */
	struct buf columns_text; /* for messages: those that there are */
};

/* Sets value `i` from bytes that need not be UTF-8. */
MUST_USE bool documents_value(struct documents *d, size_t i, struct slice text, struct error *err);
/* Fills the window up to so many bytes, if the document has them. */
MUST_USE bool documents_window_least(struct documents *d, size_t n, struct error *err);
/* Takes the byte order mark at the beginning of the document, if it has one. */
#define BYTE_ORDER_MARK SLICE("\xef\xbb\xbf")
MUST_USE bool documents_mark_take(struct documents *d, bool *ret_marked, struct error *err);
/* No column has that name; d->columns_text has what they are. */
bool documents_fail_column(const struct documents *d, const char *name, struct error *err);
/* A column has a name that answers are to get. */
bool documents_fail_taken(const struct documents *d, const char *name, struct error *err);
/* Adds a name to d->columns_text, while there is room. */
void documents_column_show(struct documents *d, struct slice name);
