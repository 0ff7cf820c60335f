/* findings.h: what is wrong with a file, for a person: the first findings of each code as they
 * come, then how many there are of each. */
#pragma once

#include <stdio.h>

#include "ingest/verdict.h"

#define FINDING_CODES_MAX 24 /* more than contract 7.2 and the command line have */

struct findings {
	const char *path;
	FILE *to;
	bool all;         /* print every one */
	const char *kind; /* what the file is instead (file_kind()): printed alone */
	uint64_t count, left_out;
	struct {
		const char *code;
		uint64_t count, first_line;
	} codes[FINDING_CODES_MAX];
	unsigned code_count;
	uint64_t faults[JSON_FAULT_CUT + 1]; /* by enum json_fault_kind */
};

/* A finding_fn; ctx is the struct findings. Prints it as `path:line: code: message`, with column
 * and reason of a line that is no JSON, whatever bytes it quotes. Line 0 is the file as a whole. */
void findings_add(void *ctx, const struct finding *finding);
/* After the last one: what many have in common, and the table, where some were left out. */
void findings_end(const struct findings *f);
