/* check.h: `lowtide check`: what a server with these settings would say about a file, without
 * one. */
#pragma once

#include "cli/findings.h"
#include "ingest/index.h"
#include "ingest/ingest.h"
#include "ingest/verdict.h"

struct check_options {
	struct ingest_limits limits; /* the server's own, like the rules */
	struct verdict_rules rules;  /* endpoint NULL: that of the file's first line */
	bool all;                    /* print every finding */
	char *const *paths;          /* "-": standard input */
	size_t path_count;
};

/* Prints each finding as `file:line: code: message` and a summary on standard output. The exit
 * code: 0 all good, 1 findings, 2 a file could not be read. */
int check_files(const struct check_options *options);

/* Judges `file`, whose index is `index`, and prints the findings; f->count is how many. `lowtide
 * run` uses it, too, to say why a file cannot be run. */
MUST_USE bool check_judge(struct findings *f, const struct blob_reader *file,
			  const struct index *index, const struct verdict_rules *rules,
			  struct error *err);
