/* submit.h: `lowtide submit`: a file becomes a batch, whose id is all that is printed. */
#pragma once

#include "terminal/asked.h"

struct submit_options {
	struct asked asked;
	const char *path; /* "-": standard input */
	const char *window;
	const char *endpoint; /* NULL: the url of the file's lines, else chat completions */
	char **metadata;      /* "KEY=VALUE" */
	size_t metadata_count;
	uint64_t canary, token_budget; /* 0: none */
	const char *hours;             /* NULL: any */
	bool skip_bad_lines;
	bool wait;
	uint64_t timeout_s;          /* of the waiting; 0: none */
	const char *output, *errors; /* where results go after the waiting; NULL: nowhere */
};

/* Returns the exit code: those of waiting.h with `wait`. */
int submit(const struct submit_options *o);
