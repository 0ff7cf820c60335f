/* run.h: `lowtide run in.jsonl -o out.jsonl`: one batch without a server.
 *
 * The same store and pipeline as the server's, in the directory OUT.lowtide beside the output; the
 * input stays where it is. Killed, it goes on from there when called again; done, the results are
 * moved to their places and the directory goes. */
#pragma once

#include "pipeline/pipeline.h"

struct run_options {
	const char *input;
	const char *output;   /* "-": standard output */
	const char *errors;   /* NULL: the output's name with .errors.jsonl for .jsonl */
	const char *endpoint; /* NULL: the url of the file's lines, else /v1/chat/completions */
	bool force;           /* overwrite what is at `output` and `errors` */
	bool retry_failed;    /* keep the answers at `output`, run all other lines */
	uint64_t limit;       /* only the first request lines; 0: all */
	struct pipeline_config pipeline;
};

/* The exit code: 0 every line completed, 1 some failed or a fault, 2 wrong use or a file with
 * findings, 128 + number when a signal ended it. */
int run_batch(const struct run_options *options);
