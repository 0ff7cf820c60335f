/* run_summary.h: what `lowtide run` tells a person at its end: counts, tokens, places, what to
 * do next. */
#pragma once

#include <stdio.h>

#include "cli/run_files.h"
#include "pipeline/pipeline.h"

struct run_summary {
	const struct run_paths *paths;
	const struct batch_view *batch;
	uint64_t ms;      /* that it took */
	uint64_t limit;   /* of lines, --limit; 0: none */
	uint64_t kept;    /* answers of an earlier run that stay */
	bool continued;   /* it took more than one call */
	bool with_errors; /* there is a file of them */
	bool documents;   /* answers and errors stand beside the rows */
};

void run_summary_print(const struct run_summary *s, FILE *to);
