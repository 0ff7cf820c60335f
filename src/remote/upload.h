/* upload.h: a file to the server (contract 3.1, 4): up to UPLOAD_WHOLE_BYTES in one call, else in
 * parts. What is there already is not sent again: a call that broke goes on with the part that it
 * broke in, and a caller that keeps the state (upload_run()'s `keep`) goes on in another process.
 *
 * The file must not change meanwhile. Its MD5 is sent along at the end, so the file that the server
 * has is the one that stands here. */
#pragma once

#include "remote/remote.h"

#define UPLOAD_WHOLE_BYTES (64u << 20)
#define UPLOAD_PART_BYTES (8u << 20)

/* How far it is. Zeroed: nothing is there. */
struct upload_state {
	char *file_id;   /* the file is whole */
	char *upload_id; /* else, of one in parts */
	uint64_t part_bytes;
	char **parts; /* their ids, in the order of the file; all but the last have part_bytes */
	size_t part_count, part_cap;
};

void upload_state_done(struct upload_state *s);
/* False: no memory. */
MUST_USE bool upload_state_add(struct upload_state *s, const char *part_id);

struct upload_job {
	int fd;
	uint64_t size;
	const char *path; /* for messages */
	const char *name; /* that the server gives the file */
	char *key; /* ID_SIZE: Idempotency-Key of the call for a whole file; renewed when that file has
		    * been deleted, since the server would answer with it */
	struct upload_state *state;
	/* `state` has changed. NULL: it is not kept. */
	bool (*keep)(void *ctx, struct error *err);
	/* So many bytes are there. NULL: nobody looks. */
	void (*progress)(void *ctx, uint64_t done);
	void *ctx;
};

/* Until job->state->file_id is set. */
MUST_USE bool upload_run(struct remote *r, const struct upload_job *job, struct error *err);
/* The parts that are there, if any, are given up: best effort. */
void upload_forget(struct remote *r, struct upload_state *s);
