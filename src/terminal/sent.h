/* sent.h: what a command sends to a server goes from there again when it is ended by SIGINT or
 * SIGTERM before anybody can know of it. For commands that cannot go on with what they have sent;
 * `submit FILE` can (submission.h).
 *
 * A thread waits for the signals. A second one ends the process at once, and so does one before
 * anything is sent or after sent_release(). One at a time in a process. */
#pragma once

#include "remote/upload.h"
#include "terminal/asked.h"

/* To be called before the server is opened. `a` has to stay. */
MUST_USE bool sent_guard(const struct asked *a, struct error *err);
/* Something is sent from now on. */
void sent_begin(void);
/* So much of it is there: for upload_job.keep. When the process is ending it does not return. */
MUST_USE bool sent_note(const struct upload_state *s, struct error *err);
/* What is there stays, or is not there any more. Likewise. */
void sent_release(void);

/* What cannot be deleted is told. */
void sent_delete(struct remote *r, const char *file_id);
