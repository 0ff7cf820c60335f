/* file_send.h: the bytes of a file to the server, with a bar. */
#pragma once

#include "remote/upload.h"
#include "terminal/request_file.h"

/* Of `how` the state, `keep` with its ctx, and the key count (NULL: one of this call's own); the
 * rest is the file's. */
MUST_USE bool file_send(struct remote *r, const struct request_file *in,
			const struct upload_job *how, struct error *err);
