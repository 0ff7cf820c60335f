/* documents.h: the rows of the documents that a user has: tables (CSV, TSV), JSON objects a line,
 * texts.
 *
 *	a table    columns by its header; a row is a record. Several tables have one header
 *	JSONL      columns are the members of each object: strings are their text, all else its JSON,
 *	           null no text
 *	text       a file is a row, with the columns `file` (its name as reached) and `text`
 *
 * One pass, one row at a time, in memory for the longest row (ROW_BYTES_MAX). Rows are numbered
 * from 1 over all documents. Blank lines of tables and JSONL are no rows. One thread. */
#pragma once

#include <stdint.h>

#include "base/error.h"

#define ROW_BYTES_MAX (16u << 20) /* of one row, as of a request line */

enum documents_format {
	DOCUMENTS_BY_NAME, /* .csv, .tsv, .tab, .jsonl, .ndjson; every other is text */
	DOCUMENTS_CSV,
	DOCUMENTS_TSV,
	DOCUMENTS_JSONL,
	DOCUMENTS_TEXT,
};
/* False if there is no format of that name. */
bool documents_format_read(const char *name, enum documents_format *ret);
enum documents_format documents_format_by_name(const char *path);

struct documents_options {
	char *const *paths; /* files, directories, "-" */
	size_t path_count;
	enum documents_format format;
	char delimiter;       /* of CSV; 0: the one of , ; and tab that the header has */
	const char *encoding; /* NULL: UTF-8 */
	bool replace_invalid; /* U+FFFD for what is not UTF-8, which else is INVALID */
};

/* What the documents are: as asked for, or by the name of the first. INVALID: there is none, or
 * it has no name. */
MUST_USE bool documents_format_find(const struct documents_options *options,
				    enum documents_format *ret, struct error *err);

/* Columns that the caller is about. */
struct columns {
	const char *const *wanted; /* their values are read */
	size_t wanted_count;
	const char *const *taken; /* documents must not have them: answers are to get the name */
	size_t taken_count;
};

struct row {
	uint64_t number;
	uint64_t line;        /* of its document, from 1, where it begins */
	const char *document; /* its name */
	/* As it stands, in UTF-8 if it was converted, and its line end, which may be missing.
	 * JSONL: from { to }. Text: empty. */
	struct slice raw, end;
	const struct slice *values; /* of the wanted columns: UTF-8 */
};

struct documents;

/* Opens the first document. INVALID with the columns that there are, if one is not. What `options`
 * and `columns` point to stays the caller's until the close. */
MUST_USE bool documents_open(const struct documents_options *options, const struct columns *columns,
			     struct documents **ret, struct error *err);
void documents_close(struct documents *d); /* NULL is fine */

/* *ret NULL: that was the last. Valid until the next call. */
MUST_USE bool documents_next(struct documents *d, const struct row **ret, struct error *err);

enum documents_format documents_format(const struct documents *d);
char documents_delimiter(const struct documents *d);
/* The header of the first table as it stands, with its line end ("\n" if it has none). */
void documents_header(const struct documents *d, struct slice *ret_text, struct slice *ret_end);
/* Fails as INVALID: "docs.csv: row 7 (line 9): ...". */
bool documents_fail(const struct documents *d, struct error *err, const char *format, ...)
	PRINTF_LIKE(3, 4);
