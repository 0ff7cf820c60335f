/* run.h: `lowtide run in.jsonl -o out.jsonl`: one batch without a server; of documents: `lowtide
 * run docs.csv --prompt ... -o labelled.csv`.
 *
 * The same store and pipeline as the server's, in the directory OUT.lowtide beside the output;
 * the input stays where it is. Killed, it goes on from there when called again; done, the
 * results are moved to their places and the directory goes. */
#pragma once

#include "pipeline/pipeline.h"
#include "rows/prepare.h"

#define RUN_WINDOW "7d"

struct run_options {
	const char *input;
	const char *output;   /* "-": standard output */
	const char *errors;   /* NULL: the output's name with .errors.jsonl for .jsonl */
	const char *endpoint; /* NULL: the url of the file's lines, else /v1/chat/completions */
	bool force;           /* overwrite what is at `output` and `errors` */
	bool retry_failed;    /* keep the answers at `output`, run all other lines */
	uint64_t limit;       /* only the first request lines, or rows; 0: all */
	int status_fd;        /* where progress goes for another program; -1: shown to people */
	/* What requests are made of; NULL: they are in `input`. Without a model: the one that the
	 * upstream serves. Its limit and directory are set here. */
	const struct prepare_options *documents;
	const char *column;         /* of the answers to documents; NULL: JOIN_COLUMN */
	struct batch_options batch; /* without `override` */
	const char *window;         /* NULL: RUN_WINDOW; what has not run then is expired */
	char *metadata;             /* of the batch, as metadata_read() has it; NULL: none */
	struct pipeline_config pipeline;
};

/* The exit code: 0 every line completed, 1 some failed or a fault, 2 wrong use or a file with
 * findings, 128 + number when a signal ended it. */
int run_batch(const struct run_options *options);
