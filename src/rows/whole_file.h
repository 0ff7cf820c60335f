/* whole_file.h: a file that is there whole or not at all: written beside its place, moved there
 * at the end. Until then it is OUT.new, which one process at a time writes (base/part.h). A stream
 * (standard output, a pipe, /dev/null) is written to as the bytes come. One thread. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct whole_file {
	char *path, *temporary; /* temporary NULL: a stream */
	int fd;
	struct buf held; /* not written yet; callers may add to it, and flush */
};

/* `path` "-": standard output. INVALID if a file is there and not `force`, or if the place is
 * none that a file can have; CONFLICT while another process makes that file. */
MUST_USE bool whole_file_open(struct whole_file *o, const char *path, bool force,
			      struct error *err);
/* Whether `path` is no place for a file. */
bool whole_file_is_stream(const char *path);
MUST_USE bool whole_file_write(struct whole_file *o, struct slice bytes, struct error *err);
/* Writes what the caller has put into `held`, if that is much. */
MUST_USE bool whole_file_flush(struct whole_file *o, struct error *err);
/* Durable on return. */
MUST_USE bool whole_file_commit(struct whole_file *o, struct error *err);
/* Removes what was written, unless it was committed. Frees. */
void whole_file_close(struct whole_file *o);
