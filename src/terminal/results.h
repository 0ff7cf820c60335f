/* results.h: `lowtide results`: what came of a batch: the two result files, or their lines while
 * they come. */
#pragma once

#include "terminal/asked.h"

struct questions;

struct results_options {
	struct asked asked;
	const char *id;
	const char *output; /* where answers go, "-": standard output; NULL: nowhere */
	const char *errors; /* where lines without an answer go; NULL: nowhere */
	const char *merge;  /* the input file, whose requests are put beside; NULL: none */
	bool follow;        /* lines as they end, in that order, until the batch has ended */
	bool told;          /* what came of the batch has been told */
};

/* Returns the exit code. Without `output` answers go to standard output. */
int results(const struct results_options *o);
/* The files of a batch that has ended. */
MUST_USE bool results_fetch(struct remote *r, const struct results_options *o, struct error *err);
/* Before anything is done: whether both can be written, over nothing that is read (`input`, or
 * NULL). */
MUST_USE bool results_places_check(const char *input, const char *output, const char *errors,
				   struct error *err);

/* results_follow.c; `q` NULL: nothing is put beside. *ret_failed: lines without an answer. */
MUST_USE bool results_follow(struct remote *r, const struct results_options *o, struct questions *q,
			     uint64_t *ret_failed, struct error *err);
