/* part.h: a file that stands beside its place under another name until it is whole. One process at
 * a time writes it: two would mix their bytes. Where a file system knows no locks nobody is kept
 * out. A crash leaves the part, and no lock: the next part_open() of that name takes it over. */
#pragma once

#include "base/error.h"

/* Opens the part to read and to append, as it was left, or a new one. *ret_fd holds the lock until
 * it is closed. CONFLICT: another process writes it. */
MUST_USE bool part_open(const char *part, int *ret_fd, struct error *err);
/* All is written: the part becomes `path`, durable on return. */
MUST_USE bool part_finish(int fd, const char *part, const char *path, struct error *err);
/* Nobody wants it: the part goes, unless the name is another file's by now. */
void part_drop(int fd, const char *part);
