/* watch.h: `lowtide watch [ID...]`: batches on a live screen, or as lines where standard output is no
 * terminal, until all have ended. */
#pragma once

#include "terminal/asked.h"

struct watch_options {
	struct asked asked;
	char *const *ids; /* none: those that have not ended, and those that come meanwhile */
	size_t id_count;
};

/* The exit code: 0 all have ended, in whatever way; 1 it could not go on. */
int batches_watch(const struct watch_options *o);
