/* rows_files.h: `lowtide prepare` and `lowtide join`: documents from files to a file. */
#pragma once

#include "rows/join.h"
#include "rows/prepare.h"

struct rows_place {
	const char *output; /* "-": standard output */
	bool force;         /* overwrite what is there */
};

/* Each returns the exit code: 0, of join() 1 if a row has no answer; 2 wrong use, or documents that
 * cannot be used. `directory` of the options is set here. */
int prepare_file(struct prepare_options *options, const struct rows_place *place);
int join_file(struct join_options *options, const struct rows_place *place);

/* Where a scratch file of the output's size has room: the output's directory, of a stream TMPDIR or
 * /var/tmp. To be freed; NULL: no memory. */
char *rows_directory(const char *output);
/* INVALID if the output's ending says JSONL and the documents are tables, or the other way
 * round. */
MUST_USE bool rows_ending_check(const struct documents_options *documents, const char *output,
				struct error *err);
