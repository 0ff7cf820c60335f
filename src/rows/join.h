/* join.h: the answers beside the rows that they belong to, in the order of the rows. One thread.
 *
 * What comes out is what went in, with two columns more: the answer, and why there is none
 * (empty: there is one). The bytes of a row stay as they are. Of texts a table with the column
 * `file` comes out, or JSONL. */
#pragma once

#include "rows/documents.h"
#include "rows/whole_file.h"

#define JOIN_COLUMN "answer"

struct join_options {
	struct documents_options documents;
	const char *id;     /* as for prepare(); NULL: row-1, row-2, ... */
	const char *column; /* of the answers; NULL: JOIN_COLUMN. The other is that, with _error */
	uint64_t limit;     /* only the first rows; 0: all */
	const char *const *results; /* files: answer_table.h */
	size_t result_count;
	const char *directory; /* where there is room: answer_table.h */
	bool texts_as_jsonl;   /* of texts JSONL comes out, else CSV */
};

struct join_counts {
	uint64_t rows, answered, failed;
	uint64_t missing; /* rows without a line in the results: failed, too */
	uint64_t left;    /* lines of results that belong to no row */
};

/* INVALID for documents that prepare() would refuse, a column that is there already, two rows
 * with one id, and results of which not one belongs to a row. */
MUST_USE bool join(const struct join_options *options, struct whole_file *to,
		   struct join_counts *ret, struct error *err);
/* What a file of that name is expected to be. */
bool join_is_jsonl(const char *path);
bool join_is_table(const char *path);
