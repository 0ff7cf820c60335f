/* top.h: `lowtide top`: what a server does, on a live screen, or once. */
#pragma once

#include "terminal/asked.h"

struct top_options {
	struct asked asked;
	bool once; /* also where standard output is no terminal, and in json and plain */
};

/* The exit code: 0 done, 1 it could not be asked. */
int ask_top(const struct top_options *o);
