/* report.h: telling a person at a terminal what went wrong. */
#pragma once

#include "base/error.h"

/* Exit codes of every command; beside them 128 + N for an end by signal N. */
enum exit_code {
	EXIT_GOOD = 0,
	EXIT_FAULT = 1, /* it could not be done, or not all of it; what is named is not there */
	EXIT_USAGE = 2, /* it was asked for in a wrong way, or with a file that cannot be used */
};

/* The one for a failure: INVALID is wrong use. */
int exit_code(const struct error *err);

/* "lowtide: what happened", on standard error: for people the log's detail says more than the
 * message for clients, which hides paths. */
void report(const struct error *err);
