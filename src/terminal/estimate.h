/* estimate.h: `lowtide estimate FILE`: what a batch of a file would take, and what is wrong with its
 * lines, before it is made. The file is sent, estimated, and deleted again. */
#pragma once

#include "terminal/asked.h"

struct estimate_options {
	struct asked asked;
	const char *file;     /* a path, "-", or the id of a file that is there */
	const char *window;   /* "24h" */
	const char *endpoint; /* NULL: the url of the file's lines, else chat completions */
	bool keep;            /* the file stays, and its id is shown */
};

/* The exit code: 0 it can run, 1 it could not be done, or lines of it cannot run, 2 wrong use. */
int ask_estimate(const struct estimate_options *o);
