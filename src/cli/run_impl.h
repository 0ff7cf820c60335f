/* run_impl.h: what the files of `lowtide run` share: run.c is its course, run_begin.c how it
 * begins or goes on, run_end.c its end. Private to cli/. */
#pragma once

#include <stdio.h>

#include "blob/blob.h"
#include "cli/run.h"
#include "cli/run_files.h"
#include "pipeline/pipeline.h"
#include "rows/join.h"

struct run {
	const struct run_options *options;
	struct run_paths paths;
	struct run_state state;
	bool continued;
	uint64_t kept; /* answers of an earlier run that stay */
	uint64_t started_ms;

	struct blob_reader *input; /* NULL: not open */
	int lock_fd;
	struct store *store;
	struct blobs *blobs;
	struct pipeline *pipeline;

	struct batch_view batch; /* as last looked at */

	char *model;               /* of documents, where none was named; malloc'ed */
	struct join_counts joined; /* of documents, at the end */
};

/* ---- run_begin.c ---- */

/* The endpoint that was asked for is one. */
MUST_USE bool run_endpoint_check(const char *endpoint, struct error *err);
MUST_USE bool run_input_open(struct run *r, struct run_input *ret, struct error *err);
/* Where results go is a place for them. */
MUST_USE bool run_places_check(const struct run *r, struct error *err);
/* Whether this run may put its results where they belong: nothing is there, or it is the user's
 * will. */
MUST_USE bool run_places_free(const struct run *r, struct error *err);
/* Makes the batch of the input, and what there is to go on with. */
MUST_USE bool run_begin(struct run *r, const struct run_input *input, struct error *err);
/* The input and the options are those that the run began with. */
MUST_USE bool run_go_on(struct run *r, const struct run_input *input, struct error *err);

/* ---- run_documents.c ---- */

/* Before anything is made: what cannot be run, or has no place. */
MUST_USE bool run_documents_check(const struct run *r, struct error *err);
/* Makes the input of the documents, or, going on, sees that they still make it. */
MUST_USE bool run_documents_take(struct run *r, struct error *err);
/* Writes the answers that an earlier run has put beside the rows to `path`, as result lines in the
 * order of the input. */
MUST_USE bool run_documents_earlier(struct run *r, const char *path, struct error *err);
/* Puts answers and errors beside the rows, at the output, durable on return. */
MUST_USE bool run_documents_join(struct run *r, struct error *err);

/* ---- run_canary.c ---- */

/* Prints what was answered so far. */
MUST_USE bool run_canary_print(struct run *r, FILE *to, struct error *err);

/* ---- run_end.c ---- */

/* Ends the pipeline, and closes the store. */
void run_close(struct run *r);
/* Each returns the exit code. */
int run_end_failed(struct run *r);
int run_end_good(struct run *r, struct error *err);
/* Its canary has ended: shows the answers, and how to go on. */
int run_end_canary(struct run *r);
