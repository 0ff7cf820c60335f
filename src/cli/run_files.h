/* run_files.h: what a run leaves on disk, beside what the store keeps:
 *
 *	OUT.lowtide/run.json    which input, and which batch: written as the last step of the
 *	                        beginning, removed as the first of the end, so it exists exactly
 *	                        while there is something to go on with
 *	OUT, OUT's errors file  moved there when the batch is done, the answers last: where OUT
 *	                        stands, all of it stands
 *
 * An output that is no file (standard output, a pipe, /dev/null) is written to once the batch is
 * done, after the errors file has its place; what is kept on disk stands beside the input then. A
 * kill while it is written leaves all of it to be written again by the next call. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/id.h"

struct run_paths {
	char *input; /* as given */
	char *output, *errors;
	bool stream; /* `output` is no file: "-" or what can only be written to */
	char *work;  /* OUT.lowtide, of a stream IN.lowtide */
	char *state; /* run.json in it */
};

/* `errors` NULL: the name of the output, of a stream that of the input, with .errors.jsonl. INVALID
 * for an output that cannot be: a directory, a device that is no stream. */
MUST_USE bool run_paths_make(const char *input, const char *output, const char *errors,
			     struct run_paths *ret, struct error *err);
void run_paths_done(struct run_paths *p);
/* Whether both names are of one file that is there. */
bool run_same_file(const char *a, const char *b);

/* The input as it was when the run began. */
struct run_input {
	uint64_t bytes;
	int64_t modified_ns; /* Unix time */
	char sha256[65];     /* of what was read of it */
};

struct run_state {
	struct run_input input;
	uint64_t limit; /* only so many request lines; 0: all */
	char endpoint[64];
	char file_id[ID_SIZE], batch_id[ID_SIZE];
};

/* *ret_found false: there is nothing to go on with. */
MUST_USE bool run_state_load(const char *path, struct run_state *ret, bool *ret_found,
			     struct error *err);
/* Durable on return. */
MUST_USE bool run_state_save(const struct run_paths *p, const struct run_state *s,
			     struct error *err);

/* Moves a result file of the store to where the user wants it, durable on return. `id` "": there
 * are no such lines; then `to` becomes an empty file if `always`, else goes. What was moved before
 * a crash stays as it is. */
MUST_USE bool run_result_place(const struct run_paths *p, const char *id, const char *to,
			       bool always, struct error *err);
/* Writes a result file of the store to an output that is a stream; `id` "": nothing. */
MUST_USE bool run_result_stream(const struct run_paths *p, const char *id, struct error *err);
/* Removes OUT.lowtide, the state first. */
MUST_USE bool run_work_remove(const struct run_paths *p, struct error *err);
