/* submission.h: a call of `lowtide submit` as it is kept on disk until it is done
 * ($XDG_STATE_HOME/lowtide), so that the same call after a kill goes on where the killed one was:
 * no part is sent again, and no second batch is made (Idempotency-Key, contract 2.4).
 *
 * There is one for each file and server. It counts only while the file is as it was; its batch only
 * for the same options, the key of one that is not known to be made only as long as the server
 * remembers it. What comes on standard input has none. One that no call has come back to for 30
 * days is removed by any other. */
#pragma once

#include "remote/upload.h"
#include "terminal/request_file.h"

struct submission {
	char *path;  /* NULL: it is not kept */
	int lock_fd; /* -1: none */
	struct stat file;
	char file_key[48], batch_key[48];
	int64_t keyed_at; /* when batch_key was made */
	char *options;    /* of the batch, as JSON */
	char *batch_id;   /* NULL: it is not made, or not known to be */
	struct upload_state upload;
};

/* What was kept of this call, or a new one. Without a home directory, or while the same call runs
 * in another process, it is a new one that is not kept. `options` is copied. */
MUST_USE bool submission_open(struct submission *s, const char *server_url,
			      const struct request_file *in, const char *options,
			      struct error *err);
/* Writes what has changed. */
MUST_USE bool submission_keep(struct submission *s, struct error *err);
/* It is done: nothing is left of it. */
void submission_end(struct submission *s);
/* The server may not remember its batch's key any more. */
bool submission_is_old(const struct submission *s);
/* Its batch is not there any more: another one is to be made. */
void submission_forget_batch(struct submission *s);
void submission_close(struct submission *s);
