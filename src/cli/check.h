/* check.h: `lowtide check`: what a batch would say about a file, without a server. */
#pragma once

#include <stdio.h>

#include "ingest/ingest.h"
#include "ingest/verdict.h"

struct check_options {
	struct ingest_limits limits;
	struct verdict_rules rules; /* endpoint NULL: that of the file's first line */
	char *const *paths;
	size_t path_count;
};

/* Prints each finding as `file:line: code: message` and a summary on standard output. The exit
 * code: 0 all good, 1 findings, 2 a file could not be read. */
int check_files(const struct check_options *options);

/* One finding as `path:line: code: message`, whatever bytes the message quotes; line 0 is the file as
 * a whole. Also how `lowtide run` says why a file cannot be run. */
void finding_print(const char *path, const struct finding *finding, FILE *to);
