/* file_get.h: the bytes of a file of the server, into a place. */
#pragma once

#include "remote/remote.h"

struct questions;

/* `file_id` "": a file without bytes. `to` NULL: nothing is done. `q`: the requests are put beside
 * (questions.h); NULL: bytes as they are. Into a file it goes on with what an earlier call has left
 * of it. */
MUST_USE bool file_get(struct remote *r, const char *file_id, const char *to, struct questions *q,
		       struct error *err);
