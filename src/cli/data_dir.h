/* data_dir.h: the directory that a server, or a run, keeps everything in. */
#pragma once

#include "base/error.h"

/* Makes `path` (0700) unless it is there; its parent must be. */
MUST_USE bool data_dir_make(const char *path, struct error *err);
/* Locks `path`/lowtide.lock for this process; INVALID, naming the other process, if it is locked
 * already. Closing *ret_fd, or dying, unlocks. */
MUST_USE bool data_dir_lock(const char *path, int *ret_fd, struct error *err);
