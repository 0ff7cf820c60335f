/* report.h: telling a person at a terminal what went wrong. */
#pragma once

#include "base/error.h"

/* Exit codes of every command. */
enum exit_code {
	EXIT_GOOD = 0,
	EXIT_FAULT = 1, /* it could not be done, or not all of it */
	EXIT_USAGE = 2, /* it was asked for in a wrong way, or with a file that cannot be used */
};

/* "lowtide: what happened", on standard error: for people the log's detail says more than the
 * message for clients, which hides paths. */
void report(const struct error *err);
